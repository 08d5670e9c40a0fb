"""API keys name tenants."""
import unittest

import stage

KEYS = '''
[tenants.red]
keys = ["red-key-1", "red-key-2"]

[tenants.blue]
keys = ["blue-key"]
'''
BODY = {'prompt': 'Hi', 'max_tokens': 2}
GUARDED = (('GET', '/v1/models'), ('GET', '/v1/models/tiny'), ('POST', '/v1/completions'), ('POST', '/v1/chat/completions'),
           ('POST', '/tokenize'), ('POST', '/detokenize'))


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = stage.Server(extra=KEYS)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_without_or_with_a_wrong_key(self):
        for given in (None, 'red-key', 'red-key-11', 'Red-key-1', '', 'red-key-1 blue-key'):
            headers = {} if given is None else {'Authorization': f'Bearer {given}'}
            for method, path in GUARDED:
                answer = self.server.request(method, path, '{}', headers)
                self.assertEqual((answer.status, answer.error['type']), (401, 'authentication_error'), (given, path))
                self.assertEqual(answer.headers['WWW-Authenticate'], 'Bearer')
                self.assertFalse(given and given in answer.error['message'], 'a key is repeated to nobody')
        for wrong in ('red-key-1', 'Basic red-key-1', 'Token red-key-1'):
            self.assertEqual(self.server.post('/v1/completions', BODY, {'Authorization': wrong}).status, 401)

    def test_with_a_key(self):
        for key in ('red-key-1', 'red-key-2', 'blue-key'):
            for scheme in ('Bearer', 'bearer'):
                headers = {'Authorization': f'{scheme} {key}'}
                self.assertEqual(self.server.post('/v1/completions', BODY, headers).status, 200)
                self.assertEqual(self.server.get('/v1/models', headers).status, 200)

    def test_states_need_none(self):
        for path in ('/health', '/ready', '/version', '/metrics'):
            self.assertEqual(self.server.get(path).status, 200)

    def test_a_tenant_is_the_key_s(self):
        headers = {'Authorization': 'Bearer red-key-1'}
        for path, body in (('/v1/completions', BODY),
                           ('/v1/chat/completions', {'messages': [{'role': 'user', 'content': 'Hi'}], 'max_tokens': 1})):
            for tenant, status in (('red', 200), ('blue', 400), ('green', 400)):
                answer = self.server.post(path, body | {'serveloop': {'tenant': tenant}}, headers)
                self.assertEqual(answer.status, status)
                if status == 400:
                    self.assertEqual(answer.error['param'], 'serveloop.tenant')

    def test_the_cache_is_shared_within_a_tenant_only(self):
        prompt = [*range(5, 69)]
        cached = []
        for key in ('red-key-1', 'red-key-2', 'blue-key'):
            answer = self.server.post('/v1/completions', {'prompt': prompt, 'max_tokens': 1}, {'Authorization': f'Bearer {key}'})
            cached.append(answer.json()['usage']['prompt_tokens_details']['cached_tokens'])
        self.assertEqual(cached, [0, 48, 0])

    def test_keys_stand_in_no_log(self):
        self.server.post('/v1/completions', BODY, {'Authorization': 'Bearer red-key-1'})
        self.assertNotIn('red-key', self.server.errors() + self.server.get('/metrics').body.decode())
