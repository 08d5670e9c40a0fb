"""Hits of the shipped eviction policies on the Mooncake conversation trace and on a synthetic one that tells all of them apart: equal,
to the block, to those of their second writing in eviction_model.py, in both readings; and, with --library, to PyPI's libcachesim
(0.3.5) in the reading of keys. Those of `retention`, with wishes that expire, in the reading of prefixes.

    eviction_test.py SOURCE PLAY_TRACE [--all [--library]]

--all: at a third capacity too. --library runs in the virtual environment that `./dev test --all` makes from requirements.txt, in
$SERVELOOP_VENVS/libcachesim.
"""
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

import eviction_model as model
import eviction_traces as traces

if '--library' in sys.argv:
    environment = pathlib.Path(os.environ.get('SERVELOOP_VENVS', 'build/venv')) / 'libcachesim'
    if not (environment / 'complete').exists():
        sys.exit(f'FAILED: there is no virtual environment {environment}; ./dev test --all makes it, with network and python3-venv')
    if pathlib.Path(sys.prefix).resolve() != environment.resolve():
        os.execv(environment / 'bin/python', ['python', *sys.argv])

source, program = pathlib.Path(sys.argv[1]), sys.argv[2]
whole = '--all' in sys.argv
LIBRARY = {'lru': 'LRU', 'slru probation_share=0.2': 'SLRU', 'lfu': 'LFU', 'gdsf cost=uniform': 'GDSF', 'sieve': 'Sieve',
           's3fifo': 'S3FIFO', 'arc': 'ARC'}
LIBRARY_BLOCKS = 100  # in smaller caches it rounds shares in its own way, and each of its caches takes much memory
passed = failed = 0


def check(what, good):
    global passed, failed
    passed += good
    failed += not good
    if not good:
        print(what)


def equal(what, expected, found):
    check(f'{what}: expected {expected} hits, found {found}', expected == found)


def library(case, blocks, requests):
    import libcachesim
    from libcachesim import cache as inner
    if case.plugin == 'slru':  # its class takes no sizes of segments, what it is made of does
        sizes = inner._create_common_params(blocks, 25920000, 24, False, None)
        cache = inner.CacheBase(_cache=inner.SLRU_init(sizes, 'seg-size=2:8'))
    else:
        cache = getattr(libcachesim, LIBRARY[case.name])(cache_size=blocks)
    hits = 0
    for time, block in enumerate(block for request in requests for block in request.path):
        request = libcachesim.Request()
        request.obj_id, request.obj_size, request.clock_time = block, 1, time
        hits += cache.get(request)
    return hits


class Trace:
    def __init__(self, name, requests):
        self.name, self.requests = name, requests
        self.file = tempfile.NamedTemporaryFile('w', suffix='.txt')
        traces.write(requests, self.file)

    def keys(self, case, blocks):
        """Hits, which are the model's and the library's."""
        hits = self.play(case, 'keys', blocks)
        what = f'{self.name}: {case.name}, {blocks} keys'
        equal(what, model.hits_of_keys(case.make(blocks + 1), blocks, self.requests), hits)
        if '--library' in sys.argv and case.name in LIBRARY and blocks >= LIBRARY_BLOCKS:
            equal(f'{what}, libcachesim', library(case, blocks, self.requests), hits)
        return hits

    def prefixes(self, case, blocks):
        hits = self.play(case, 'prefix', blocks)
        equal(f'{self.name}: {case.name}, prefixes in {blocks} blocks',
              model.hits_of_prefixes(case.make(blocks), blocks, self.requests), hits)
        return hits

    def play(self, case, reading, blocks):
        ran = subprocess.run([program, case.plugin, reading, str(blocks), self.file.name, *case.options],
                             capture_output=True, text=True)
        return int(ran.stdout) if ran.returncode == 0 else ran.stderr


def hits_are_equal(trace, capacities):
    """Returns the hits of each policy, capacity by capacity and reading by reading."""
    return {case.name: [(trace.keys(case, blocks), trace.prefixes(case, blocks)) for blocks in capacities]
            for case in model.CASES}


def told_apart(trace, hits, capacities):
    """Else a plugin that did what another one does would pass."""
    for i, blocks in enumerate(capacities):
        for a, b in itertools.combinations(hits, 2):
            check(f'{trace.name}, {blocks} blocks: {a} and {b} have the same hits: {hits[a][i]}', hits[a][i] != hits[b][i])


def wishes_count(name, requests, capacities):
    """Where nobody asks for anything `retention` is `lru`; where they do, it is not."""
    plain, asking = Trace(name, requests), Trace(f'{name}, with wishes', traces.with_keeps(requests))
    for blocks in capacities:
        like_lru = plain.play(model.CASES[0], 'prefix', blocks)
        equal(f'{name}: retention, prefixes in {blocks} blocks', like_lru, plain.play(model.RETENTION, 'prefix', blocks))
        hits = asking.prefixes(model.RETENTION, blocks)
        check(f'{name}: wishes change nothing in {blocks} blocks', hits != like_lru)


def small_caches(count):
    for seed in range(count):
        blocks, requests = traces.small(seed)
        hits_are_equal(Trace(f'small {seed}', requests), (blocks,))
        Trace(f'small {seed}, with wishes', traces.with_keeps(requests, seed)).prefixes(model.RETENTION, blocks)


MOONCAKE, SYNTHETIC = (2000, 10000, 30000) if whole else (2000, 10000), (400, 1500)
conversation, drawn = traces.mooncake(source), traces.synthetic()
hits_are_equal(Trace('Mooncake', conversation), MOONCAKE)
synthetic = Trace('synthetic', drawn)
told_apart(synthetic, hits_are_equal(synthetic, SYNTHETIC), SYNTHETIC)
small_caches(12)
wishes_count('Mooncake', conversation, MOONCAKE)
wishes_count('synthetic', drawn, SYNTHETIC)
print(f'{passed} passed, {failed} failed')
sys.exit(failed > 0)
