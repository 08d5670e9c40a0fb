#!/usr/bin/env python3
"""Writes unicode_data.cpp from Python's own tables, which are what templates are written against.

usage: make_unicode_data.py > unicode_data.cpp
"""
import sys
import unicodedata

EVERY = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def ranges(test):
    found = []
    for char in EVERY:
        if test(char):
            code = ord(char)
            if found and found[-1][1] == code - 1:
                found[-1][1] = code
            else:
                found.append([code, code])
    return found


def case_runs(change):
    """[first, last, step, delta] of characters whose case maps to one other character."""
    runs = []
    for char in EVERY:
        to = change(char)
        if to == char or len(to) != 1:
            continue
        code, delta = ord(char), ord(to) - ord(char)
        run = runs[-1] if runs else None
        if run and run[3] == delta and code - run[1] in (1, 2) and (run[0] == run[1] or code - run[1] == run[2]):
            run[2] = code - run[1]
            run[1] = code
        else:
            runs.append([code, code, 1, delta])
    return runs


def literal(text):
    return '"' + ''.join(f'\\x{byte:02x}' for byte in text.encode()) + '"'


def rows(cells, width=106):
    line = ' '
    for cell in cells:
        if len(line) + len(cell) + 2 > width:
            print(line)
            line = ' '
        line += ' ' + cell + ','
    print(line)


def table(kind, name, cells):
    print(f'const {kind} {name}[] = {{')
    rows(cells)
    print('};')
    print(f'const std::size_t {name}Count = std::size({name});\n')


print(f'''// Written by make_unicode_data.py from Unicode {unicodedata.unidata_version}; not edited by hand. Sorted by code point.
#include "text/jinja/unicode_data.hpp"

#include <iterator>

namespace serveloop::text::jinja::unicode {{

// clang-format off
// NOLINTBEGIN(readability-identifier-naming)''')
for name, test in (('kPrintable', str.isprintable), ('kAlpha', str.isalpha), ('kDigit', str.isdigit),
                   ('kNumeric', lambda c: c.isnumeric() and not c.isdigit()), ('kLower', str.islower),
                   ('kUpper', str.isupper)):
    table('Range', name, [f'{{{a:#x}, {b:#x}}}' for a, b in ranges(test)])
for name, change in (('kToLower', str.lower), ('kToUpper', str.upper)):
    table('CaseRun', name, [f'{{{a:#x}, {b:#x}, {s}, {d}}}' for a, b, s, d in case_runs(change)])
for name, change, usual in (('kLowerSpecial', str.lower, lambda c: c), ('kUpperSpecial', str.upper, lambda c: c),
                            ('kTitleSpecial', str.title, str.upper)):
    table('CaseSpecial', name, [f'{{{ord(c):#x}, {literal(change(c))}}}' for c in EVERY
                                if change(c) != usual(c) and (len(change(c)) != 1 or name == 'kTitleSpecial')])
print('''// NOLINTEND(readability-identifier-naming)
// clang-format on

}  // namespace serveloop::text::jinja::unicode''')
sys.stdout.flush()
