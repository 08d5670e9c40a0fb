#!/usr/bin/env python3
"""Policies are shown and changed over the admin socket, under load: no request is lost and no text changes.

usage: test_admin.py SERVELOOP SOURCE_ROOT BUILD_ROOT
"""
import concurrent.futures
import os
import stat
import sys
import time
import unittest

sys.dont_write_bytecode = True

import load
import stage

POLICY = '/admin/policy/'
ANSWERS = 25  # that come under each policy


class Admin(unittest.TestCase):
    def serve(self, **changes):
        server = stage.Server(prepare=lambda folder: self.search_misbehaving(folder), **changes)
        self.addCleanup(server.stop)
        return server

    def search_misbehaving(self, folder):
        path = folder / 'serve.toml'
        text = path.read_text().replace(
            'search = [', f'search = ["{stage.BUILD / "tests/misbehaving"}", "{stage.BUILD / "tests/server"}", ')
        path.write_text(text)

    def swap(self, server, kind, plugin, **options):
        answer = server.admin('PUT', POLICY + kind, {'plugin': plugin, 'options': options})
        self.assertEqual(answer.status, 200, answer.body)
        (policy,) = answer.json()['policies']
        self.assertEqual((policy['kind'], policy['plugin']), (kind, plugin))
        self.assertEqual(policy['options'] | options, policy['options'])  # and defaults of others
        return policy

    def under_load(self, server, clients=8):
        running = load.of_server(server, load.kinds(40), clients).learn().start()
        self.addCleanup(running.stop)
        return running

    def answers(self, running):
        """Waits until so many more came."""
        goal = running.seen.right + ANSWERS
        stage.until(lambda: running.seen.right >= goal or running.seen.wrong, 'answers under the new policy')

    def check(self, running):
        seen = running.stop()
        self.assertEqual(seen.wrong[:3], [])
        self.assertEqual(seen.refused, 0)


class Shown(Admin):
    def test_what_is_in_force(self):
        server = self.serve()
        shown = server.admin('GET', '/admin/policy').json()['policies']
        self.assertEqual([(one['kind'], one['plugin']) for one in shown],
                         [('scheduler', 'fcfs'), ('eviction', 'lru'), ('preemption', 'recompute'), ('precision', 'native')])
        for one in shown:
            self.assertEqual(one['options'], {'max_prefill_tokens': 0} if one['plugin'] == 'fcfs' else one['options'])
            self.assertRegex(one['version'], r'^\d+\.\d+\.\d+$')
            self.assertRegex(one['sha256'], r'^[0-9a-f]{64}$')
            self.assertEqual(server.admin('GET', POLICY + one['kind']).json(), {'policies': [one]})
        self.assertEqual(server.admin('HEAD', '/admin/policy').body, b'')

    def test_the_socket_is_its_owner_s(self):
        server = self.serve()
        mode = os.stat(server.admin_socket)
        self.assertTrue(stat.S_ISSOCK(mode.st_mode))
        self.assertEqual((stat.S_IMODE(mode.st_mode), mode.st_uid), (0o600, os.geteuid()))

    def test_unknown(self):
        server = self.serve()
        for method, path, status in (('GET', POLICY + 'sorting', 404), ('PUT', POLICY + 'sorting', 404), ('GET', '/v1/models', 404),
                                     ('POST', POLICY + 'scheduler', 405), ('DELETE', '/admin/policy', 405)):
            answer = server.admin(method, path, {'plugin': 'fcfs'} if method == 'PUT' else None)
            self.assertEqual(answer.status, status, (method, path))
            self.assertTrue(answer.error['message'])


class Swaps(Admin):
    def test_schedulers_under_load(self):
        server = self.serve(max_sequences=6, token_budget=64)
        running = self.under_load(server)
        self.answers(running)
        for plugin, options in (('sarathi', {'chunk_budget': 32}), ('priority', {}), ('fcfs', {'max_prefill_tokens': 16}), ('fcfs', {})):
            self.swap(server, 'scheduler', plugin, **options)
            self.answers(running)
        self.check(running)
        metrics = server.metrics()
        self.assertEqual(metrics.get('serveloop_policy_swaps_total'), 4)
        decided = {}
        for (name, labels), count in metrics.samples.items():
            if name == 'serveloop_decisions_total':
                decided[dict(labels)['plugin']] = decided.get(dict(labels)['plugin'], 0) + count
        for plugin in ('fcfs', 'sarathi', 'priority'):
            self.assertGreater(decided.get(plugin, 0), ANSWERS, f'{plugin} decided')
        self.assertEqual(metrics.sum('serveloop_fallbacks_total'), 0)

    def test_eviction_and_preemption_under_load(self):
        server = self.serve(kv_blocks=64)
        running = self.under_load(server)
        self.answers(running)
        evicted = [server.metrics().get('serveloop_evicted_blocks_total')]
        for plugin, options in (('slru', {'protected_share': 0.5}), ('lru', {})):
            self.swap(server, 'eviction', plugin, **options)
            self.swap(server, 'preemption', 'recompute')
            self.answers(running)
            evicted.append(server.metrics().get('serveloop_evicted_blocks_total'))
        self.check(running)
        self.assertTrue(0 < evicted[0] < evicted[1] < evicted[2], evicted)

    def test_an_idle_engine_changes_at_once(self):
        server = self.serve()
        start = time.monotonic()
        self.swap(server, 'scheduler', 'sarathi')
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(server.complete('after', max_tokens=3, ignore_eos=True)['usage']['completion_tokens'], 3)

    def test_a_policy_that_fails_is_thrown_out(self):
        server = self.serve()
        running = self.under_load(server)
        for mode in ('exception', 'overflow', 'stale_id'):
            self.assertEqual(server.admin('PUT', POLICY + 'scheduler', {'plugin': 'bad-scheduler', 'options': {'mode': mode}}).status, 200)
            stage.until(lambda: self.in_force(server) == 'fallback', 'thrown out')
            self.answers(running)
        self.swap(server, 'scheduler', 'fcfs')
        self.answers(running)
        self.check(running)
        self.assertEqual(server.metrics().get('serveloop_ejected_total'), 3)
        self.assertGreater(server.metrics().sum('serveloop_fallbacks_total'), 0)

    def test_one_at_a_time(self):
        """The second one is refused while the first is made, and who looks waits for neither."""
        server = self.serve()
        path, slow = POLICY + 'scheduler', {'plugin': 'slow-create', 'options': {'sleep_us': 3_000_000}}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            start = time.monotonic()
            puts = [pool.submit(server.admin, 'PUT', path, slow) for _ in range(2)]
            done, under_way = concurrent.futures.wait(puts, stage.PATIENCE_S, concurrent.futures.FIRST_COMPLETED)
            (refused,), (first,) = done, under_way
            self.assertEqual((refused.result().status, refused.result().error['code']), (409, 'swap_under_way'))
            shown = server.admin('GET', path).json()['policies'][0]['plugin']
            self.assertFalse(first.done(), f'a refusal and a look within {time.monotonic() - start:.1f} s')
            self.assertEqual(shown, 'fcfs')
            self.assertEqual(first.result(stage.PATIENCE_S).status, 200)
            self.assertGreaterEqual(time.monotonic() - start, 3)
        self.assertEqual(self.in_force(server), 'slow-create')
        self.assertEqual(server.complete('after', max_tokens=3, ignore_eos=True)['usage']['completion_tokens'], 3)

    def in_force(self, server):
        return server.admin('GET', POLICY + 'scheduler').json()['policies'][0]['plugin']


class Refused(Admin):
    def test_the_old_one_serves_on(self):
        server = self.serve()
        before = server.admin('GET', '/admin/policy').json()
        text = server.text('serves on', seed=1, max_tokens=30)
        bodies = (
            ('scheduler', {'plugin': 'sarathy'}, 422, None, ['sarathy', 'sarathi']),
            ('scheduler', {'plugin': 'lru'}, 422, None, ['lru', 'scheduler']),
            ('scheduler', {'plugin': 'hold'}, 422, None, ['hold', 'gate']),
            ('scheduler', {'plugin': 'sarathi', 'options': {'chunk_budge': 64}}, 422, None, ['chunk_budge', 'chunk_budget']),
            ('scheduler', {'plugin': 'sarathi', 'options': {'chunk_budget': 1}}, 422, None, ['chunk_budget', '16']),
            ('scheduler', {'plugin': 'sarathi', 'options': {'chunk_budget': 'x'}}, 422, None, ['chunk_budget']),
            ('eviction', {'plugin': 'fcfs'}, 422, None, ['fcfs', 'eviction']),
            ('scheduler', {'plugin': './mine.so'}, 400, 'plugin', ['path']),
            ('scheduler', {'plugin': '/etc/passwd'}, 400, 'plugin', ['path']),
            ('scheduler', {'plugin': 'mine.so,a=1'}, 400, 'plugin', ['path']),
            ('scheduler', {'plugin': 'sarathi,chunk_budget=64'}, 400, 'plugin', ['options']),
            ('scheduler', {'plugin': ''}, 400, 'plugin', ['plugin']),
            ('scheduler', {'plugin': 5}, 400, 'plugin', ['string']),
            ('scheduler', {}, 400, 'plugin', ['plugin']),
            ('scheduler', {'plugins': 'fcfs'}, 400, 'plugins', ["did you mean 'plugin'"]),
            ('scheduler', {'plugin': 'fcfs', 'options': 5}, 400, 'options', ['object']),
            ('scheduler', {'plugin': 'fcfs', 'gate': 'g'}, 400, 'gate', ['gate']),
            ('gate', {'plugin': 'fcfs'}, 400, 'gate', ['gate']),
            ('gate', {'plugin': 'fcfs', 'gate': 'g'}, 422, None, ["'g'"]),
            ('precision', {'plugin': 'native'}, 409, None, ['precision']),
        )
        for kind, body, status, parameter, says in bodies:
            with self.subTest(kind=kind, body=body):
                answer = server.admin('PUT', POLICY + kind, body)
                self.assertEqual((answer.status, answer.error['param']), (status, parameter), answer.body)
                for part in says:
                    self.assertIn(part, answer.error['message'])
        for body in (5, [], 'fcfs'):
            self.assertEqual(server.admin('PUT', POLICY + 'scheduler', body).status, 400)
        self.assertEqual(server.admin('GET', '/admin/policy').json(), before)
        self.assertEqual(server.text('serves on', seed=1, max_tokens=30), text)
        self.assertEqual(server.metrics().get('serveloop_policy_swaps_total'), 0)


if __name__ == '__main__':
    stage.set_up(*sys.argv[1:4])
    stage.run(sys.modules['__main__'])
