#!/usr/bin/env python3
"""Writes what jinja2 renders, for tests/unit/jinja to be compared with.

usage: make_golden.py                     snippets.jsonl and conversations.jsonl beside this file
       make_golden.py DIR OUT             conversations under each *.jinja of DIR, into OUT
       make_golden.py show TEMPLATE N     what TEMPLATE (a file, or a name in templates/) makes of conversation N

Every template gets all conversations. What SmolLM2's makes of them, and the others of the last 40, is kept as text; the
rest as hashes, an array a template.

Needs jinja2 (3.1.6 was used). The environment is the one that Hugging Face renders chat templates in: sandboxed,
immutable, trim_blocks, lstrip_blocks, loop controls, `generation` blocks, and a tojson that is json.dumps.
"""
import datetime
import json
import pathlib
import sys

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

import conversations
import snippets

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2025, 3, 7, 14, 5, 9)
TEXTS = 40  # conversations whose renderings are kept as text, of each template but SmolLM2's, whose all are


class Generation(Extension):
    """`{% generation %}`: marks what the model said; its body is rendered as it is, in a scope of its own."""
    tags = {'generation'}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(['name:endgeneration'], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method('_render'), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    made.filters['tojson'] = to_json
    made.globals['raise_exception'] = raise_exception
    made.globals['strftime_now'] = NOW.strftime
    return made


def rendered(source, context):
    """{"text": ...} or {"error": what the template itself raised, or ""}"""
    try:
        text = environment().from_string(source).render(**context)
        text.encode()
        return {'text': text}
    except jinja2.exceptions.TemplateError as error:
        return {'error': str(error) if type(error) is jinja2.exceptions.TemplateError else ''}
    except Exception:
        return {'error': ''}


def line(record):
    return json.dumps(record, ensure_ascii=False, separators=(',', ':')) + '\n'


def context_of(conversation):
    return {'messages': conversation['messages'], 'tools': conversation.get('tools'), 'documents': None,
            'bos_token': '<s>', 'eos_token': '</s>',
            'add_generation_prompt': conversation['add_generation_prompt'], **conversation.get('extra', {})}


def hashed(text):
    """FNV-1a of 64 bits (Fowler, Noll and Vo, 1991), in hexadecimal."""
    value = 0xcbf29ce484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001b3 % 2**64
    return f'{value:016x}'


def short(rendering):
    """A hash of the text, or the error as it is."""
    return hashed(rendering['text']) if 'text' in rendering else rendering


def write_conversations(folder, out, first):
    """`first`: the template whose renderings are all kept as text."""
    every = conversations.make()
    with open(out, 'w', encoding='utf-8') as file:
        for conversation in every:
            file.write(line(conversation))
        for path in sorted(folder.glob('*.jinja')):
            source = path.read_text(encoding='utf-8')
            renderings = [rendered(source, context_of(conversation)) for conversation in every]
            hashes = 0 if path.stem == first else len(every) - TEXTS
            if hashes:
                file.write(line({'template': path.stem, 'first': [short(one) for one in renderings[:hashes]]}))
            for i in range(hashes, len(every)):
                file.write(line({'template': path.stem, 'of': i, **renderings[i]}))


def show(template, number):
    path = pathlib.Path(template)
    if not path.exists():
        path = HERE / 'templates' / f'{template}.jinja'
    found = rendered(path.read_text(encoding='utf-8'), context_of(conversations.make()[number]))
    print(found.get('text', f"error: {found.get('error')}"), end='')


def main():
    if len(sys.argv) == 4 and sys.argv[1] == 'show':
        return show(sys.argv[2], int(sys.argv[3]))
    if len(sys.argv) == 3:
        return write_conversations(pathlib.Path(sys.argv[1]), sys.argv[2], None)
    with open(HERE / 'snippets.jsonl', 'w', encoding='utf-8') as file:
        file.write(line(snippets.CONTEXT))
        for source in snippets.every():
            file.write(line({'template': source, **rendered(source, snippets.CONTEXT)}))
    write_conversations(HERE / 'templates', HERE / 'conversations.jsonl', 'SmolLM2')


main()
