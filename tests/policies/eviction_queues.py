"""Eviction policies made of queues, a second time: lru, slru, sieve, s3fifo, arc. What they hear: eviction_model.py."""
from collections import OrderedDict
from fractions import Fraction


class Policy:
    """What the cache tells and asks; a policy says what it does with it."""
    above = {}  # of a block the one before it on its path; filled in by the cache

    def begin(self, request):
        """All that follows is of this request, until the next."""

    def entered(self, block, depth):
        """A new block, in use, behind `depth` others."""

    def hit(self, block):
        pass

    def idle(self, block):
        pass

    def start(self):
        """Victims are asked for."""

    def gone(self, block):
        pass


def take_first(queue, free):
    """Takes out the first of a queue that may leave."""
    block = next((block for block in queue if free(block)), None)
    queue.pop(block, None)
    return block


class Lru(Policy):
    def __init__(self, blocks):
        self.queue = OrderedDict()

    def hit(self, block):
        self.queue.pop(block, None)

    def idle(self, block):
        self.queue[block] = None

    def victim(self, free):
        return take_first(self.queue, free)


class Slru(Policy):
    def __init__(self, blocks, share=Fraction(8, 10), probation_share=Fraction(1)):
        self.capacity, self.room = int(share * blocks), int(probation_share * blocks)
        self.probation, self.protected, self.was_hit = OrderedDict(), OrderedDict(), set()

    def entered(self, block, depth):
        self.was_hit.discard(block)

    def hit(self, block):
        self.was_hit.add(block)
        self.probation.pop(block, None)
        self.protected.pop(block, None)

    def idle(self, block):
        if block not in self.was_hit and (len(self.probation) < self.room or len(self.protected) >= self.capacity):
            self.probation[block] = None
            return
        if block in self.above:  # one below it was hit, so it is one that is used again
            self.was_hit.add(self.above[block])
        self.protected[block] = None
        while len(self.protected) > self.capacity:
            self.probation[self.protected.popitem(last=False)[0]] = None

    def victim(self, free):
        found = take_first(self.probation, free)
        return found if found is not None else take_first(self.protected, free)

    def gone(self, block):
        self.was_hit.discard(block)


class Sieve(Policy):
    def __init__(self, blocks):
        self.queue, self.members, self.visited, self.hand = [], set(), set(), 0  # oldest first; the hand is an index

    def hit(self, block):
        self.visited.add(block)

    def idle(self, block):
        if block not in self.members:
            self.members.add(block)
            self.queue.append(block)

    def victim(self, free):
        for _ in range(2 * len(self.queue)):
            block = self.queue[self.hand]
            if block in self.visited:
                self.visited.remove(block)
            elif free(block):
                del self.queue[self.hand]  # the hand is at the one behind it now
                self.hand %= max(len(self.queue), 1)  # after the newest comes the oldest, whoever joins meanwhile
                self.members.remove(block)
                return block
            self.hand = (self.hand + 1) % len(self.queue)
        return None

    def gone(self, block):
        self.visited.discard(block)


class S3Fifo(Policy):
    def __init__(self, blocks, small=Fraction(1, 10), ghost=Fraction(9, 10), hits_to_main=2):
        self.share, self.ghost_share, self.to_main = small, ghost, hits_to_main
        self.blocks, self.held = blocks, 0
        self.small, self.main, self.ghosts = OrderedDict(), OrderedDict(), OrderedDict()  # queues: block to its hits
        self.again = set()

    def entered(self, block, depth):
        if block in self.ghosts:
            del self.ghosts[block]
            self.again.add(block)

    def hit(self, block):
        queue = self.small if block in self.small else self.main
        if block in queue:
            queue[block] += 1

    def idle(self, block):
        if block in self.small or block in self.main:
            return
        warming_up = self.held == 0 and len(self.small) >= int(self.share * self.blocks)
        (self.main if block in self.again or warming_up else self.small)[block] = 0
        self.again.discard(block)

    def start(self):
        self.held = len(self.small) + len(self.main)
        self.main_share, self.most_ghosts = self.held - int(self.share * self.held), int(self.ghost_share * self.held)

    def victim(self, free):
        small_stay = main_stay = 0  # looked at one after the other, and not free
        while True:
            small_left, main_left = small_stay < len(self.small), main_stay < len(self.main)
            if not small_left and not main_left:
                return None
            if small_left and (len(self.main) <= self.main_share or not main_left):
                block, hits = self.small.popitem(last=False)
                if hits >= self.to_main:
                    self.main[block] = 0
                    small_stay = main_stay = 0
                elif free(block):
                    self.ghosts[block] = None
                    while len(self.ghosts) > self.most_ghosts:
                        self.ghosts.popitem(last=False)
                    return block
                else:
                    self.small[block] = hits
                    small_stay += 1
            else:
                block, hits = self.main.popitem(last=False)
                if hits > 0:
                    self.main[block] = min(hits, 3) - 1
                    main_stay = 0
                elif free(block):
                    return block
                else:
                    self.main[block] = hits
                    main_stay += 1


class Arc(Policy):
    def __init__(self, blocks):
        self.t1, self.t2, self.b1, self.b2 = OrderedDict(), OrderedDict(), OrderedDict(), OrderedDict()
        self.target, self.in_b2, self.forgets, self.again = 0, False, False, set()
        self.ghosts_of = {}  # of a victim: where its key goes

    def size(self):
        return len(self.t1) + len(self.t2)

    def entered(self, block, depth):
        self.in_b2, self.forgets = block in self.b2, False
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

    def idle(self, block):
        (self.t2 if block in self.again else self.t1)[block] = None

    def start(self):
        self.left1 = len(self.t1)

    def victim(self, free):
        prefers1 = self.left1 > 0 and (self.left1 > self.target or (self.in_b2 and self.left1 == self.target))
        for queue in (self.t1, self.t2) if prefers1 else (self.t2, self.t1):
            block = take_first(queue, free)
            if block is not None:
                self.left1 -= queue is self.t1
                self.ghosts_of[block] = self.b1 if queue is self.t1 else self.b2
                return block
        return None

    def gone(self, block):
        ghosts = self.ghosts_of.pop(block)
        if ghosts is self.b1 and self.forgets:
            self.forgets = False
        else:
            ghosts[block] = None
