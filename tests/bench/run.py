#!/usr/bin/env python3
"""Prints the loop's numbers as a Markdown table.

usage: ./dev bench [STEPS]        (default: 1000 steps of each shape)

What precision plans cost in quality is measured where the model is (./dev model), on 20,480 tokens of a novel.

Shapes whose ratio is printed are interleaved in one process, so that it holds when the machine's speed drifts. Other
work on the machine makes every figure an upper bound; the load average is printed for that reason.
"""
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time

build = pathlib.Path(sys.argv[1]).resolve()
steps = sys.argv[2] if len(sys.argv) > 2 else '1000'
if not steps.isdigit() or int(steps) < 100:
    sys.exit(f"bench: expected a number of steps, at least 100, found '{steps}'")
program = str(build / 'serveloop')


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def worlds(*shapes):
    return [json.loads(line) for line in output(str(build / 'tests/bench/bench_step'), steps, *shapes).splitlines()]


def row(what, least, aim, measured):
    print(f'| {what} | {least} | {aim} | {measured} |', flush=True)


def processor():
    for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            return line.split(':', 1)[1].strip()
    return platform.processor()


def decode_steps():
    for running, least, aim in ((256, 12, 8), (1024, 50, 32), (4096, 220, 120)):
        world, = worlds(f'{running}:100:1000')
        median, p99 = world['median_us'], world['p99_us']
        row(f'decode step, {running:,} running, median', f'{least} µs', f'{aim} µs', f'{median} µs')
        row(f'p99 of the same over its median', '4 ×', '2 ×', f'{p99 / median:.2f} × ({p99} µs)')


def independence():
    pairs = (('100 → 100,000 waiting, 1,024 running', '1024:100:1000', '1024:100000:1000'),
             ('1 k → 1 M cached blocks, 1,024 running', '1024:100:1000', '1024:100:1000000'))
    for what, small, large in pairs:
        a, b = worlds(small, large)
        change = 100 * (b['median_us'] / a['median_us'] - 1)
        row(f'{what}: change of the median', '10 %', 'the spread', f'{change:+.1f} %')


def schedulers():
    for name in sorted(path.parent.name for path in pathlib.Path('plugins/schedulers').glob('*/plugin.toml')
                       if 'gate = true' not in path.read_text()):
        if name == 'fcfs':
            continue
        fcfs, few, many = worlds('1024:10000:1000:fcfs', f'1024:10000:1000:{name}', f'1024:100000:1000:{name}')
        times, growth = few['median_us'] / fcfs['median_us'], 100 * (many['median_us'] / few['median_us'] - 1)
        row(f'step under `{name}`, 1,024 running, 10,000 waiting, over that under `fcfs`; change to 100,000', '2 ×; 10 %', '',
            f"{times:.2f} ×; {growth:+.1f} %")


def policy_call():
    found = json.loads(output(str(build / 'tests/unit/policy/bench_policy_call')))
    row('overhead of a policy call', '1 µs', '0.1 µs', f"{found['value'] / 1000:.3f} µs")


def the_hour():
    hour = ['--config', 'configs/simulate_sarathi.toml', '--set', 'workload.trace=data/traces/azure2023_conv.csv']
    begun = time.monotonic()
    output(program, 'simulate', *hour)
    row('simulate the Azure conversation hour, 8B, `sarathi`', '5 s', '2 s', f'{time.monotonic() - begun:.2f} s')
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, 'hour.slog')
        output(program, 'simulate', *hour, '--log', log)
        begun = time.monotonic()
        said = output(program, 'replay', log)
        took = time.monotonic() - begun
    decisions = re.search(r'([\d,]+) decisions', said)
    row("replay of that hour's log" + (f', {decisions[1]} decisions' if decisions else ''), '10 s', '4 s', f'{took:.2f} s')


def quality():
    model = pathlib.Path(os.environ['SERVELOOP_MODELS']) / 'SmolLM2-135M-Instruct.Q4_1.gguf'
    if not model.exists():
        return row('divergence of precision plans', '', '', f'no {model.name}: ./dev model brings it')
    said = output(str(build / 'tests/unit/execute/bench_plans'), str(model), 'data/texts/persuasion.txt', str(os.cpu_count()))
    for found in map(json.loads, said.splitlines()):
        row(f"divergence of `{found['plan']}` from `{found['reference']}`, SmolLM2, {found['tokens']:,} tokens", '', '',
            f"{found['kld']:.2e} ± {found['error']:.1e} nats, same best token {100 * found['same_best']:.1f} %, "
            f"perplexity {found['perplexity']:.3f} ({found['reference_perplexity']:.3f})")


print(f'{time.strftime("%Y-%m-%d")}, {processor()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, '
      f'`./dev bench {steps}`\n')
print('| what | at most | aim | measured |\n|---|---|---|---|')
decode_steps()
independence()
schedulers()
policy_call()
the_hour()
quality()
