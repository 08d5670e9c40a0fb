#!/usr/bin/env python3
"""The engine beside the simulator on the same requests: a slice of the Azure conversation trace at a share of capacity.

usage: compare_simulator.py SERVELOOP CALIBRATION.toml MODEL SHARE SECONDS REPEATS SCHEDULER...
   e.g. compare_simulator.py build/serveloop my.toml build/models/SmolLM2-135M-Instruct.Q4_1.gguf 0.7 300 5 fcfs sarathi priority

The requests are those of the trace from 2,000 s on, so many and at such a rate that they arrive within SECONDS and, if all were
there at once, the simulator would take SHARE of that. REPEATS times, on the CPU executor in real time: another slice at that load, from
1,000 s on, under the first scheduler, whose log is kept; then each scheduler on the requests themselves. The calibration is fitted
again to all those logs, so that what it knows is of the same hour: a machine whose speed drifts by a hundredth moves the time in a
queue by a tenth. With it, the simulator runs once. Prints the median of the repeats and their extremes, and fails where a simulated figure is
further from the median than 10 % (p50) or 15 % (p99) and outside of the repeats as well. Wants a quiet machine.
"""
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

FITTED, COMPARED = 1000, 2000  # s, begins of the slices
FIGURES = ('first_token', 'between_tokens', 'end_to_end')
MOST = {'p50': 0.10, 'p99': 0.15}
TRACE = pathlib.Path(__file__).resolve().parents[2] / 'data/traces/azure2023_conv.csv'

CONFIGURATION = '''
[engine]
token_budget = 512
max_sequences = 32
max_waiting = 4096
context_tokens = 8192
kv_blocks = 2912
lag = 1

[workload]
format = "azure"
seed = 1
'''


class Runs:
    def __init__(self, program, calibration, model, folder):
        self.program, self.folder, self.config = program, folder, folder / 'compare.toml'
        self.calibration = pathlib.Path(calibration).resolve()
        self.config.write_text(f'[model]\npath = "{pathlib.Path(model).resolve()}"\n{CONFIGURATION}trace = "{TRACE}"\n')

    def run(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments), '--config', str(self.config),
                               f'--set=simulated.calibration={self.calibration}'], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f'{arguments}: {done.stderr}')
        return done.stdout

    def figures(self, command, scheduler, start, window, rate, *more):
        out = self.folder / 'out.json'
        out.unlink(missing_ok=True)
        settings = {'engine.executor': 'simulated' if command == 'simulate' else 'cpu', 'policy.scheduler': scheduler,
                    'workload.window': f'[{start}, {start + window:.3f}]', 'workload.rate_scale': f'{rate:.6f}'}
        self.run(command, '--json', out, *more, *(f'--set={key}={value}' for key, value in settings.items()))
        return json.loads(out.read_text())[0]

    def slice(self, scheduler, start, share, seconds):
        """How many seconds of the trace, and at what rate they fill `seconds`."""
        window = 15.0
        for _ in range(4):  # requests differ in length: a longer slice is not just so much more work
            work = self.figures('simulate', scheduler, start, window, 1e4)['seconds']
            window *= share * seconds / work
        return window, window / seconds

    def log_of(self, number, scheduler, window, rate):
        """The other slice, run once more."""
        log = self.folder / f'fit.{number}.slog'
        self.figures('bench', scheduler, FITTED, window, rate, '--log', log)
        return log

    def fit_again(self, logs):
        fitted = self.folder / f'fitted.{len(logs)}.toml'
        table = self.run('bench', '--calibrate', *(word for log in logs for word in ('--from', log)), '--out', fitted)
        self.calibration = fitted
        return table


def main(program, calibration, model, share, seconds, repeats, *schedulers):
    share, seconds, wrong = float(share), float(seconds), []
    with tempfile.TemporaryDirectory() as name:
        runs = Runs(program, calibration, model, pathlib.Path(name))
        other = runs.slice(schedulers[0], FITTED, share, seconds)
        logs = [runs.log_of(0, schedulers[0], *other)]
        runs.fit_again(logs)
        where = (COMPARED, *runs.slice(schedulers[0], COMPARED, share, seconds))
        measured = {scheduler: [] for scheduler in schedulers}
        for repeat in range(int(repeats)):
            if repeat > 0:
                logs.append(runs.log_of(repeat, schedulers[0], *other))
            for scheduler in schedulers:
                measured[scheduler].append(runs.figures('bench', scheduler, *where))
                print(f'{scheduler}: ' + ', '.join(f'{key} {measured[scheduler][-1][f"{key}_{p}_ms"]:.4g}'
                                                   for key in FIGURES for p in MOST), file=sys.stderr, flush=True)
        print(runs.fit_again(logs), flush=True)
        simulated = {scheduler: runs.figures('simulate', scheduler, *where) for scheduler in schedulers}
    first = measured[schedulers[0]][0]
    print(f'window [{COMPARED}, {COMPARED + where[1]:.3f}], rate_scale {where[2]:.6f}: {first["completed"]:.0f} requests\n')
    print('| scheduler | ms | engine, median of ' + repeats + ' (least to most) | simulated | off by |\n|---|---|---|---|---|')
    for scheduler in schedulers:
        for key in FIGURES:
            for percentile, most in MOST.items():
                values = sorted(run[f'{key}_{percentile}_ms'] for run in measured[scheduler])
                middle, there = statistics.median(values), simulated[scheduler][f'{key}_{percentile}_ms']
                off = there / middle - 1
                what = f'{key.replace("_", " ")} {percentile}'
                print(f'| `{scheduler}` | {what} | {middle:,.4g} ({values[0]:,.4g} to {values[-1]:,.4g}) | {there:,.4g} | '
                      f'{100 * off:+.1f} % |')
                if abs(off) > most and not values[0] <= there <= values[-1]:
                    wrong.append(f'{scheduler}, {what}: {100 * off:+.1f} %, expected within {100 * most:.0f} % or the repeats')
    for line in wrong:
        print(f'FAILED {line}')
    return 1 if wrong else 0


if __name__ == '__main__':
    if len(sys.argv) < 8:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
