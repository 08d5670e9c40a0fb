#!/usr/bin/env python3
"""A thousand clients that are killed at random points of a request. Behind them no block, no descriptor and no memory is lost,
and a new client gets the text it got before.

usage: test_killed_clients.py SERVELOOP SOURCE_ROOT BUILD_ROOT [CLIENTS]
"""
import contextlib
import enum
import json
import os
import random
import select
import socket
import struct
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True

import load
import stage

CLIENTS = 1000
AT_ONCE = 64
BLOCKS = 512
GROWTH_KIB = 16 * 1024  # of the second half; buffers of 64 clients at once vary by some MiB


class At(enum.Enum):
    """Where a client is killed."""
    HEAD = 'within the request\'s header'
    BODY = 'before the body is complete'
    SENT = 'the request sent, nothing read'
    ANSWER = 'within the answer\'s header'
    STREAM = 'within the stream'
    LATE = 'far into the stream, or behind its end'


class Killed:
    """One client. It reads until it has `enough` bytes, then it is gone: by FIN, or by RST."""

    def __init__(self, port, source):
        self.at = source.choice(list(At))
        kind = source.choice(load.kinds(1, seed=source.randrange(50), longest=1500))
        body = json.dumps(kind.body | {'stream': source.random() < 0.9, 'ignore_eos': True}).encode()
        request = stage.raw('POST', kind.path, body, 'Connection: close')
        header = request.index(b'\r\n\r\n') + 4
        upto = {At.HEAD: source.randrange(1, header), At.BODY: source.randrange(header, len(request))}.get(self.at, len(request))
        self.enough = {At.ANSWER: source.randrange(1, 100), At.STREAM: source.randrange(200, 3000),
                       At.LATE: source.randrange(3000, 60_000)}.get(self.at, 0)
        self.read = 0
        self.socket = socket.create_connection(('127.0.0.1', port), stage.PATIENCE_S)
        if source.random() < 0.5:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))  # close() resets
        self.socket.sendall(request[:upto])

    def go_on(self):
        """Reads what is there; False once it is time to go."""
        part = self.socket.recv(min(4096, self.enough - self.read))
        self.read += len(part)
        return bool(part) and self.read < self.enough


def kill(port, count, seed):
    """Runs `count` clients, some at once; how many there were of each kind."""
    source, kinds, open_clients = random.Random(seed), dict.fromkeys(At, 0), {}
    while count or open_clients:
        while count and len(open_clients) < AT_ONCE:
            client = Killed(port, source)
            kinds[client.at] += 1
            count -= 1
            if client.enough:
                open_clients[client.socket] = client
            else:
                client.socket.close()
        ready, _, _ = select.select(list(open_clients), [], [], stage.PATIENCE_S)
        if open_clients and not ready:
            raise AssertionError(f'{len(open_clients)} clients hear nothing')
        for one in ready:
            if not open_clients[one].go_on():
                one.close()
                del open_clients[one]
    return kinds


class Survivor(threading.Thread):
    """A client that stays through it all; its texts must be those it got alone."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.over, self.wrong, self.right = server, threading.Event(), [], 0
        self.parameters = {'seed': 9, 'temperature': 1, 'max_tokens': 150, 'ignore_eos': True}
        self.alone = server.text('I stay', **self.parameters)

    def run(self):
        while not self.over.is_set():
            try:
                text = self.server.text('I stay', **self.parameters)
            except Exception as error:
                text = repr(error)
            if text == self.alone:
                self.right += 1
            else:
                self.wrong.append(text)
            time.sleep(0.02)

    def stop(self):
        self.over.set()
        self.join()


class KilledClients(unittest.TestCase):
    def resident_kib(self):
        with open(f'/proc/{self.server.process.pid}/status') as status:
            return next(int(line.split()[1]) for line in status if line.startswith('VmRSS:'))

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.server.process.pid}/fd'))

    def settle(self):
        """Nothing runs, and the one connection is that which asks."""
        self.server.until_idle()
        stage.until(lambda: self.server.metrics().get('serveloop_http_connections') == 1, 'connections are closed')

    def test_nothing_is_lost(self):
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(stage.Server(kv_blocks=BLOCKS, max_sequences=24, max_waiting=4096, scheduler='sarathi'))
            before = self.server.complete('before', seed=4, max_tokens=200, logprobs=2)['choices'][0]
            self.settle()
            descriptors = self.descriptors()
            survivor = Survivor(self.server)
            survivor.start()
            stack.callback(survivor.stop)
            sizes, kinds = [], dict.fromkeys(At, 0)
            for half in range(2):
                for at, count in kill(self.server.port, CLIENTS // 2, half).items():
                    kinds[at] += count
                sizes.append(self.resident_kib())
            survivor.stop()
            self.settle()
            self.check(before, descriptors, sizes, survivor)
            print(f'killed {sum(kinds.values())}:', '; '.join(f'{count} {at.value}' for at, count in kinds.items()))
            print(f'resident KiB {sizes}; descriptors {descriptors}; the one that stayed got {survivor.right} texts')

    def check(self, before, descriptors, sizes, survivor):
        metrics = self.server.metrics()
        blocks = {state: metrics.get('serveloop_kv_blocks', state=state) for state in ('used', 'cached', 'free')}
        self.assertEqual(blocks['used'], 0)
        self.assertEqual(blocks['cached'] + blocks['free'], BLOCKS)
        cancelled = metrics.get('serveloop_sequences_finished_total', reason='cancelled')
        self.assertGreater(cancelled, CLIENTS / 4, 'clients were killed in the midst of it')
        self.assertEqual(metrics.sum('serveloop_sequences_finished_total') - cancelled,
                         sum(metrics.get('serveloop_sequences_finished_total', reason=reason) for reason in ('length', 'stop')))
        self.assertEqual(metrics.get('serveloop_failed_steps_total'), 0)
        self.assertEqual(metrics.sum('serveloop_fallbacks_total'), 0)
        self.assertEqual(self.server.complete('before', seed=4, max_tokens=200, logprobs=2)['choices'][0], before)
        self.assertEqual(survivor.wrong[:2], [])
        self.assertGreater(survivor.right, 3)
        stage.until(lambda: self.descriptors() <= descriptors, f'no descriptor is left open beyond {descriptors}', 10)
        self.assertLess(sizes[1] - sizes[0], GROWTH_KIB, f'memory grows: {sizes} KiB')


if __name__ == '__main__':
    stage.set_up(*sys.argv[1:4])
    if len(sys.argv) > 4:
        CLIENTS = int(sys.argv[4])
    stage.run(sys.modules['__main__'])
