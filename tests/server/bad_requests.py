"""Each kind of bad request: its status, an error of OpenAI's shape, the parameter's name; and the server goes on."""
import json

import stage
import tiny_gguf

MESSAGES = [{'role': 'user', 'content': 'Hi'}]
COMPLETION, CHAT = ('/v1/completions', {'prompt': 'Hi'}), ('/v1/chat/completions', {'messages': MESSAGES})

# What either kind of completion refuses: parameter, values.
BOTH = [
    ('max_tokens', [-1, 0, 1.5, 'ten', True, [], {}, 2 ** 32, 1e300]),
    ('max_completion_tokens', [-1, 'ten']),
    ('min_tokens', [-1, 'ten', 2 ** 32]),
    ('n', [0, -1, 1_000_000, 129, 'two', 1.5]),
    ('temperature', ['hot', -0.1, 101, True, [0.5]]),
    ('top_p', [0, -0.5, 1.1, 'all']),
    ('top_k', [-2, 1.5, 'ten']),
    ('min_p', [-0.1, 1.1, 'p']),
    ('presence_penalty', [-2.1, 2.1, 'p']),
    ('frequency_penalty', [-2.1, 2.1, 'p']),
    ('repetition_penalty', [0, -1, 101]),
    ('seed', ['x', 1.5, 1e300]),
    ('stop', [7, ['a', 7], '', ['a', ''], ['x'] * 65, 'x' * 1025]),
    ('stop_token_ids', [['x'], [-1], [len(tiny_gguf.TOKENS)], 5]),
    ('logit_bias', [[], {'x': 1}, {'-1': 1}, {str(len(tiny_gguf.TOKENS)): 1}]),
    ('logit_bias.5', [{'5': 'x'}, {'5': 101}, {'5': -101}]),
    ('ignore_eos', ['yes', 1]),
    ('stream', ['yes', 1]),
    ('stream_options', [{'include_usage': True}]),
    ('response_format', [{'type': 'json_object'}]),
    ('guided_json', [{}]),
    ('functions', [[], [{'name': 'f'}]]),
    ('modalities', [['text', 'audio'], 'text']),
    ('typical_p', [0.5, 'x']),
    ('include_stop_str_in_output', [True]),
    ('serveloop', ['x', []]),
    ('serveloop.prio', [{'prio': 1}]),
    ('serveloop.priority', [{'priority': 'high'}, {'priority': 10 ** 9}]),
    ('serveloop.deadline_ms', [{'deadline_ms': 0}, {'deadline_ms': -5}, {'deadline_ms': 'soon'}]),
    ('serveloop.tenant', [{'tenant': 5}, {'tenant': 'x' * 257}]),
    ('serveloop.hints', [{'hints': 5}]),
    ('serveloop.predicted_tokens', [{'predicted_tokens': 'many'}, {'predicted_tokens': -1}]),
]
COMPLETIONS = [
    ('prompt', [None, 5, {}, [], [[]], [-1], [len(tiny_gguf.TOKENS)], ['a', 5], [[1], 'a', {}], '']),
    ('logprobs', [-1, 21, 'x']),
    ('echo', [True]),
    ('suffix', ['x']),
]
CHATS = [
    ('messages', [None, 'Hi', [], {}]),
    ('messages[0]', [['Hi']]),
    ('messages[0].role', [[{'content': 'Hi'}], [{'role': 5, 'content': 'Hi'}]]),
    ('messages[1].content', [[MESSAGES[0], {'role': 'user'}], [MESSAGES[0], {'role': 'user', 'content': 5}]]),
    ('messages[0].content[0].type', [[{'role': 'user', 'content': [{'type': 'image_url'}]}]]),
    ('logprobs', [5, 'x']),
    ('top_logprobs', [3, -1, 21]),
    ('tool_choice', ['required']),
    ('chat_template_kwargs.messages', [{'messages': []}]),
    ('chat_template_kwargs.bos_token', [{'thinking': True, 'bos_token': 'x'}]),
]


class Parameters(stage.Case):
    def refused(self, path, body, parameter, status=400):
        answer = self.server.post(path, body)
        with self.subTest(path=path, body=str(body)[:200]):
            self.assertEqual(answer.status, status, answer.body[:500])
            self.assertEqual(answer.error['type'], {400: 'invalid_request_error', 404: 'not_found_error'}[status])
            self.assertEqual(answer.error['param'], parameter)
            if parameter and answer.error['code'] != 'context_length_exceeded':
                self.assertIn(parameter.split('[')[0].split('.')[0], answer.error['message'])
        return answer

    def check_table(self, path, base, table):
        for parameter, values in table:
            key = parameter.split('.')[0].split('[')[0]
            for value in values:
                body = dict(base)
                body.pop(key, None)
                self.refused(path, body if value is None else body | {key: value}, parameter)

    def test_completions(self):
        self.check_table(*COMPLETION, BOTH + COMPLETIONS)

    def test_chats(self):
        self.check_table(*CHAT, BOTH + CHATS)

    def test_min_above_max(self):
        self.refused(COMPLETION[0], COMPLETION[1] | {'min_tokens': 5, 'max_tokens': 4}, 'min_tokens')

    def test_unknown_model(self):
        for path, body in (COMPLETION, CHAT):
            answer = self.refused(path, body | {'model': 'gpt-5'}, 'model', 404)
            self.assertEqual(answer.error['code'], 'model_not_found')
            self.assertIn('tiny', answer.error['message'])
            self.assertEqual(self.server.post(path, body | {'model': 'tiny', 'max_tokens': 1}).status, 200)

    def test_longer_than_the_context(self):
        long = [5] * tiny_gguf.CONTEXT
        for prompt in (long, 'xy ' * tiny_gguf.CONTEXT):
            answer = self.refused('/v1/completions', {'prompt': prompt}, 'prompt')
            self.assertEqual(answer.error['code'], 'context_length_exceeded')
            self.assertIn(str(tiny_gguf.CONTEXT), answer.error['message'])
        self.refused('/v1/completions', {'prompt': long[1000:], 'max_tokens': 1001}, 'max_tokens')
        self.refused('/v1/chat/completions', {'messages': [{'role': 'user', 'content': 'xy' * tiny_gguf.CONTEXT}]}, 'messages')

    def test_null_counts_as_absent_and_the_unknown_is_ignored(self):
        nothing = dict.fromkeys(('max_tokens', 'temperature', 'top_p', 'n', 'seed', 'stop', 'logit_bias', 'stream', 'serveloop'))
        self.assertEqual(self.server.post('/v1/completions', {'prompt': 'Hi', 'user': 'me', 'whatever': [1], **nothing}).status, 200)

    def test_texts(self):
        self.refused('/tokenize', {}, 'prompt')
        self.refused('/tokenize', {'prompt': 5}, 'prompt')
        self.refused('/detokenize', {}, 'tokens')
        self.refused('/detokenize', {'tokens': [10 ** 9]}, 'tokens')
        self.refused('/detokenize', {'tokens': 'x'}, 'tokens')


class Bodies(stage.Case):
    def test_what_is_no_json(self):
        bodies = (b'', b'{', b'{"prompt": "a"', b'{"prompt": "a"} x', b"{'prompt': 'a'}", b'{"prompt": "a", "n": 01}', b'NaN',
                  b'{"prompt": "\xff\xfe"}', b'{"prompt": "\xc3"}', b'{"prompt": "\\ud800"}', b'\xff', b'\x00' * 100)
        for path in ('/v1/completions', '/v1/chat/completions', '/tokenize', '/detokenize'):
            for body in bodies:
                answer = self.server.post(path, body)
                with self.subTest(path=path, body=body):
                    self.assertEqual((answer.status, answer.error['code']), (400, 'invalid_json'))

    def test_the_reason_is_told(self):
        for body, reasons in ((b'{"prompt": "\xff\xfe"}', ['JSON in UTF-8', 'byte 13']), (b"{'prompt': 'a'}", ['byte 2', 'object key']),
                              (b'{"prompt": "a", "n": 01}', ['byte 23']), (b'{"prompt": "\\ud800"}', ['surrogate'])):
            message = self.server.post('/v1/completions', body).error['message']
            for reason in reasons:
                self.assertIn(reason, message)

    def test_no_object(self):
        for body in (b'5', b'"a"', b'[]', b'null', b'true'):
            answer = self.server.post('/v1/completions', body)
            self.assertEqual(answer.status, 400, body)
            self.assertIn('object', answer.error['message'])

    def test_deep(self):
        for depth in (100, 1_000_000):
            for start, end in ((b'[', b']'), (b'{"a":', b'}')):
                answer = self.server.post('/v1/completions', b'{"prompt":' + start * depth + b'1' + end * depth + b'}')
                self.assertEqual((answer.status, answer.error['code']), (400, 'invalid_json'))

    def test_many_values(self):
        body = b'{"prompt":[' + b'1,' * 5_000_000 + b'1]}'
        answer = self.server.post('/v1/completions', body)
        self.assertEqual((answer.status, answer.error['code']), (400, 'invalid_json'))

    def test_too_large(self):
        """It is refused by its length alone; none of it is sent."""
        with self.server.socket() as connection:
            connection.sendall(b'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40000000\r\n\r\n')
            answer = stage.wire.read_answer(connection.makefile('rb'))
        self.assertEqual(answer.status, 413)
        self.assertEqual(answer.headers['Connection'], 'close')
        self.assertIn('body', answer.error['message'])

    def test_too_large_in_chunks(self):
        chunk = b'100000\r\n' + b' ' * 0x100000 + b'\r\n'
        with self.server.socket() as connection:
            connection.sendall(b'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n')
            try:
                for _ in range(40):
                    connection.sendall(chunk)
            except OSError:
                pass  # it stopped reading
            answer = stage.wire.read_answer(connection.makefile('rb'))
        self.assertEqual(answer.status, 413)

    def test_another_content_type(self):
        body = json.dumps({'prompt': 'a', 'max_tokens': 1})
        for kind, status in (('text/plain', 415), ('application/x-www-form-urlencoded', 415), ('application/json; charset=utf-8', 200)):
            self.assertEqual(self.server.request('POST', '/v1/completions', body, {'Content-Type': kind}).status, status, kind)

    def test_no_content_type(self):
        """A program may leave it out; from a web page it is what needs no leave to be sent."""
        body = json.dumps({'prompt': 'a', 'max_tokens': 1}).encode()
        for origin, status in (([], 200), (['Origin: http://localhost:1'], 415), (['Origin: null'], 415)):
            with self.server.socket() as connection:
                head = stage.raw('POST', '/v1/completions', b'', f'Content-Length: {len(body)}', 'Connection: close', *origin)
                connection.sendall(head + body)
                self.assertEqual(stage.wire.read_answer(connection.makefile('rb')).status, status, origin)
