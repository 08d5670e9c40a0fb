"""Hits of the shipped eviction policies on the Mooncake conversation trace (FAST 2025): equal, to the block, to those of their
second writing in eviction_model.py, in both readings; and, with --library, to PyPI's libcachesim (0.3.5) in the reading of keys.

    eviction_test.py SOURCE PLAY_TRACE [--all [--library]]

--all: at a third capacity too. --library runs in the virtual environment that `./dev test --all` makes from requirements.txt, in
$SERVELOOP_VENVS/libcachesim.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import eviction_model as model

if '--library' in sys.argv:
    environment = pathlib.Path(os.environ.get('SERVELOOP_VENVS', 'build/venv')) / 'libcachesim'
    if not (environment / 'complete').exists():
        sys.exit(f'FAILED: there is no virtual environment {environment}; ./dev test --all makes it, with network and python3-venv')
    if pathlib.Path(sys.prefix).resolve() != environment.resolve():
        os.execv(environment / 'bin/python', ['python', *sys.argv])

source, program = pathlib.Path(sys.argv[1]), sys.argv[2]
whole = '--all' in sys.argv
CAPACITIES = (2000, 10000, 30000) if whole else (2000, 10000)
OPTIONS = {'gdsf': ['cost=uniform'], 'slru': ['probation_share=0.2']}
LIBRARY = {'lru': 'LRU', 'slru': 'SLRU', 'lfu': 'LFU', 'gdsf': 'GDSF', 'sieve': 'Sieve', 's3fifo': 'S3FIFO', 'arc': 'ARC'}

requests = [json.loads(line)['hash_ids'] for line in open(source / 'data/traces/mooncake_conversation_trace.jsonl')]
passed = failed = 0


def check(what, expected, found):
    global passed, failed
    passed += expected == found
    failed += expected != found
    if expected != found:
        print(f'{what}: expected {expected} hits, found {found}')


def library(name, blocks):
    import libcachesim
    from libcachesim import cache as inner
    if name == 'slru':  # its class takes no sizes of segments, what it is made of does
        sizes = inner._create_common_params(blocks, 25920000, 24, False, None)
        cache = inner.CacheBase(_cache=inner.SLRU_init(sizes, 'seg-size=2:8'))
    else:
        cache = getattr(libcachesim, LIBRARY[name])(cache_size=blocks)
    hits = 0
    for time, block in enumerate(block for path in requests for block in path):
        request = libcachesim.Request()
        request.obj_id, request.obj_size, request.clock_time = block, 1, time
        hits += cache.get(request)
    return hits


with tempfile.NamedTemporaryFile('w', suffix='.txt') as trace:
    trace.writelines(' '.join(map(str, path)) + '\n' for path in requests)
    trace.flush()

    def play(name, reading, blocks):
        ran = subprocess.run([program, name, reading, str(blocks), trace.name, *OPTIONS.get(name, [])],
                             capture_output=True, text=True)
        return int(ran.stdout) if ran.returncode == 0 else ran.stderr

    for blocks in CAPACITIES:
        for name, policy in model.POLICIES.items():
            keys = play(name, 'keys', blocks)
            check(f'{name}, {blocks} keys', model.hits_of_keys(policy(blocks + 1), blocks, requests), keys)
            if '--library' in sys.argv and name in LIBRARY:
                check(f'{name}, {blocks} keys, libcachesim', library(name, blocks), keys)
            check(f'{name}, prefixes in {blocks} blocks', model.hits_of_prefixes(policy(blocks), blocks, requests),
                  play(name, 'prefix', blocks))
print(f'{passed} passed, {failed} failed')
sys.exit(failed > 0)
