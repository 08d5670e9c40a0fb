#!/usr/bin/env python3
"""What docs/PLUGINS.md tells to type works, and all templates build and run.

usage: plugins_test.py SOURCE_ROOT BUILD_ROOT

The section "A preemption policy" is followed as it stands (follow.py). The compilers' lines of the page build every folder of
sdk/template, in a copy of it.
"""
import pathlib
import re
import shutil
import sys
import tempfile
import tomllib

import follow
from checks import Checks, root, run, text_of

COMPILE = re.compile(r'^    (?P<compiler>g\+\+|gcc) (?P<rest>.*?)(?: {2,}.*)?$', re.MULTILINE)

top, build = root(), pathlib.Path(sys.argv[2]).resolve()
page = top / 'docs/PLUGINS.md'
checks = Checks()


def rows_of(output, label):
    """Of each table of the output that has such a row, its numbers."""
    return [[float(number) for number in row.split()] for row in re.findall(rf'^ *{label} +([\d. ]+)$', output, re.MULTILINE)]


def check_preemption(folder):
    outside = folder / 'mine'
    output = follow.follow(follow.section(page, 'A preemption policy', checks), outside, follow.environment(folder, top, build), checks)
    checks.check(follow.same_code(outside / 'mine.cpp', top / 'sdk/template/preemption/mine.cpp'),
                 'mine.cpp of docs/PLUGINS.md is not sdk/template/preemption/mine.cpp')
    checks.check(rows_of(output, 'answers taken by the fallback') == [[0], [0, 0]], f'the fallback answered:\n{output}')
    swapped, recomputed, yields = (rows_of(output, label) for label in ('sequences swapped out', 'recomputed tokens', 'preemptions'))
    checks.check(swapped and swapped[0][0] > 0, f'nobody went to host memory:\n{output}')
    keeps = len(recomputed) == 2 and 0 < recomputed[1][0] < recomputed[1][1] and yields[1][0] > yields[1][1]
    checks.check(keeps, f'nobody kept what was not needed:\n{output}')


def check_templates(folder):
    lines = {found['compiler']: found.group('compiler', 'rest') for found in COMPILE.finditer(text_of(page))}
    checks.check(len(lines) == 2, f'docs/PLUGINS.md: lines of {sorted(lines)}, expected gcc and g++')
    given = follow.environment(folder, top, build) | {'PKG_CONFIG_PATH': str(build / 'sdk')}
    manifests = sorted((top / 'sdk/template').rglob('plugin.toml'))
    checks.check(len(manifests) >= 3, f'{len(manifests)} templates')
    for manifest in manifests:
        copy = folder / manifest.parent.name
        shutil.copytree(manifest.parent, copy, ignore=lambda _, names: [name for name in names if '.' not in name])
        compiler = 'gcc' if (copy / 'mine.c').exists() else 'g++'
        kind = tomllib.loads(text_of(manifest))['kind']
        program = build / 'serveloop'
        for command in (' '.join(lines.get(compiler, ['false'])), f'{program} plugin info ./mine.so',
                        f'{program} simulate --config {top}/configs/simulate_fcfs.toml --set workload.limit=60 '
                        f'--set engine.kv_blocks=1000 --set policy.{kind}=./mine.so'):
            done = run(['bash', '-euc', command], cwd=copy, env=given)
            what = f'sdk/template, {manifest.parent.name}: exit code {done.returncode} of\n{command}\n{done.stdout}'
            checks.check(done.returncode == 0, what)
        checks.check(rows_of(done.stdout, 'answers taken by the fallback') == [[0]], f'the fallback answered:\n{done.stdout}')
        checks.check(rows_of(done.stdout, 'preemptions')[0][0] > 0, f'nobody was asked to yield:\n{done.stdout}')


for check in (check_preemption, check_templates):
    with tempfile.TemporaryDirectory() as folder:
        check(pathlib.Path(folder))
checks.close()
