"""The shipped eviction policies written a second time, straight from their papers, and a cache that drives them.

Two readings of a trace:
- keys: each block is a cache entry of its own, looked up by itself, as in studies of object caches.
- prefix: a request's blocks are a path of the prompt tree. It hits the longest cached prefix; the rest is inserted. Blocks
  of a request that runs stay; of others only those leave that have nothing cached below them. They go idle leaf first.

A policy hears whose request `begin`s, `entered` (a new block, in use), `hit`, `idle` and `gone`, and names one `victim` after the
other, blocks for which `free(block)` holds. In the reading of keys it hears of the new block before it is asked for a victim, as the
papers have it; in the reading of prefixes after, as in the engine.
"""
from collections import OrderedDict
from fractions import Fraction
from typing import Callable, NamedTuple

from eviction_queues import Arc, Lru, S3Fifo, Sieve, Slru
from eviction_scores import Gdsf, Lfu, Retention


class Case(NamedTuple):
    """A shipped policy with options, and what makes its second writing for so many blocks."""
    plugin: str
    make: Callable
    options: tuple = ()

    @property
    def name(self):
        return ' '.join((self.plugin, *self.options))


CASES = [
    Case('lru', Lru),
    Case('slru', Slru),
    Case('slru', lambda blocks: Slru(blocks, probation_share=Fraction(2, 10)), ('probation_share=0.2',)),
    Case('lfu', Lfu),
    Case('sieve', Sieve),
    Case('s3fifo', S3Fifo),
    Case('arc', Arc),
    Case('gdsf', Gdsf),
    Case('gdsf', lambda blocks: Gdsf(blocks, by_prefill=False), ('cost=uniform',)),
]
RETENTION = Case('retention', Retention)


def hits_of_keys(policy, blocks, requests):
    """How many lookups found their block. `policy` is built for one block more, the one that comes."""
    cached, hits = set(), 0
    for request in requests:
        policy.begin(request)
        for block in request.path:
            if block in cached:
                hits += 1
                policy.hit(block)
            else:
                policy.entered(block, 0)
                if len(cached) == blocks:
                    policy.start()
                    out = policy.victim(lambda block: True)
                    policy.gone(out)
                    cached.remove(out)
                cached.add(block)
            policy.idle(block)
    return hits


def hits_of_prefixes(policy, blocks, requests):
    """How many blocks of the paths were hit."""
    children, cached, hits = {}, set(), 0
    above = policy.above = {}
    for request in requests:
        path = request.path
        policy.begin(request)
        matched = next((i for i, block in enumerate(path) if block not in cached), len(path))
        hits += matched
        in_use = set(path[:matched])
        for block in path[:matched]:
            policy.hit(block)
        named = OrderedDict()

        def free(block):
            return block not in in_use and block not in named and not children.get(block)

        need = len(path) - matched - (blocks - len(cached))
        if need > 0:
            policy.start()
        for _ in range(need):
            out = policy.victim(free)
            named[out] = None
            if out in above:
                children[above[out]] -= 1
        for block in named:
            policy.gone(block)
            cached.remove(block)
        for i, block in enumerate(path[matched:], matched):
            cached.add(block)
            if i > 0:
                above[block] = path[i - 1]
                children[path[i - 1]] = children.get(path[i - 1], 0) + 1
            policy.entered(block, i)
        for block in reversed(path):
            policy.idle(block)
    return hits
