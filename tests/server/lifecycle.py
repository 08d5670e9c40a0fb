"""Start and end, of the program and of requests: ports, signals, full queues, clients that leave, a model without a vocabulary."""
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import stage
from stage import text_of

LONG = {'temperature': 1, 'ignore_eos': True, 'max_tokens': 30_000}
DRAWN = {'temperature': 1, 'ignore_eos': True, 'max_tokens': 100}


class Leaving(stage.Case):
    """A client that closes its connection cancels what runs for it."""

    def cancelled(self):
        return self.server.metrics().get('serveloop_sequences_finished_total', reason='cancelled')

    def check_gone(self, before, sequences):
        stage.until(lambda: self.server.sequences('running') == 0, 'cancelled', 10)
        metrics = self.server.metrics()
        self.assertEqual(metrics.get('serveloop_sequences_finished_total', reason='cancelled') - before, sequences)
        self.assertEqual(metrics.get('serveloop_kv_blocks', state='used'), 0)

    def test_in_a_stream(self):
        before = self.cancelled()
        with self.server.stream('/v1/completions', prompt='leaving', n=2, seed=1, **LONG) as events:
            for _ in range(3):
                next(events)
            self.assertEqual(self.server.sequences('running'), 2)
        self.check_gone(before, 2)

    def test_before_a_whole_answer(self):
        before = self.cancelled()
        with contextlib.closing(self.server.connect()) as connection:
            connection.request('POST', '/v1/completions', json.dumps({'prompt': ['a', 'b', 'c'], **LONG}),
                               {'Content-Type': 'application/json'})
            stage.until(lambda: self.server.sequences('running') == 3, 'they run')
        self.check_gone(before, 3)


class Full(unittest.TestCase):
    def test_a_full_queue(self):
        """Who comes too late hears 429 at once; those before get their texts."""
        with stage.Server(max_sequences=2, max_waiting=4) as server:
            alone = {seed: server.text('full', seed=seed, **DRAWN) for seed in range(4)}
            with contextlib.ExitStack() as stack:
                long = [stack.enter_context(server.stream('/v1/completions', prompt='full', seed=seed, **LONG)) for seed in range(2)]
                for events in long:
                    next(events)
                texts = {}
                waiting = [threading.Thread(target=lambda seed=seed: texts.update({seed: server.text('full', seed=seed, **DRAWN)}))
                           for seed in range(4)]
                for thread in waiting:
                    thread.start()
                stage.until(lambda: server.sequences('waiting') == 4, 'four wait')
                for path, body in (('/v1/completions', {'prompt': 'late'}), ('/v1/completions', {'prompt': 'late', 'stream': True}),
                                   ('/v1/chat/completions', {'messages': [{'role': 'user', 'content': 'late'}]})):
                    answer = server.post(path, body)
                    self.assertEqual(answer.status, 429, answer.body)
                    self.assertEqual((answer.error['type'], answer.error['code']), ('rate_limit_error', 'rate_limit_exceeded'))
                    self.assertGreater(int(answer.headers['Retry-After']), 0)
                self.assertEqual(server.sequences('waiting'), 4)
                for events in long:
                    next(events)
            for thread in waiting:
                thread.join(stage.PATIENCE_S)
            self.assertEqual(texts, alone)
            server.until_idle()

    def test_more_choices_than_may_ever_wait(self):
        with stage.Server(max_waiting=4) as server:
            for prompt, n, parameter in (('a', 5, 'n'), (['a'] * 5, 1, 'prompt'), (['a', 'b'], 3, 'prompt')):
                answer = server.post('/v1/completions', {'prompt': prompt, 'n': n})
                self.assertEqual((answer.status, answer.error['param']), (400, parameter))
                self.assertIn('lets 4 wait', answer.error['message'])
            answer = server.post('/v1/chat/completions', {'messages': [{'role': 'user', 'content': 'a'}], 'n': 5})
            self.assertEqual((answer.status, answer.error['param']), (400, 'n'))
            self.assertEqual(server.post('/v1/completions', {'prompt': ['a', 'b'], 'n': 2, 'max_tokens': 3}).status, 200)


class Files(unittest.TestCase):
    """Open files may be few: connections are refused before other things go without."""

    def limit(self, server):
        lines = pathlib.Path(f'/proc/{server.process.pid}/limits').read_text().splitlines()
        return next(int(line.split()[3]) for line in lines if line.startswith('Max open files'))

    def test_the_soft_limit_is_raised(self):
        with stage.Server(files=(256, 2048)) as server:
            self.assertEqual(self.limit(server), 2048)
            self.assertNotIn('open files', server.errors())

    def test_connections_leave_room(self):
        with stage.Server(files=(300, 300)) as server, contextlib.ExitStack() as stack:
            self.assertIn('300 open files are allowed (ulimit -n): at most 172 connections', server.errors())
            answers = []
            for _ in range(190):
                connection = stack.enter_context(server.socket())
                connection.sendall(stage.raw('GET', '/health'))
                answers.append(stage.wire.read_answer(connection.makefile('rb')).status)
            taken = answers.count(200)  # the last check of its start may not have gone yet
            self.assertTrue(170 <= taken <= 172, answers)
            self.assertEqual(answers, [200] * taken + [503] * (190 - taken))
            self.assertEqual(server.admin('GET', '/admin/policy').status, 200)
            self.assertEqual(server.admin('PUT', '/admin/policy/scheduler', {'plugin': 'sarathi'}).status, 200)

    def test_none_left_is_one_warning(self):
        with stage.Server(files=(160, 160)) as server:
            with contextlib.ExitStack() as stack:
                for _ in range(400):
                    stack.enter_context(server.socket())
                stage.until(lambda: 'cannot accept connections' in server.errors(), 'a warning')
                time.sleep(0.5)  # five more failures
            stage.until(lambda: self.answers(server), 'they have gone', 20)
            self.assertEqual(server.errors().count('cannot accept connections'), 1)

    def answers(self, server):
        try:
            return server.get('/health').status == 200
        except (OSError, http.client.HTTPException):
            return False


class Ending(unittest.TestCase):
    def serve(self, *arguments):
        server = stage.Server(arguments=arguments)
        self.addCleanup(server.kill)
        return server

    def test_a_signal_lets_running_streams_end(self):
        parameters = {'seed': 5, **LONG, 'max_tokens': 3000}
        for how in (signal.SIGTERM, signal.SIGINT):
            server = self.serve()
            whole = server.text('ending', **parameters)
            with server.stream('/v1/completions', prompt='ending', **parameters) as stream:
                events = [next(stream) for _ in range(5)]
                server.process.send_signal(how)
                stage.until(lambda: self.refused(server), 'new clients are refused', 10)
                events += stream
            self.assertEqual(text_of(events), whole)
            server.stop(None)

    def test_it_waits_for_what_has_not_begun(self):
        """Longer than the 5 s in which the last bytes of answers must reach their clients: a gate holds the request for 6 s."""
        search = [str(stage.BUILD / 'tests/misbehaving'), str(stage.BUILD / 'plugins')]
        server = self.serve('--set', f'policy.search={json.dumps(search)}', '--set', 'policy.gates=["hold"]',
                            '--set', 'policy.gate.hold.options={hold_us=6000000}')
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(server.complete, 'held', max_tokens=5, ignore_eos=True)
            stage.until(lambda: server.metrics().get('serveloop_requests_arrived_total') == 1, 'it arrived')
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(answer.result(stage.PATIENCE_S)['usage']['completion_tokens'], 5)
        server.stop(None)

    def refused(self, server):
        try:
            return server.get('/health').status == 503
        except (ConnectionError, http.client.HTTPException):
            return True

    def test_a_second_signal_ends_at_once(self):
        for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)):
            server = self.serve()
            with server.stream('/v1/completions', prompt='ending', seed=5, **LONG) as stream:
                next(stream)
                server.process.send_signal(first)
                stage.until(lambda: self.refused(server), 'the first one was heard', 10)
                server.process.send_signal(second)
                self.assertEqual(server.process.wait(10), -second)

    def test_an_idle_connection_does_not_hold_it(self):
        server = self.serve()
        with server.socket():
            server.stop()


class Starting(unittest.TestCase):
    def bad(self, *arguments, says, extra='', **changes):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            stage.write_config(folder, extra, **changes)
            before = sorted(folder.rglob('*'))
            ran = subprocess.run([stage.PROGRAM, 'serve', '--config', 'serve.toml', '--set', 'observe.log_level=warn', *arguments],
                                 cwd=folder, env=stage.environment(folder), capture_output=True, text=True, timeout=stage.PATIENCE_S)
            self.assertEqual((ran.returncode, ran.stdout), (2, ''), ran.stderr)
            self.assertEqual(len(ran.stderr.splitlines()), 1, ran.stderr)
            self.assertTrue(ran.stderr.startswith('serveloop: '), ran.stderr)
            for part in says:
                self.assertIn(part, ran.stderr)
            self.assertEqual(sorted(folder.rglob('*')), before, 'left something behind')

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.bad(port=port, says=[str(port), 'in use'])
            self.bad('--port', str(port), says=[str(port), 'in use'])

    def test_a_bad_address(self):
        self.bad('--host', '256.1.1.1', says=['256.1.1.1'])
        self.bad('--port', '70000', says=['70000', '65535'])

    def test_a_socket_path_that_is_taken(self):
        self.bad('--set', 'admin.socket="serve.toml"', says=['serve.toml'])

    def test_a_socket_s_file_that_a_killed_server_left(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / 'left.sock'
            with socket.socket(socket.AF_UNIX) as killed:
                killed.bind(str(path))
            with stage.Server(arguments=('--set', f'admin.socket={path}')) as server:
                self.assertIn(f'admin on {path}\n', server.said)
                self.bad('--set', f'admin.socket={path}', says=[str(path)])
            self.assertFalse(path.exists())

    def test_models(self):
        self.bad('--model', 'gone.gguf', says=['gone.gguf'])
        self.bad('--model', 'serve.toml', says=['serve.toml', 'GGUF'])
        self.bad('--set', 'engine.context_tokens=40000', says=['context_tokens', '32768'])

    def test_check_starts_nothing(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            stage.write_config(folder)
            ran = subprocess.run([stage.PROGRAM, 'serve', '--config', 'serve.toml', '--check'], cwd=folder,
                                 env=stage.environment(folder), capture_output=True, text=True, timeout=stage.PATIENCE_S)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.assertRegex(ran.stdout, 'KV')
            self.assertFalse((folder / 'admin.sock').exists())


CONFIG_JSON = {'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'vocab_size': 300, 'hidden_size': 32,
               'intermediate_size': 64, 'num_hidden_layers': 2, 'num_attention_heads': 2, 'num_key_value_heads': 1,
               'max_position_embeddings': 2048, 'rms_norm_eps': 1e-5, 'tie_word_embeddings': False, 'hidden_act': 'silu'}


class NoVocabulary(unittest.TestCase):
    """A model of random weights: ids in, ids out."""

    @classmethod
    def setUpClass(cls):
        def prepare(folder):
            (folder / 'small').mkdir()
            (folder / 'small/config.json').write_text(json.dumps(CONFIG_JSON))
        cls.server = stage.Server(arguments=('--model', 'small', '--random-weights', '7'), prepare=prepare)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_ids(self):
        self.assertEqual(self.server.model, 'small-random-7')
        parameters = {'max_tokens': 20, 'temperature': 1, 'seed': 3}
        told = self.server.complete([5, 6, 7], **parameters)
        ids = told['choices'][0]['token_ids']
        self.assertEqual((len(ids), told['choices'][0]['text']), (20, ''))
        self.assertTrue(all(0 <= token < 300 for token in ids))
        self.assertGreater(len(set(ids)), 5)
        self.assertEqual(told['usage']['prompt_tokens'], 3)
        events = self.server.streamed([5, 6, 7], **parameters)
        self.assertEqual([token for event in events for token in event['choices'][0].get('token_ids', [])], ids)
        stop = next(token for token in ids[5:] if token not in ids[:5])
        cut = self.server.complete([5, 6, 7], stop_token_ids=[stop], **parameters)['choices'][0]
        self.assertEqual(cut['token_ids'], ids[:ids.index(stop) + 1])

    def test_logprobs(self):
        probs = self.server.complete([5], max_tokens=2, logprobs=2)['choices'][0]['logprobs']
        self.assertRegex(probs['tokens'][0], r'^token_id:\d+$')
        self.assertIn(len(probs['top_logprobs'][0]), (2, 3))

    def test_texts_are_refused(self):
        for path, body, parameter in (('/v1/completions', {'prompt': 'text'}, 'prompt'), ('/v1/completions', {'prompt': [300]}, 'prompt'),
                                      ('/v1/completions', {'prompt': [5], 'stop': 'x'}, 'stop'),
                                      ('/v1/chat/completions', {'messages': [{'role': 'user', 'content': 'x'}]}, 'messages'),
                                      ('/tokenize', {'prompt': 'x'}, None), ('/detokenize', {'tokens': [5]}, None)):
            answer = self.server.post(path, body)
            self.assertEqual((answer.status, answer.error['param']), (400, parameter), answer.body)
            self.assertIn('vocabulary' if body != {'prompt': [300]} else '299', answer.error['message'])
