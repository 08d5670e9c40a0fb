#!/usr/bin/env python3
"""Writes what jinja2 renders, for tests/unit/jinja to be compared with.

usage: make_golden.py             snippets.jsonl and conversations.jsonl beside this file
       make_golden.py DIR OUT     conversations under each *.jinja of DIR, into OUT

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
OTHERS = 40  # conversations for each template but SmolLM2's, which gets all


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


def write_conversations(folder, out, first):
    """`first`: the template that all conversations are rendered with."""
    every = conversations.make()
    with open(out, 'w', encoding='utf-8') as file:
        for conversation in every:
            file.write(line(conversation))
        for path in sorted(folder.glob('*.jinja')):
            source = path.read_text(encoding='utf-8')
            some = range(len(every)) if path.stem == first else range(len(every) - OTHERS, len(every))
            for i in some:
                file.write(line({'template': path.stem, 'of': i, **rendered(source, context_of(every[i]))}))


def main():
    if len(sys.argv) == 3:
        return write_conversations(pathlib.Path(sys.argv[1]), sys.argv[2], None)
    with open(HERE / 'snippets.jsonl', 'w', encoding='utf-8') as file:
        file.write(line(snippets.CONTEXT))
        for source in snippets.every():
            file.write(line({'template': source, **rendered(source, snippets.CONTEXT)}))
    write_conversations(HERE / 'templates', HERE / 'conversations.jsonl', 'SmolLM2')


main()
