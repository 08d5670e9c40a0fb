#!/usr/bin/env python3
"""What README.md tells a stranger to type does what it says.

usage: readme_test.py SOURCE_ROOT BUILD_ROOT

Takes the fenced blocks of the section "A policy of your own" as they stand: a block whose line above is a file's name
in backticks and a colon is written to that file, `sh` blocks are run in order, all in one empty folder outside the tree.
Then the table of "What you see" is held against a run of the same configurations.
"""
import os
import pathlib
import re
import sys
import tempfile

from checks import Checks, root, run, text_of

BLOCK = re.compile(r'^(?:`(?P<file>[\w.]+)`:\n\n?)?```(?P<kind>\w*)\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r'-?\d+(?:\.\d+)?')

top, build = root(), pathlib.Path(sys.argv[2]).resolve()
readme = text_of(top / 'README.md')
checks = Checks()


def section(title):
    found = re.search(rf'^## {re.escape(title)}\n(.*?)(?=^## |\Z)', readme, re.MULTILINE | re.DOTALL)
    if not checks.check(found, f'README.md has no section "{title}"'):
        checks.close()
    return found.group(1)


def environment(folder):
    """A tree as README.md expects it: the source, its build in build/."""
    source = folder / 'serveloop'
    source.mkdir()
    for name in ('configs', 'data', 'sdk'):
        (source / name).symlink_to(top / name)
    (source / 'build').symlink_to(build)
    given = {key: value for key, value in os.environ.items() if key not in ('PKG_CONFIG_PATH', 'SERVELOOP_PLUGIN_PATH')}
    if build.parent != top:  # calibrations are looked for beside the program, which is elsewhere here
        given['SERVELOOP_CALIBRATION_PATH'] = str(top / 'configs' / 'calibrations')
    return given | {'SERVELOOP': str(source), 'HOME': str(folder)}


def follow_the_section(folder):
    given, output = environment(folder), ''
    outside = folder / 'mine'
    outside.mkdir()
    for block in BLOCK.finditer(section('A policy of your own')):
        if block['file']:
            (outside / block['file']).write_text(block['text'], encoding='utf-8')
        elif block['kind'] == 'sh':
            done = run(['bash', '-euc', block['text']], cwd=outside, env=given)
            output += done.stdout
            checks.check(done.returncode == 0, f'exit code {done.returncode} of\n{block["text"]}\n{done.stdout}')
    return outside, output


def check_stranger():
    with tempfile.TemporaryDirectory() as folder:
        outside, output = follow_the_section(pathlib.Path(folder))
        checks.check(re.search(r'^policies +mine$', output, re.MULTILINE),
                     f'no table shows the policy `mine`:\n{output}')
        checks.check(re.search(r'^requests completed +[1-9]\d*$', output, re.MULTILINE), 'no request was completed')
        checks.check(re.search(r'^answers taken by the fallback +0$', output, re.MULTILINE),
                     f'the fallback answered for the policy:\n{output}')
        squeezed = [''.join(text.split()) for text in (text_of(outside / 'mine.cpp'), text_of(top / 'sdk/template/mine.cpp'))]
        checks.check(squeezed[0] == squeezed[1], 'mine.cpp of README.md is not sdk/template/mine.cpp')


def rows_of(table):
    """label -> its numbers, of lines that end in numbers."""
    rows = {}
    for line in table.splitlines():
        cells = re.split(r' {2,}', line.strip())
        if len(cells) > 1 and all(NUMBER.fullmatch(cell) for cell in cells[1:]):
            rows[cells[0]] = [float(cell) for cell in cells[1:]]
    return rows


def check_table():
    blocks = [block for block in BLOCK.finditer(section('What you see')) if block['kind'] == 'text']
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
