"""The traces that eviction policies are compared on, and the file in which play_trace reads them.

All that is drawn comes from random() of a stated seed, which is the same in every version of Python.
"""
import bisect
import itertools
import json
import random
from typing import NamedTuple

from eviction_scores import BLOCK_TOKENS, PREFILL_CONTEXT_NS, PREFILL_TOKEN_NS

NEVER = 2**64 - 1


class Keep(NamedTuple):
    """What a request asks of a range of its tokens."""
    from_token: int
    to_token: int
    priority: int
    duration_ns: int


class Request(NamedTuple):
    at_ns: int
    path: list  # ids of its prompt's blocks
    keeps: tuple = ()


class Draw:
    def __init__(self, seed):
        self.random = random.Random(seed).random

    def between(self, low, high):
        return low + int(self.random() * (high - low + 1))

    def one_of(self, items):
        return items[self.between(0, len(items) - 1)]


def mooncake(source):
    """The conversation trace (FAST 2025)."""
    with open(source / 'data/traces/mooncake_conversation_trace.jsonl') as file:
        lines = [json.loads(line) for line in file]
    return [Request(line['timestamp'] * 1_000_000, line['hash_ids']) for line in lines]


class Templates:
    """Prompts that many requests begin with: a tree of shared prefixes, whose leaves are drawn by Zipf's law. Some of them change
    their ranks now and then, so that what was popular is not for ever."""
    SYSTEMS, DOCUMENTS, EXAMPLES = 12, 6, 5

    def __init__(self, draw, ids):
        self.draw = draw
        self.paths = []
        for _ in range(self.SYSTEMS):
            system = fresh(ids, draw.between(2, 9))
            for _ in range(self.DOCUMENTS):
                document = system + fresh(ids, draw.between(1, 12))
                self.paths += [document + fresh(ids, draw.between(0, 6)) for _ in range(self.EXAMPLES)]
        self.weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(self.paths))))
        self.change(len(self.paths))

    def change(self, swaps):
        for _ in range(swaps):
            a, b = self.draw.between(0, len(self.paths) - 1), self.draw.between(0, len(self.paths) - 1)
            self.paths[a], self.paths[b] = self.paths[b], self.paths[a]

    def one(self):
        return self.paths[bisect.bisect(self.weights, self.draw.random() * self.weights[-1])]


def fresh(ids, count):
    return list(itertools.islice(ids, count))


def synthetic(seed=20261128, count=4000):
    """Of ten requests, six are a template and a tail that nobody else has, three go on with one of the last 500, one comes once.
    A request comes 0 to 500 ms after the one before it."""
    draw, ids = Draw(seed), itertools.count()
    templates, requests, at_ns = Templates(draw, ids), [], 0
    for i in range(count):
        if i % 500 == 499:
            templates.change(40)
        kind = draw.between(1, 10)
        if kind <= 6:
            path = templates.one() + fresh(ids, draw.between(0, 5))
        elif kind <= 9 and requests:
            path = draw.one_of(requests[-500:]).path + fresh(ids, draw.between(1, 4))
        else:
            path = fresh(ids, draw.between(1, 30))
        at_ns += draw.between(0, 500_000_000)
        requests.append(Request(at_ns, path))
    return requests


def small(seed, count=60):
    """A cache of so many blocks, and few requests for a few paths of a small tree: how a cache begins, and who leaves by a hair."""
    draw, ids = Draw(seed), itertools.count()
    blocks, paths, requests, at_ns = draw.between(10, 20), [[]], [], 0
    for _ in range(count):
        path = draw.one_of(paths)
        if draw.random() < 0.3 or not path:
            path = (path[:draw.between(0, len(path))] + fresh(ids, draw.between(1, 4)))[:blocks]
            paths.append(path)
        at_ns += draw.between(0, 3) * 1_000_000_000
        requests.append(Request(at_ns, path))
    return blocks, requests


def with_keeps(requests, seed=20261129):
    """Half of the requests ask for up to three ranges, which may overlap and need not end where blocks do, to be kept: for 1 to
    1000 s, for no time, or for ever."""
    draw, asking = Draw(seed), []
    for request in requests:
        keeps, tokens = [], len(request.path) * BLOCK_TOKENS
        for _ in range(draw.between(1, 3) if draw.random() < 0.5 else 0):
            start = draw.between(0, tokens - 1) if draw.random() < 0.5 else 0
            duration_ns = draw.one_of([0, NEVER] + [int(10**(9 + 3 * draw.random()))] * 8)
            keeps.append(Keep(start, draw.between(start + 1, tokens), draw.between(0, 100), duration_ns))
        asking.append(request._replace(keeps=tuple(keeps)))
    return asking


def write(requests, file):
    """As play_trace.cpp reads it. It adds 1 to each id."""
    file.write(f'{BLOCK_TOKENS} {PREFILL_TOKEN_NS} {PREFILL_CONTEXT_NS}\n')
    for request in requests:
        parts = [[request.at_ns, *request.path], *request.keeps]
        file.write(' | '.join(' '.join(map(str, part)) for part in parts) + '\n')
    file.flush()
