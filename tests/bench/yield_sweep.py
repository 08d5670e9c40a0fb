#!/usr/bin/env python3
"""Swap against recompute over the bandwidth between device and host, in the simulator with the 8B calibration.

usage: yield_sweep.py SERVELOOP CALIBRATION.toml

Prints a Markdown table: the time of one and the same run under each preemption policy, at bandwidths from 0.5 to 50 GB/s.
Fails where `cost` is more than 3 % slower than the better of `swap` and `recompute`, and where neither of these is ever
the better one: then the sweep would ask nothing of `cost`. Cached blocks are dropped, not demoted, so that copies are those
of the sequences that yield.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

BANDWIDTHS = (0.5, 0.7, 1, 1.4, 2, 3, 5, 7, 10, 14, 20, 30, 50)  # GB/s
POLICIES = ('recompute', 'swap', 'cost')
MOST = 1.03  # of the better one's time

CONFIGURATION = '''
[engine]
executor = "simulated"
token_budget = 2048
max_sequences = 256
context_tokens = 16384
kv_blocks = 2500
host_kv_memory = "64GiB"
prefix_cache = false
lag = 1

[policy]
scheduler = "fcfs"
eviction = { plugin = "lru", options = { demote = false } }

[simulated]
calibration = "./calibration.toml"

[workload]
source = "synthetic"
arrival = "closed"
concurrency = 24
requests = 300
seed = 1

[workload.prompt]
distribution = "lognormal"
mean_tokens = 1500
cv = 1.0
max_tokens = 8000

[workload.output]
distribution = "lognormal"
mean_tokens = 800
cv = 0.8
max_tokens = 2000
'''


def seconds(program, command, config, policy):
    """Of the run, and how many sequences yielded in it. command: simulate or bench."""
    done = subprocess.run([program, command, '--config', str(config), '--set', f'policy.preemption={policy}'],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f'{command} under {policy}: {done.stderr}')

    def figure(name):
        return float(re.search(rf'(?m)^{re.escape(name)} +([\d.]+)$', done.stdout)[1])
    return figure('time of the run, s'), figure('preemptions')


def main(program, calibration):
    text = pathlib.Path(calibration).read_text()
    better, wrong = set(), []
    print('| GB/s | recompute, s | swap, s | cost, s | cost over the better |\n|---|---|---|---|---|')
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / 'sweep.toml').write_text(CONFIGURATION)
        for bandwidth in BANDWIDTHS:
            changed, count = re.subn(r'(?m)^swap_gb_per_s = .*$', f'swap_gb_per_s = {float(bandwidth)}', text)
            if count != 1:
                sys.exit(f'yield_sweep: {calibration}: expected one line swap_gb_per_s, found {count}')
            (folder / 'calibration.toml').write_text(changed)
            run = {policy: seconds(program, 'simulate', folder / 'sweep.toml', policy) for policy in POLICIES}
            best = min(POLICIES[:2], key=lambda policy: run[policy][0])
            better.add(best)
            over = run['cost'][0] / run[best][0]
            print(f'| {bandwidth} | ' + ' | '.join(f'{run[p][0]:.1f} ({run[p][1]:.0f} yields)' for p in POLICIES) +
                  f' | {over:.3f} |', flush=True)
            if over > MOST:
                wrong.append(f'{bandwidth} GB/s: cost takes {over:.3f} times as long as {best}')
    if len(better) < 2:
        wrong.append(f'{better.pop()} is the better one everywhere')
    for line in wrong:
        print(f'FAILED {line}')
    return 1 if wrong else 0


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
