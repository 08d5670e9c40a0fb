#!/usr/bin/env python3
"""Probe policies dump every field of the ABI that the host fills.

usage: probes_test.py SOURCE_ROOT

Each struct of the SDK's C headers either stands in READ, with the piece of a probe that dumps it, or in ELSE, with the reason
why there is nothing to dump. Of a struct in READ each field must occur in that piece, or stand in EXCEPT with a reason. What
the probes dump is held against truths by tests/engine/test_probe.cpp, which refuses a dumped field without a truth.
"""
import re

from checks import Checks, root, text_of

DUMP, DUMP_PRECISION = 'tests/probe/dump.hpp', 'tests/probe/dump_precision.hpp'

# struct -> (file, what opens the function that dumps it, how that function names a row)
READ = {
    'sl_view': (DUMP, 'void dump_view(', 'row'),
    'sl_create': (DUMP, 'void dump_create(', 'row'),
    'sl_option': (DUMP, 'void dump_option(', 'row'),
    'sl_table': (DUMP, 'void dump_rows(', 'table'),
    'sl_evict_in': ('tests/probe/probe-eviction/probe-eviction.cpp', 'static void write(', 'in'),
    'sl_preempt_in': ('tests/probe/probe-preemption/probe-preemption.cpp', 'void preempt(', 'in'),
} | {name: (file, f'void dump(Text& out, const std::string& at, const {name}& row)', 'row') for file, names in {
    DUMP: ('sl_block_event', 'sl_block_row', 'sl_candidate', 'sl_cost', 'sl_event', 'sl_hint', 'sl_node_row', 'sl_request_row',
           'sl_retention', 'sl_seq_cold_row', 'sl_seq_row', 'sl_tier'),
    DUMP_PRECISION: ('sl_format', 'sl_op_key', 'sl_op_plan'),
}.items() for name in names}

# What a policy answers or offers, not what it reads.
ELSE = {
    'sl_entry': "a scheduler's answer", 'sl_victim': "an eviction policy's answer", 'sl_yield': "a preemption policy's answer",
    'sl_gauge': "a policy's answer", 'sl_out': 'a buffer for answers', 'sl_text': 'two parts of one text, dumped as that',
    'sl_plugin': 'what a plugin says of itself', 'sl_scheduler': 'functions of a plugin', 'sl_eviction': 'functions of a plugin',
    'sl_preemption': 'functions of a plugin', 'sl_precision': 'functions of a plugin', 'sl_state': 'functions of a plugin',
    'sl_dump': 'functions of a plugin', 'sl_error': 'functions of a plugin',
}

PADDING = {'pad', 'reserved'}
EXCEPT = {
    ('sl_table', 'base'): 'an address: what lies there is dumped',
    ('sl_view', 'heap'): 'an address: dump_heap() reads what lies there',
    ('sl_create', 'error'): 'the address of a buffer to write into',
}

STRUCT = re.compile(r'typedef struct (\w+) \{(.*?)\} \1;', re.DOTALL)
FIELD = re.compile(r'(\w+)(?:\[\w+\])?$')

top = root()
checks = Checks()


def structs():
    """(name, fields) of each struct of the C headers; functions are not fields."""
    for header in sorted((top / 'sdk/include/serveloop').rglob('*.h')):
        text = re.sub(r'/\*.*?\*/', '', text_of(header), flags=re.DOTALL)
        checks.check(len(STRUCT.findall(text)) == len(re.findall(r'\bstruct\s+\w+\s*\{', text)),
                     f'{header.relative_to(top)}: a struct that this test cannot read: write `typedef struct x {{...}} x;`')
        for name, body in STRUCT.findall(text):
            fields = []
            for declaration in body.split(';'):
                if declaration.strip() and '(' not in declaration:
                    fields += [FIELD.search(part.strip()).group(1) for part in declaration.split(',')]
            yield name, fields


def function(file, opening):
    """Its text, from `opening` to the brace that closes it."""
    text = text_of(top / file)
    start = text.find(opening)
    if not checks.check(start >= 0, f'{file}: no function that opens with {opening}'):
        return ''
    depth, at = 0, text.index('{', start)
    for end in range(at, len(text)):
        depth += {'{': 1, '}': -1}.get(text[end], 0)
        if depth == 0:
            return text[at:end]
    return ''


def dumps(body, row, field):
    return re.search(rf'PROBE_FIELD\({field}\)|\b{row}(\.|->){field}\b', body)


met = set()
for name, fields in structs():
    met.add(name)
    if name in ELSE:
        checks.check(name not in READ, f'{name} stands in READ and in ELSE')
        continue
    if not checks.check(name in READ, f'{name}: no probe dumps it. Dump it, or say in ELSE why there is nothing to dump'):
        continue
    file, opening, row = READ[name]
    body = function(file, opening)
    for field in fields:
        dumped = dumps(body, row, field)
        if field in PADDING or (name, field) in EXCEPT:
            checks.check(not dumped, f'{name}.{field} is dumped, and excepted')
        else:
            checks.check(dumped, f'{name}.{field}: not dumped by {opening}...) in {file}')
for name in sorted((READ.keys() | ELSE.keys() | {struct for struct, _ in EXCEPT}) - met):
    checks.check(False, f'{name} is in no header of the SDK')
checks.close()
