#!/usr/bin/env python3
"""Compares this engine with llama.cpp on the same model files, and prints a Markdown table.

usage: ./dev bench --peers [--rounds N] [--formats Q4_1,BF16,...] [--threads N] [--start-only] [--build-only]

llama.cpp comes as the source package of llama-cpp-python, is built once for this processor into build/peers, and kept.
Both programs take turns, N rounds, each time the other one first; a figure is the median of its rounds and a ratio the
median of the rounds' ratios, so that it holds when the machine's speed drifts. Both run on the same cores with as many
threads. Where our Q4_1 and llama.cpp's fastest format, Q4_0, are both among the formats, these two are compared as well, round
by round. What is run, and in which shapes, is told in docs/BENCHMARKS.md. All figures go to build/peers/results.json. Fails
where a ratio or the start falls short of what is asked for.
"""
import argparse
import collections
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import time

VERSION = '0.3.36'
SHA256 = '832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e'
TOOLS = ('llama-bench', 'llama-batched-bench', 'llama-perplexity', 'llama-quantize')
CMAKE = ('-DCMAKE_BUILD_TYPE=Release', '-DBUILD_SHARED_LIBS=OFF', '-DGGML_NATIVE=ON', '-DGGML_CUDA=OFF',
         '-DGGML_CCACHE=OFF',  # its key would not tell one processor's "native" from another's
         '-DLLAMA_OPENSSL=OFF', '-DLLAMA_SUBPROCESS=OFF', '-DLLAMA_BUILD_TESTS=OFF', '-DLLAMA_BUILD_EXAMPLES=OFF',
         '-DLLAMA_BUILD_SERVER=OFF', '-DLLAMA_BUILD_APP=OFF', '-DLLAMA_USE_PREBUILT_UI=OFF')
PACKAGED = 'SmolLM2-135M-Instruct.Q4_1.gguf'
# What is compared, and how many times as fast this engine must be: (our format, llama.cpp's format) -> one number a shape.
# Pairs that are not here are for information.
SHAPES = ('decode, 1 sequence', 'decode, 16 sequences', 'prefill of 512')
FASTEST = ('Q4_1', 'Q4_0')  # each one's own fastest format of 4 bits
LEAST = {('Q4_1', 'Q4_1'): (1.5, 2.5, 2.5), ('BF16', 'BF16'): (0.95, 1.2, 1.1), FASTEST: (0.9, 1.2, 1.0)}
FORMATS = ('Q4_1', 'BF16', 'Q4_0', 'Q8_0')
START_LIMIT_S = 0.8
CONTEXT, DECODED, SEQUENCES, PROMPT = 128, 128, 16, 512  # as in tests/unit/execute/bench_cpu.cpp


def say(text):
    print(f'== {text}', file=sys.stderr, flush=True)


def processor():
    for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            return line.split(':', 1)[1].strip()
    return platform.processor()


def checked(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f'peers: {command[0]} ended with {done.returncode}:\n{(done.stderr or done.stdout)[-2000:]}')
    return done.stdout


# ---- llama.cpp, built once ------------------------------------------------------------------------------------

def source(folder):
    """The package's llama.cpp, unpacked; the archive is checked before anything of it is read."""
    unpacked = folder / 'source'
    if (unpacked / 'CMakeLists.txt').exists():
        return unpacked
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f'llama_cpp_python-{VERSION}.tar.gz'
    if not archive.exists():
        say(f'downloading llama-cpp-python {VERSION}')
        # The source package of this one alone; what pip asks its name with may come as it likes.
        checked(['python3', '-m', 'pip', 'download', '-q', '--no-binary', 'llama-cpp-python', '--no-deps', '--dest', folder,
                 f'llama-cpp-python=={VERSION}'])
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f'peers: {archive}: expected sha256 {SHA256}, found {found}. Remove it and try again')
    inside = f'llama_cpp_python-{VERSION}/vendor/llama.cpp/'
    part = folder / 'source.part'
    shutil.rmtree(part, ignore_errors=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            # The vocabularies and pages that it carries are of no use here.
            name = member.name.removeprefix(inside)
            if not member.name.startswith(inside) or not member.isfile() or name.startswith(('models/', 'docs/')):
                continue
            to = part / name
            if part.resolve() not in to.resolve().parents:
                sys.exit(f"peers: {archive}: a name that leads out of it: '{member.name}'")
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(tar.extractfile(member).read())
    part.rename(unpacked)
    return unpacked


def built(folder):
    """The folder of llama.cpp's programs. Built anew on another processor, since they use all that this one has."""
    bins, mark = folder / 'build' / 'bin', folder / 'build' / 'processor'
    if mark.exists() and mark.read_text() == processor() and all((bins / tool).exists() for tool in TOOLS):
        return bins
    root = source(folder)
    if mark.exists() and mark.read_text() != processor():
        shutil.rmtree(folder / 'build')
    say(f'building llama.cpp of llama-cpp-python {VERSION} for this processor; this takes 10 minutes or more')
    checked(['nice', '-n', '10', 'cmake', '-S', root, '-B', folder / 'build', '-G', 'Ninja', *CMAKE])
    mark.write_text(processor())
    checked(['nice', '-n', '10', 'ninja', '-C', folder / 'build', *TOOLS])
    return bins


def said_version(bins):
    done = subprocess.run([str(bins / 'llama-bench'), '--version'], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


# ---- Model files, one for both --------------------------------------------------------------------------------

def model_file(name, packaged, folder, bins):
    if name == 'Q4_1':
        return packaged
    file = folder / f'SmolLM2-135M-Instruct.{name}.gguf'
    if not file.exists():
        # From the packaged 4 bits: such weights answer worse than the real ones, and cost the same.
        part = file.with_suffix('.part')
        kept = [] if name == 'BF16' else ['--token-embedding-type', 'q8_0', '--output-tensor-type', 'q8_0']
        checked([bins / 'llama-quantize', '--allow-requantize', *kept, packaged, part, name, 2])
        part.rename(file)
    return file


# ---- One round of each ----------------------------------------------------------------------------------------

def ours(build, model, threads):
    out = checked([build / 'tests/unit/execute/bench_execute_cpu', model, threads, 1, 'native', 'json'])
    return [json.loads(line)['tokens_s'] for line in out.splitlines()]


def theirs(bins, model, threads):
    bench = [bins / 'llama-bench', '-m', model, '-t', threads, '-r', 1, '-o', 'jsonl']
    decode = json.loads(checked([*bench, '-p', 0, '-n', DECODED, '-d', CONTEXT]).splitlines()[-1])['avg_ts']
    batched = checked([bins / 'llama-batched-bench', '-m', model, '-t', threads, '-npp', CONTEXT, '-ntg', DECODED,
                       '-npl', SEQUENCES, '-c', SEQUENCES * (CONTEXT + DECODED), '--output-format', 'jsonl'])
    many = next(json.loads(line)['speed_tg'] for line in batched.splitlines() if line.startswith('{'))
    prefill = json.loads(checked([*bench, '-p', PROMPT, '-n', 0]).splitlines()[-1])['avg_ts']
    return [decode, many, prefill]


def start_s(build, model, threads):
    """From the program's start to its first token."""
    begun = time.monotonic()
    program = subprocess.Popen([build / 'serveloop', 'generate', '--model', model, '--prompt', 'Hi', '--max-tokens', '1',
                                '--set', f'engine.threads={threads}'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = program.stdout.read(1)
    took = time.monotonic() - begun
    _, errors = program.communicate()
    if program.returncode != 0 or not first:
        sys.exit(f'peers: serveloop generate ended with {program.returncode}:\n{errors.decode()[-2000:]}')
    return took


# ---- The table ------------------------------------------------------------------------------------------------

def take_turns(name, model, build, bins, options):
    """Rounds of both on one file: two lists of [tokens/s of each shape]."""
    mine, other = [], []
    for number in range(options.rounds):
        say(f'{name}, round {number + 1} of {options.rounds}')
        turns = [lambda: mine.append(ours(build, model, options.threads)),
                 lambda: other.append(theirs(bins, model, options.threads))]
        for turn in turns if number % 2 == 0 else reversed(turns):
            turn()
    return mine, other


def compare(formats, mine, other):
    """Prints a row a shape of these rounds, whose formats are (ours, llama.cpp's), and returns them."""
    name = formats[0] if formats[0] == formats[1] else f"{formats[0]} beside llama.cpp's {formats[1]}"
    rows = []
    for i, shape in enumerate(SHAPES):
        pairs = [(a[i], b[i]) for a, b in zip(mine, other, strict=True)]
        ratio = statistics.median(a / b for a, b in pairs)
        least = LEAST.get(formats, (None,) * 3)[i]
        row = {'format': name, 'shape': shape, 'rounds': pairs, 'ours': statistics.median(a for a, _ in pairs),
               'llama.cpp': statistics.median(b for _, b in pairs), 'ratio': ratio, 'least': least}
        rows.append(row)
        print(f"| {name} | {shape} | {row['ours']:,.1f} | {row['llama.cpp']:,.1f} | {ratio:.2f} | "
              f"{least if least else '-'} |", flush=True)
    return rows


def table(formats, files, build, bins, options):
    """`files`: where each format's model file is."""
    print("| format | what | tokens/s | llama.cpp, tokens/s | ratio | at least |\n|---|---|---|---|---|---|")
    rows, rounds = [], {}
    for name in formats:
        rounds[name] = take_turns(name, files[name], build, bins, options)
        rows += compare((name, name), *rounds[name])
    if set(FASTEST) <= rounds.keys():
        rows += compare(FASTEST, rounds[FASTEST[0]][0], rounds[FASTEST[1]][1])
    return rows


def shortfalls(rows, start_median):
    short = [f"{r['format']} {r['shape']}: {r['ratio']:.2f} < {r['least']}" for r in rows if r['least'] and r['ratio'] < r['least']]
    return short + ([f'start: {start_median:.2f} s > {START_LIMIT_S} s'] if start_median > START_LIMIT_S else [])


def start(build, model, options):
    start_s(build, model, options.threads)  # the file comes into the page cache
    took = sorted(start_s(build, model, options.threads) for _ in range(max(3, options.rounds)))
    middle = statistics.median(took)
    print(f'\nSecond start to the first token (`serveloop generate --prompt Hi --max-tokens 1`): median {middle:.2f} s of '
          f'{len(took)} ({took[0]:.2f} to {took[-1]:.2f} s); at most {START_LIMIT_S} s')
    return {'seconds': took, 'median': middle}


def main():
    parse = argparse.ArgumentParser(prog='./dev bench --peers')
    parse.add_argument('build', type=pathlib.Path, help=argparse.SUPPRESS)
    parse.add_argument('--rounds', type=int, default=5)
    parse.add_argument('--formats', default=','.join(FORMATS))
    parse.add_argument('--threads', type=int, default=2)
    parse.add_argument('--start-only', action='store_true')
    parse.add_argument('--build-only', action='store_true')
    options = parse.parse_args()
    formats = options.formats.split(',') if options.formats else []
    for name in formats:
        if name not in FORMATS:
            sys.exit(f"peers: --formats: expected some of {', '.join(FORMATS)}, found '{name}'")
    build = options.build.resolve()
    models = pathlib.Path(os.environ.get('SERVELOOP_MODELS', build / 'models')).resolve()
    packaged = models / PACKAGED
    folder = build / 'peers' / VERSION
    if options.build_only:
        return say(f'llama.cpp is in {built(folder)}')
    if not packaged.exists():
        sys.exit(f'peers: expected the model file {packaged}, found none. Fetch it: ./dev model')
    cores = sorted(os.sched_getaffinity(0))[:options.threads]
    load = os.getloadavg()[0]
    facts = collections.OrderedDict(date=time.strftime('%Y-%m-%d'), processor=processor(), cores=len(cores),
                                    threads=options.threads, load=round(load, 1), llama_cpp_python=VERSION)
    if not options.start_only:
        bins = built(folder)
        version = re.search(r'^version: *(\S+)', said_version(bins), re.MULTILINE)
        facts['llama_cpp'] = version[1] if version else ''
    os.sched_setaffinity(0, cores)  # and with it every program started from here
    print(f"{facts['date']}, {facts['processor']}, {len(cores)} cores, {options.threads} threads, load average "
          f"{load:.1f} before, `./dev bench --peers --rounds {options.rounds}`, llama-cpp-python {VERSION}"
          f"{' (llama.cpp ' + facts['llama_cpp'] + ')' if facts.get('llama_cpp') else ''}\n")
    rows = []
    if not options.start_only:
        rows = table(formats, {name: model_file(name, packaged, folder, bins) for name in formats}, build, bins, options)
    began = start(build, packaged, options)
    facts['load_after'] = round(os.getloadavg()[0], 1)
    print(f"\nLoad average after: {facts['load_after']}")
    results = build / 'peers' / 'results.json'
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps({**facts, 'rows': rows, 'start': began}, indent=1) + '\n')
    if short := shortfalls(rows, began['median']):
        sys.exit('peers: short of what is asked for:\n  ' + '\n  '.join(short))


if __name__ == '__main__':
    main()
