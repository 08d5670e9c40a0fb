#!/usr/bin/env python3
"""What README.md tells a stranger to type does what it says.

usage: readme_test.py SOURCE_ROOT BUILD_ROOT

The section "A policy of your own" is followed as it stands (follow.py). Then the table of "What you see" is held against a run
of the same configurations.
"""
import pathlib
import re
import sys
import tempfile

import follow
from checks import Checks, root, run

NUMBER = re.compile(r'-?\d+(?:\.\d+)?')

top, build = root(), pathlib.Path(sys.argv[2]).resolve()
readme = top / 'README.md'
checks = Checks()


def check_stranger():
    with tempfile.TemporaryDirectory() as folder:
        outside = pathlib.Path(folder) / 'mine'
        output = follow.follow(follow.section(readme, 'A policy of your own', checks), outside,
                               follow.environment(pathlib.Path(folder), top, build), checks)
        checks.check(re.search(r'^policies +mine$', output, re.MULTILINE),
                     f'no table shows the policy `mine`:\n{output}')
        checks.check(re.search(r'^requests completed +[1-9]\d*$', output, re.MULTILINE), 'no request was completed')
        checks.check(re.search(r'^answers taken by the fallback +0$', output, re.MULTILINE),
                     f'the fallback answered for the policy:\n{output}')
        checks.check(follow.same_code(outside / 'mine.cpp', top / 'sdk/template/mine.cpp'),
                     'mine.cpp of README.md is not sdk/template/mine.cpp')


def rows_of(table):
    """label -> its numbers, of lines that end in numbers."""
    rows = {}
    for line in table.splitlines():
        cells = re.split(r' {2,}', line.strip())
        if len(cells) > 1 and all(NUMBER.fullmatch(cell) for cell in cells[1:]):
            rows[cells[0]] = [float(cell) for cell in cells[1:]]
    return rows


def check_table():
    blocks = [block for block in follow.BLOCK.finditer(follow.section(readme, 'What you see', checks)) if block['kind'] == 'text']
    checks.check(len(blocks) == 1, '"What you see" has one table')
    configs = [part for name in ('fcfs', 'sarathi') for part in ('--config', f'configs/simulate_{name}.toml')]
    done = run([str(build / 'serveloop'), 'simulate', *configs], cwd=top)
    checks.check(done.returncode == 0, done.stdout)
    now = rows_of(done.stdout)
    for label, shown in rows_of(blocks[0]['text']).items():
        found = now.get(label, [])
        near = len(found) == len(shown) and all(abs(a - b) <= 0.1 * abs(a) for a, b in zip(found, shown))
        checks.check(near, f'README.md: "{label}" shows {shown}, a run gives {found}')


check_stranger()
check_table()
checks.close()
