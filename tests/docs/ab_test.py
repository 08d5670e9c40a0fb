#!/usr/bin/env python3
"""What docs/AB.md tells a reader to type gives the table that it shows.

usage: ab_test.py SOURCE_ROOT BUILD_ROOT
"""
import pathlib
import re
import sys
import tempfile

import follow
from checks import Checks, root

LINE = re.compile(r'^(?P<label>\S.*?) {2,}(?P<baseline>[\d.]+) +(?P<value>[\d.]+) +(?P<change>[+-][\d.]+|0) %(?: +\[(?P<low>\S+), (?P<high>\S+)\])?'
                  r' +(?P<verdict>better|worse|no difference found|too little data)$', re.MULTILINE)

top, build = root(), pathlib.Path(sys.argv[2]).resolve()
page = top / 'docs/AB.md'
checks = Checks()


def lines_of(table):
    return {line['label']: line for line in LINE.finditer(table)}


def check_table():
    """Labels and verdicts as shown; figures within a tenth, since a policy may change a little."""
    text = follow.section(page, 'An example', checks)
    shown = [block['text'] for block in follow.BLOCK.finditer(text) if block['kind'] == 'text']
    checks.check(len(shown) == 1, '"An example" has one table')
    with tempfile.TemporaryDirectory() as folder:
        now = follow.follow(text, pathlib.Path(folder) / 'mine', follow.environment(pathlib.Path(folder), top, build), checks)
    expected, found = lines_of(shown[0]), lines_of(now)
    checks.check(len(expected) >= 10, f'docs/AB.md shows only {len(expected)} lines of a table')
    for label, line in expected.items():
        if not checks.check(label in found, f'docs/AB.md: "{label}" is not in the table of a run:\n{now}'):
            continue
        other = found[label]
        checks.check(other['verdict'] == line['verdict'], f'docs/AB.md: "{label}": {line["verdict"]}, a run says {other["verdict"]}')
        near = all(abs(float(line[key]) - float(other[key])) <= 0.1 * abs(float(line[key])) for key in ('baseline', 'value'))
        checks.check(near, f'docs/AB.md shows\n{line[0]}\na run gives\n{other[0]}')


check_table()
checks.close()
