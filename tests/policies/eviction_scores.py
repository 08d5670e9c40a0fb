"""Eviction policies that are a score, a second time: lfu, gdsf, retention. What they hear: eviction_model.py."""
import functools
import heapq

from eviction_queues import Policy

BLOCK_TOKENS = 512
# What a prefill costs, a token and a token that it attends to: of the cost model that play_trace is told.
PREFILL_TOKEN_NS = 20000.0
PREFILL_CONTEXT_NS = 1.0


class Scored(Policy):
    """Lowest score first, then whoever went idle first."""

    def __init__(self, blocks):
        self.depth, self.uses = {}, {}
        self.of, self.clock = {}, 0  # of an idle block its score, and when it went idle
        self.heap, self.waiting = [], set()  # waiting: came first, but something stayed below them

    def entered(self, block, depth):
        self.depth[block], self.uses[block] = depth, 1

    def hit(self, block):
        self.uses[block] += 1
        self.of.pop(block, None)

    def idle(self, block):
        self.clock += 1
        self.put(block, self.score(block), self.clock)

    def put(self, block, score, clock):
        self.of[block] = (score, clock)
        heapq.heappush(self.heap, (score, clock, block))

    def victim(self, free):
        while self.heap:
            score, clock, block = heapq.heappop(self.heap)
            if self.of.get(block) != (score, clock):
                continue
            if not free(block):
                self.waiting.add(block)
                continue
            above = self.above.get(block)
            if above in self.waiting:  # its turn may have come
                self.waiting.remove(above)
                if above in self.of:
                    self.put(above, *self.of[above])
            return block
        return None

    def gone(self, block):
        self.of.pop(block, None)
        self.waiting.discard(block)


class Lfu(Scored):
    def score(self, block):
        return self.uses[block]


@functools.cache
def prefill_ns(depth):
    """Of a block behind `depth` others. In double as the plugin has it, so that priorities that nearly tie are in its order."""
    pairs = BLOCK_TOKENS * (depth * BLOCK_TOKENS + (BLOCK_TOKENS + 1.0) * 0.5)
    return PREFILL_TOKEN_NS * BLOCK_TOKENS + PREFILL_CONTEXT_NS * pairs


class Gdsf(Scored):
    def __init__(self, blocks, by_prefill=True):
        super().__init__(blocks)
        self.by_prefill, self.inflation, self.priority = by_prefill, 0.0, {}

    def entered(self, block, depth):
        super().entered(block, depth)
        self.used(block)

    def hit(self, block):
        super().hit(block)
        self.used(block)

    def used(self, block):
        cost = prefill_ns(self.depth[block]) / prefill_ns(0) if self.by_prefill else 1.0
        self.priority[block] = self.inflation + self.uses[block] * cost

    def score(self, block):
        return self.priority[block]

    def gone(self, block):
        self.inflation = max(self.inflation, self.of[block][0])
        super().gone(block)


class Retention(Scored):
    """A wish holds from a block's last use on, for its duration. A use after that finds a block of which nobody said anything."""
    DEFAULT = 35

    def __init__(self, blocks):
        super().__init__(blocks)
        self.wishes, self.ends, self.timers = {}, {}, []  # ends: of idle blocks with a wish; timers: (end, block)

    def begin(self, request):
        self.request = request

    def entered(self, block, depth):
        super().entered(block, depth)
        self.wish(block)

    def hit(self, block):
        super().hit(block)
        if block in self.ends and self.ends.pop(block) <= self.request.at_ns:
            del self.wishes[block]
        self.wish(block)

    def wish(self, block):
        token = self.depth[block] * BLOCK_TOKENS
        for keep in self.request.keeps:
            if keep.from_token <= token < keep.to_token:
                self.wishes[block] = keep

    def idle(self, block):
        super().idle(block)
        if block in self.wishes:
            self.ends[block] = self.request.at_ns + self.wishes[block].duration_ns
            heapq.heappush(self.timers, (self.ends[block], block))

    def score(self, block):
        return self.wishes[block].priority if block in self.wishes else self.DEFAULT

    def start(self):
        while self.timers and self.timers[0][0] <= self.request.at_ns:
            end, block = heapq.heappop(self.timers)
            if self.ends.get(block) == end:
                del self.ends[block], self.wishes[block]
                self.put(block, self.DEFAULT, self.of[block][1])

    def gone(self, block):
        super().gone(block)
        self.wishes.pop(block, None)
        self.ends.pop(block, None)
