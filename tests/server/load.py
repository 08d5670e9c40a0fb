#!/usr/bin/env python3
"""Clients that keep a server busy and hold every text against the one that the same request gets alone (law 1, over HTTP).

usage: load.py --serve SERVELOOP SOURCE_ROOT BUILD_ROOT [options]     over a tiny model
       load.py --url http://127.0.0.1:8000 [--key KEY] [options]      over a running server, which nobody else may use meanwhile

First each kind of request is sent alone; then the clients draw from these kinds until the time is over. Prints tokens per
second and latencies as a client sees them (this script is one process: with a tiny model it is the bottleneck), then
`N passed, N failed`: answers that were as they should be, and others. Exit code 1 when one was not.
"""
import argparse
import contextlib
import dataclasses
import http.client
import json
import random
import sys
import threading
import time
import urllib.parse

sys.dont_write_bytecode = True

import stage
import wire

WORDS = ('the', 'and', 'an', 'on', 'winter', 'river', 'stone', 'other', 'shore', 'late', 'mint', 'green', 'ü', 'about', 'a', 'tin')
LEAVE = 0.08  # share of streams that are left in their midst


@dataclasses.dataclass
class Kind:
    path: str
    body: dict
    texts: list = None  # a choice, alone


def kinds(count, seed=1, longest=120):
    """Requests of many shapes; half of their prompts begin alike."""
    source = random.Random(seed)
    shared = [' '.join(source.choices(WORDS, k=60)) for _ in range(3)]
    out = []
    for i in range(count):
        prompt = ' '.join(source.choices(WORDS, k=source.randint(2, 80)))
        if source.random() < 0.5:
            prompt = source.choice(shared) + ' ' + prompt
        body = {'max_tokens': source.randint(1, longest), 'seed': i, 'temperature': source.choice((0, 0.7, 1)), 'n': source.choice((1, 1, 1, 2)),
                'ignore_eos': source.random() < 0.5, 'serveloop': {'priority': source.randint(-3, 3)}}
        if source.random() < 0.3:
            body['stop'] = [source.choice('etaoin') + source.choice('shrdlu')]
        if source.random() < 0.3:
            body |= {'frequency_penalty': 0.5, 'top_p': 0.9}
        if source.random() < 0.5:
            out.append(Kind('/v1/completions', body | {'prompt': prompt}))
        else:
            out.append(Kind('/v1/chat/completions', body | {'messages': [{'role': 'user', 'content': prompt}]}))
    return out


@dataclasses.dataclass
class Seen:
    """What the clients saw. Times in seconds."""
    right: int = 0
    left: int = 0    # streams that a client left; what it had by then was right
    refused: int = 0  # 429
    wrong: list = dataclasses.field(default_factory=list)
    tokens: int = 0
    first: list = dataclasses.field(default_factory=list)
    between: list = dataclasses.field(default_factory=list)
    whole: list = dataclasses.field(default_factory=list)
    seconds: float = 0


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float('nan')


class Client:
    """One keep-alive connection."""

    def __init__(self, host, port, key=None):
        self.address, self.connection = (host, port), None
        self.headers = {'Content-Type': 'application/json'} | ({'Authorization': f'Bearer {key}'} if key else {})

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def send(self, kind, **more):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(*self.address, timeout=600)
        self.connection.request('POST', kind.path, json.dumps(kind.body | more), self.headers)
        return self.connection.getresponse()

    def whole(self, kind):
        response = self.send(kind)
        answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f'{response.status}: {answer}')
        return [one['text'] if 'text' in one else one['message']['content'] for one in answer['choices']]


class Load:
    """`clients` threads over `kinds`, between start() and stop()."""

    def __init__(self, host, port, work, clients, key=None, seed=1):
        self.kinds, self.seen, self.seed = work, Seen(), seed
        self._address, self._clients, self._over, self._lock = (host, port, key), clients, threading.Event(), threading.Lock()

    def learn(self):
        """Each kind's texts, alone."""
        with contextlib.closing(Client(*self._address)) as client:
            for kind in self.kinds:
                kind.texts = client.whole(kind)
        return self

    def start(self):
        self._threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(self._clients)]
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.seen.seconds = time.monotonic() - self._began
        return self.seen

    def _run(self, number):
        source = random.Random(f'{self.seed}/{number}')
        with contextlib.closing(Client(*self._address)) as client:
            while not self._over.is_set():
                kind = source.choice(self.kinds)
                leave = source.randint(1, 40) if source.random() < LEAVE else None
                try:
                    self._one(client, kind, leave, stream=source.random() < 0.8)
                except Exception as error:  # whatever went wrong, the load goes on and tells
                    client.close()
                    with self._lock:
                        self.seen.wrong.append(f'{kind.body}: {error!r}')
                    if isinstance(error, ConnectionRefusedError):
                        return

    def _one(self, client, kind, leave, stream):
        if not stream:
            return self._judge(kind, client.whole(kind), False)
        began = last = time.monotonic()
        response = client.send(kind, stream=True, stream_options={'include_usage': True})
        if response.status == 429:
            response.read()
            with self._lock:
                self.seen.refused += 1
            return time.sleep(0.05)
        if response.status != 200:
            raise RuntimeError(f'{response.status}: {response.read()}')
        texts, gaps, tokens, first = [''] * kind.body['n'], [], 0, None
        for number, event in enumerate(wire.events(response), 1):
            now = time.monotonic()
            if first is None:
                first = now - began
            else:
                gaps.append(now - last)
            last = now
            for one in event['choices']:
                texts[one['index']] += one['text'] if 'text' in one else one['delta'].get('content', '')
            if event['usage']:
                tokens = event['usage']['completion_tokens']
            if number == leave:
                client.close()
                return self._judge(kind, texts, True)
        with self._lock:
            self.seen.tokens += tokens
            self.seen.first.append(first)
            self.seen.between += gaps
            self.seen.whole.append(last - began)
        self._judge(kind, texts, False)

    def _judge(self, kind, texts, left):
        good = all(alone.startswith(text) if left else alone == text for alone, text in zip(kind.texts, texts, strict=True))
        with self._lock:
            if not good:
                self.seen.wrong.append(f'{kind.body}: expected {kind.texts}, found {texts}')
            elif left:
                self.seen.left += 1
            else:
                self.seen.right += 1


def of_server(server, work, clients):
    return Load('127.0.0.1', server.port, work, clients, server.key)


def report(seen):
    print(f'{seen.right} answers in {seen.seconds:.1f} s; {seen.left} streams left, {seen.refused} refused with 429')
    print(f'streamed {seen.tokens / seen.seconds:.0f} tokens/s')
    for name, values in (('first token', seen.first), ('between events', seen.between), ('end to end', seen.whole)):
        print(f'{name:<15} p50 {1e3 * percentile(values, 0.5):9.2f} ms   p99 {1e3 * percentile(values, 0.99):9.2f} ms')
    for wrong in seen.wrong[:5]:
        print(f'WRONG {wrong[:1000]}')
    print(f'{seen.right + seen.left} passed, {len(seen.wrong)} failed')
    return 0 if seen.right > 0 and not seen.wrong else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument('--serve', nargs=3, metavar=('SERVELOOP', 'SOURCE_ROOT', 'BUILD_ROOT'))
    where.add_argument('--url')
    parser.add_argument('--key', help='API key')
    parser.add_argument('--clients', type=int, default=16)
    parser.add_argument('--seconds', type=float, default=20)
    parser.add_argument('--kinds', type=int, default=60, help='different requests')
    parser.add_argument('--longest', type=int, default=120, help='most tokens of an answer')
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if args.serve:
            stage.set_up(*args.serve)
            # Memory and slots for a part of the clients: sequences are preempted, blocks evicted.
            server = stack.enter_context(stage.Server(max_sequences=max(2, args.clients * 2 // 3), kv_blocks=192, scheduler='sarathi'))
            host, port = '127.0.0.1', server.port
        else:
            url = urllib.parse.urlsplit(args.url)
            host, port = url.hostname, url.port or 80
        load = Load(host, port, kinds(args.kinds, args.seed, args.longest), args.clients, args.key, args.seed).learn().start()
        time.sleep(args.seconds)
        seen = load.stop()
        if args.serve:
            metrics = server.metrics()
            for name in ('serveloop_preemptions_total', 'serveloop_evicted_blocks_total', 'serveloop_hit_tokens_total'):
                print(f'{name} {metrics.get(name):.0f}')
                if metrics.get(name) == 0:
                    seen.wrong.append(f'{name} is 0: the load is too light to tell anything')
    return report(seen)


if __name__ == '__main__':
    sys.exit(main())
