"""What each endpoint answers, and where there is none."""
import json

import stage
import tiny_gguf


class States(stage.Case):
    def test_health_and_ready(self):
        for path in ('/health', '/ready'):
            answer = self.server.get(path)
            self.assertEqual((answer.status, answer.json()), (200, {'status': 'ok'}))

    def test_version(self):
        self.assertRegex(self.server.get('/version').json()['version'], r'^\d+\.\d+\.\d+')

    def test_models(self):
        listed = self.server.get('/v1/models').json()
        self.assertEqual(listed['object'], 'list')
        (model,) = listed['data']
        self.assertEqual((model['id'], model['object'], model['owned_by']), ('tiny', 'model', 'serveloop'))
        self.assertEqual(model['max_model_len'], tiny_gguf.CONTEXT)
        self.assertEqual(self.server.get('/v1/models/tiny').json(), model)
        answer = self.server.get('/v1/models/huge')
        self.assertEqual((answer.status, answer.error['code']), (404, 'model_not_found'))

    def test_what_is_printed_can_be_tried(self):
        said = ''.join(self.server.said)
        self.assertIn('admin on ', said)
        self.assertRegex(said, r'(?m)^  scheduler +fcfs')
        self.assertIn(f'\ntry: curl {self.server.url}/v1/chat/completions ', said)
        body = json.loads(said[said.index("-d '") + 4:said.rindex("'")])
        self.assertEqual(self.server.post('/v1/chat/completions', body).status, 200)

    def test_head_is_get_without_a_body(self):
        for path in ('/health', '/version', '/v1/models', '/v1/nowhere'):
            whole, head = self.server.get(path), self.server.request('HEAD', path)
            self.assertEqual((head.status, head.body), (whole.status, b''))
            self.assertEqual(head.headers['Content-Length'], str(len(whole.body)))
            with self.server.socket() as connection:
                connection.sendall(stage.raw('HEAD', path, b'', 'Connection: close'))
                self.assertTrue(connection.makefile('rb').read().endswith(b'\r\n\r\n'), 'nothing behind the header')

    def test_unknown_path_and_wrong_method(self):
        for path in ('/', '/v1', '/v1/nowhere', '/v1/chat', '/healthy', '/v1/completions/', '/admin/policy'):
            answer = self.server.get(path)
            self.assertEqual(answer.status, 404, path)
            self.assertEqual(answer.error['type'], 'not_found_error')
        for method, path, allowed in (('GET', '/v1/completions', 'POST'), ('PUT', '/v1/chat/completions', 'POST'),
                                      ('DELETE', '/v1/models', 'GET'), ('POST', '/health', 'GET'), ('PATCH', '/tokenize', 'POST')):
            answer = self.server.request(method, path)
            self.assertEqual(answer.status, 405, path)
            self.assertIn(allowed, answer.headers['Allow'])
            self.assertIn(path, answer.error['message'])

    def test_a_query_is_no_part_of_the_path(self):
        self.assertEqual(self.server.get('/health?probe=1').status, 200)

    def test_request_id(self):
        answer = self.server.post('/v1/completions', {'prompt': 'a', 'max_tokens': 1}, {'X-Request-ID': 'mine-7'})
        self.assertEqual(answer.headers['X-Request-ID'], 'mine-7')
        self.assertEqual(answer.json()['id'], 'cmpl-mine-7')
        other = self.server.post('/v1/completions', {'prompt': 'a', 'max_tokens': 1}, {'X-Request-ID': 'x' * 129})
        self.assertNotIn('xxx', other.headers['X-Request-ID'])


class Texts(stage.Case):
    TEXTS = ('Hello', 'the inner pattern, then another', 'é ü €  \n\t "\\', '漢字 🙂', '<|im_end|>', '\x00\x7f')

    def tokens(self, text, **more):
        answer = self.server.post('/tokenize', {'prompt': text, 'return_token_strs': True, **more})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def test_there_and_back(self):
        for text in self.TEXTS:
            told = self.tokens(text)
            self.assertEqual(told['count'], len(told['tokens']))
            self.assertEqual(told['max_model_len'], tiny_gguf.CONTEXT)
            back = self.server.post('/detokenize', {'tokens': told['tokens']}).json()
            self.assertEqual(back, {'prompt': text})

    def test_merges_are_used(self):
        self.assertEqual(self.tokens('the')['token_strs'], ['the'])
        self.assertEqual(self.tokens(' the')['token_strs'], [' the'])
        self.assertEqual(self.tokens('xy')['tokens'], [ord('x'), ord('y')])
        self.assertEqual(self.tokens('<|im_start|>')['tokens'], [tiny_gguf.IM_START])
        self.assertIsNone(self.tokens('the', return_token_strs=False)['token_strs'])

    def test_messages_go_through_the_template(self):
        messages = [{'role': 'user', 'content': 'Hi'}]
        told = self.server.post('/tokenize', {'messages': messages}).json()
        text = self.server.post('/detokenize', {'tokens': told['tokens']}).json()['prompt']
        self.assertEqual(text, '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n')
        usage = self.server.chat('Hi', max_tokens=1)['usage']
        self.assertEqual(usage['prompt_tokens'], told['count'])
        parts = [{'role': 'user', 'content': [{'type': 'text', 'text': 'Hi'}]}]
        self.assertEqual(self.server.post('/tokenize', {'messages': parts}).json()['tokens'], told['tokens'])

    def test_half_a_character_shows_as_one_that_is_none(self):
        self.assertEqual(self.server.post('/detokenize', {'tokens': [0xc3, ord('a')]}).json()['prompt'], '\ufffda')


class Metrics(stage.Case):
    def test_counters_move_and_the_text_is_well_formed(self):
        before = self.server.metrics()
        told = self.server.complete('a metric', max_tokens=20, ignore_eos=True)
        self.assertEqual(self.server.get('/nowhere').status, 404)
        self.server.until_idle()
        after = self.server.metrics()

        def moved(name, **labels):
            return after.get(name, **labels) - before.get(name, **labels)

        prompt = told['usage']['prompt_tokens']
        self.assertEqual(moved('serveloop_requests_arrived_total'), 1)
        self.assertEqual(moved('serveloop_prompt_tokens_total'), prompt)
        self.assertEqual(moved('serveloop_output_tokens_total'), 20)
        self.assertEqual(moved('serveloop_sequences_finished_total', reason='length'), 1)
        self.assertEqual(moved('serveloop_first_token_seconds_count'), 1)
        self.assertEqual(moved('serveloop_inter_token_seconds_count'), 19)
        self.assertEqual(moved('serveloop_request_seconds_count'), 1)
        self.assertGreater(moved('serveloop_request_seconds_sum'), 0)
        self.assertGreaterEqual(moved('serveloop_steps_total'), 20)
        self.assertGreater(moved('serveloop_device_seconds_total'), 0)
        self.assertEqual(moved('serveloop_http_requests_total', code='404'), 1)
        self.assertEqual(moved('vllm:generation_tokens_total', engine='0', model_name='tiny'), 20)
        self.assertEqual(moved('vllm:request_success_total', engine='0', model_name='tiny', finished_reason='length'), 1)
        self.assertEqual(after.sum('serveloop_policy_info'), 4)
        self.assertGreater(after.get('serveloop_http_connections'), 0)

    def test_blocks_sum_to_the_pool(self):
        metrics = self.server.metrics()
        self.assertEqual(metrics.sum('serveloop_kv_blocks'), 4096)
        self.assertEqual(metrics.get('serveloop_kv_blocks', state='used'), 0)
        self.assertEqual(metrics.get('serveloop_kv_use_ratio'), 0)
