#!/usr/bin/env python3
"""Every configuration that is shipped loads and runs, and every calibration with it.

usage: configs_test.py SOURCE_ROOT BUILD_ROOT
"""
import pathlib
import sys
import tomllib

from checks import Checks, root, run

top, build = root(), pathlib.Path(sys.argv[2]).resolve()
program = str(build / 'serveloop')
checks = Checks()


def simulate(config, *overrides):
    of_a_trace = tomllib.loads(config.read_text())['workload'].get('trace')
    command = [program, 'simulate', '--config', str(config), '--set', f'workload.{"limit" if of_a_trace else "requests"}=50']
    for override in overrides:
        command += ['--set', override]
    done = run(command)
    what = f'{config.relative_to(top)} {" ".join(overrides)}: exit code {done.returncode}\n{done.stdout}'
    if checks.check(done.returncode == 0, what):
        rows = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines() if len(line.split()) > 1)
        checks.check(float(rows.get('requests completed', 0)) == 50, what)


configs = sorted((top / 'configs').glob('*.toml'))
checks.check(configs, 'configs/ holds no configuration')
for config in configs:
    simulate(config)
for calibration in sorted((top / 'configs' / 'calibrations').glob('*.toml')):
    simulate(configs[0], f'simulated.calibration={calibration}')
checks.close()
