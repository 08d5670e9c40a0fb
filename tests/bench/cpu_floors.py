#!/usr/bin/env python3
"""Where a CPU step's time goes, beside what the machine could do, as a Markdown table.

usage: cpu_floors.py BUILD ROUNDS SECONDS FORMAT=MODEL.gguf...   e.g. cpu_floors.py build 3 2 Q4_1=build/models/SmolLM2....gguf

Runs bench_kernels for the limits (a plain read, products within the first cache) and for the products of SmolLM2-135M alone, and
bench_execute_cpu for whole steps, with two threads, in rounds. Other work on the machine only adds to a time, so the least of the
rounds counts. The floor of a step is the longer of the time in which weights and cached keys and values can be read and the
time in which its products can be computed, at those limits.
"""
import json
import pathlib
import re
import subprocess
import sys

THREADS = 2
KV_BYTES = 23_040  # of a token: 2 x 3 heads x 64 x 30 layers x 2 bytes
STEPS = {'decode, 1 sequences': (1, 1, 192), 'decode, 16 sequences': (16, 16, 192), 'prefill of 512': (512, 512, 0)}


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def limits(text):
    """GB/s of a read, GOP/s by type, and {(type, tokens): (ms, bytes, operations)} of all products."""
    line = re.search(rf'threads {THREADS}: read ([\d.]+) GB/s; [^:]*: f32 \d+, bf16 (\d+), q4_0 (\d+), q4_1 (\d+), q8_0 (\d+)', text)
    read, *peaks = map(float, line.groups())
    products = {}
    for kind, tokens, ms, gb, gop in re.findall(
            rf'(\w+) x \w+ +threads {THREADS}  m +(\d+) +([\d.]+) ms +[\d.]+ tokens/s +([\d.]+) GB/s +([\d.]+) GOP/s', text):
        products[kind.upper(), int(tokens)] = (float(ms), float(gb) * 1e6 * float(ms), float(gop) * 1e6 * float(ms))
    return read, dict(zip(('BF16', 'Q4_0', 'Q4_1', 'Q8_0'), peaks)), products


def main(build, rounds, seconds, *models):
    build = pathlib.Path(build)
    read, peaks, products, steps = 0.0, {}, {}, {}
    for _ in range(int(rounds)):
        read_now, peaks_now, products_now = limits(output(build / 'tests/unit/kernels/bench_kernels', 'best', seconds))
        read = max(read, read_now)
        for kind, rate in peaks_now.items():
            peaks[kind] = max(rate, peaks.get(kind, 0))
        for what, measured in products_now.items():
            products[what] = min(measured, products.get(what, measured))
        for kind, path in (model.split('=', 1) for model in models):
            for line in output(build / 'tests/unit/execute/bench_execute_cpu', path, str(THREADS), seconds, 'native',
                               'json').splitlines():
                step = json.loads(line)
                best = steps.setdefault((kind, step['what']), step)
                if step['best_ms'] < best['best_ms']:
                    steps[kind, step['what']] = step
    print(f'{THREADS} threads: read {read:.1f} GB/s; products within the first cache, GOP/s: '
          + ', '.join(f'{kind} {rate:.0f}' for kind, rate in peaks.items()) + '\n')
    print('| format | step | best, ms | products / attention / rest | products alone, ms | bytes, ms | operations, ms | '
          'floor / best |\n|---|---|---|---|---|---|---|---|')
    for (kind, what), step in steps.items():
        tokens, sequences, context = STEPS[what]
        alone, weights, operations = products[kind, tokens]
        bytes_ms = (weights + KV_BYTES * context * sequences) / read / 1e6
        operations_ms = operations / peaks[kind] / 1e6
        print(f'| {kind} | {what} | {step["best_ms"]:.2f} | {step["products"]:.0f} / {step["attention"]:.0f} / '
              f'{step["rest"]:.0f} % | {alone:.2f} | {bytes_ms:.2f} | {operations_ms:.2f} | '
              f'{100 * max(bytes_ms, operations_ms) / step["best_ms"]:.0f} % |')
    return 0


if __name__ == '__main__':
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
