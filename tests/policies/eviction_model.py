"""The shipped eviction policies written a second time, straight from their papers, and a cache that drives them.

Two readings of a trace:
- keys: each block is a cache entry of its own, looked up by itself, as in studies of object caches.
- prefix: a request's blocks are a path of the prompt tree. It hits the longest cached prefix; the rest is inserted. Blocks
  of a request that runs stay; of others only those leave that have nothing cached below them. They go idle leaf first.

A policy hears `entered` (a new block, in use), `hit`, `idle` and `gone`, and names one `victim` after the other, blocks for which
`free(block)` holds. In the reading of keys it hears of the new block before it is asked for a victim, as the papers have it; in
the reading of prefixes after, as in the engine.
"""
import heapq
from collections import OrderedDict
from fractions import Fraction


def first(queue, free):
    """The first of a queue that may leave."""
    return next((block for block in queue if free(block)), None)


class Lru:
    def __init__(self, blocks):
        self.queue = OrderedDict()

    def entered(self, block):
        pass

    def hit(self, block):
        self.queue.pop(block, None)

    def idle(self, block, depth):
        self.queue[block] = None

    def start(self):
        pass

    def victim(self, free):
        return first(self.queue, free)

    def gone(self, block):
        del self.queue[block]


class Slru:
    def __init__(self, blocks, share=Fraction(8, 10), probation_share=Fraction(2, 10)):
        self.room, self.above = int(probation_share * blocks), {}  # above: filled in by the cache
        self.capacity, self.probation, self.protected, self.was_hit = int(share * blocks), OrderedDict(), OrderedDict(), set()

    def entered(self, block):
        self.was_hit.discard(block)

    def hit(self, block):
        self.was_hit.add(block)
        self.probation.pop(block, None)
        self.protected.pop(block, None)

    def idle(self, block, depth):
        if block not in self.was_hit and (len(self.probation) < self.room or len(self.protected) >= self.capacity):
            self.probation[block] = None
            return
        if block in self.above:  # one below it was hit, so it is one that is used again
            self.was_hit.add(self.above[block])
        self.protected[block] = None
        while len(self.protected) > self.capacity:
            self.probation[self.protected.popitem(last=False)[0]] = None

    def start(self):
        pass

    def victim(self, free):
        found = first(self.probation, free)
        return found if found is not None else first(self.protected, free)

    def gone(self, block):
        self.probation.pop(block, None)
        self.protected.pop(block, None)
        self.was_hit.discard(block)


class Scored:
    """Lowest score first, then whoever went idle first."""

    def __init__(self, blocks):
        self.uses, self.of, self.heap, self.passed, self.clock = {}, {}, [], [], 0

    def entered(self, block):
        self.uses[block] = 1

    def hit(self, block):
        self.uses[block] += 1
        self.of.pop(block, None)

    def idle(self, block, depth):
        self.clock += 1
        self.of[block] = (self.score(block, depth), self.clock)
        heapq.heappush(self.heap, (*self.of[block], block))

    def start(self):
        for entry in self.passed:
            heapq.heappush(self.heap, entry)
        self.passed = []

    def victim(self, free):
        while self.heap and not self.valid(self.heap[0]):
            heapq.heappop(self.heap)
        # One that was passed over, since something stayed below it, may leave by now.
        for entry in sorted(self.passed):
            if self.heap and self.heap[0] < entry:
                break
            if self.valid(entry) and free(entry[2]):
                self.passed.remove(entry)
                return entry[2]
        while self.heap:
            entry = heapq.heappop(self.heap)
            if not self.valid(entry):
                continue
            if free(entry[2]):
                return entry[2]
            self.passed.append(entry)
        return None

    def valid(self, entry):
        return self.of.get(entry[2]) == entry[:2]

    def gone(self, block):
        self.of.pop(block, None)


class Lfu(Scored):
    def score(self, block, depth):
        return self.uses[block]


class Gdsf(Scored):
    def __init__(self, blocks):
        super().__init__(blocks)
        self.inflation, self.priority = 0.0, {}

    def entered(self, block):
        super().entered(block)
        self.priority[block] = self.inflation + 1

    def hit(self, block):
        super().hit(block)
        self.priority[block] = self.inflation + self.uses[block]

    def score(self, block, depth):
        return self.priority[block]

    def gone(self, block):
        self.inflation = max(self.inflation, self.of[block][0])
        super().gone(block)


class Retention(Scored):
    """Of blocks of which nobody said anything: LRU. `worth` gives the priority of the others, which do not expire."""
    worth = staticmethod(lambda block, depth: None)

    def score(self, block, depth):
        worth = self.worth(block, depth)
        return 35 if worth is None else worth


class Sieve:
    def __init__(self, blocks):
        self.queue, self.members, self.visited, self.hand = [], set(), set(), 0  # oldest first; the hand is an index

    def entered(self, block):
        pass

    def hit(self, block):
        self.visited.add(block)

    def idle(self, block, depth):
        if block not in self.members:
            self.members.add(block)
            self.queue.append(block)

    def start(self):
        pass

    def victim(self, free):
        for _ in range(2 * len(self.queue)):
            self.hand %= len(self.queue)
            block = self.queue[self.hand]
            if block in self.visited:
                self.visited.remove(block)
            elif free(block):
                del self.queue[self.hand]  # the hand is at the one behind it now; at the end, of those that join
                self.members.remove(block)
                return block
            self.hand += 1
        return None

    def gone(self, block):
        self.visited.discard(block)


class S3Fifo:
    def __init__(self, blocks, small=Fraction(1, 10), ghost=Fraction(9, 10), hits_to_main=2):
        self.share, self.ghost_share, self.to_main = small, ghost, hits_to_main
        self.blocks, self.held = blocks, 0
        self.small, self.main, self.ghosts = OrderedDict(), OrderedDict(), OrderedDict()  # queues: block to its hits
        self.again = set()

    def entered(self, block):
        if block in self.ghosts:
            del self.ghosts[block]
            self.again.add(block)

    def hit(self, block):
        queue = self.small if block in self.small else self.main
        if block in queue:
            queue[block] += 1

    def idle(self, block, depth):
        if block in self.small or block in self.main:
            return
        warming_up = self.held == 0 and len(self.small) >= int(self.share * self.blocks)
        (self.main if block in self.again or warming_up else self.small)[block] = 0
        self.again.discard(block)

    def start(self):
        self.held = len(self.small) + len(self.main)

    def victim(self, free):
        staying = {'small': 0, 'main': 0}  # looked at one after the other, and not free
        while True:
            some = [name for name in ('small', 'main') if staying[name] < len(getattr(self, name))]
            if not some:
                return None
            preferred = 'small' if len(self.main) <= self.held - int(self.share * self.held) else 'main'
            name = preferred if preferred in some else some[0]
            queue = getattr(self, name)
            block, hits = queue.popitem(last=False)
            if name == 'small' and hits >= self.to_main:
                self.main[block] = 0
                staying = {'small': 0, 'main': 0}
            elif name == 'main' and hits > 0:
                self.main[block] = min(hits, 3) - 1
                staying['main'] = 0
            elif not free(block):
                queue[block] = hits
                staying[name] += 1
            else:
                if name == 'small':
                    self.ghosts[block] = None
                    while len(self.ghosts) > int(self.ghost_share * self.held):
                        self.ghosts.popitem(last=False)
                return block

    def gone(self, block):
        pass


class Arc:
    def __init__(self, blocks):
        self.t1, self.t2, self.b1, self.b2 = OrderedDict(), OrderedDict(), OrderedDict(), OrderedDict()
        self.target, self.in_b2, self.forgets, self.again = 0, False, False, set()

    def size(self):
        return len(self.t1) + len(self.t2)

    def entered(self, block):
        self.in_b2 = block in self.b2
        if block in self.b1:
            self.target = min(self.size(), self.target + max(len(self.b2) / len(self.b1), 1))
            del self.b1[block]
            self.again.add(block)
        elif block in self.b2:
            self.target = max(0, self.target - max(len(self.b1) / len(self.b2), 1))
            del self.b2[block]
            self.again.add(block)
        else:
            self.again.discard(block)
            if len(self.t1) + len(self.b1) >= self.size():
                self.forgets = not self.b1
                if self.b1:
                    self.b1.popitem(last=False)
            elif len(self.b1) + len(self.b2) >= self.size() and self.b2:
                self.b2.popitem(last=False)

    def hit(self, block):
        self.t1.pop(block, None)
        self.t2.pop(block, None)
        self.again.add(block)

    def idle(self, block, depth):
        (self.t2 if block in self.again else self.t1)[block] = None

    def start(self):
        self.left1 = len(self.t1)

    def victim(self, free):
        prefers1 = self.left1 > 0 and (self.left1 > self.target or (self.in_b2 and self.left1 == int(self.target)))
        for queue in (self.t1, self.t2) if prefers1 else (self.t2, self.t1):
            block = first(queue, free)
            if block is not None:
                self.left1 -= queue is self.t1
                return block
        return None

    def gone(self, block):
        if block in self.t1:
            del self.t1[block]
            if self.forgets:
                self.forgets = False
            else:
                self.b1[block] = None
        else:
            del self.t2[block]
            self.b2[block] = None


POLICIES = {'lru': Lru, 'slru': Slru, 'lfu': Lfu, 'gdsf': Gdsf, 'sieve': Sieve, 's3fifo': S3Fifo, 'arc': Arc, 'retention': Retention}


def hits_of_keys(policy, blocks, requests):
    """How many lookups found their block. `policy` is built for one block more, the one that comes."""
    cached, hits = set(), 0
    for path in requests:
        for block in path:
            if block in cached:
                hits += 1
                policy.hit(block)
            else:
                policy.entered(block)
                if len(cached) == blocks:
                    policy.start()
                    out = policy.victim(lambda block: True)
                    policy.gone(out)
                    cached.remove(out)
                cached.add(block)
            policy.idle(block, 0)
    return hits


def hits_of_prefixes(policy, blocks, requests):
    """How many blocks of the paths were hit."""
    children, above, cached, hits = {}, {}, set(), 0
    if isinstance(policy, Slru):
        policy.above = above
    for path in requests:
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
            policy.entered(block)
        for i in range(len(path) - 1, -1, -1):
            policy.idle(path[i], i)
    return hits
