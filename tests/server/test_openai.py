#!/usr/bin/env python3
"""The package `openai`, as it comes from PyPI, against `serveloop serve`: what its users do works, what goes wrong is its exception.

usage: test_openai.py SERVELOOP SOURCE_ROOT BUILD_ROOT

Runs in the virtual environment that `./dev test` makes from requirements.txt, in $SERVELOOP_VENVS/openai. Without one it is
skipped, or fails where SERVELOOP_NEED_VENVS is set, as `./dev test --all` does.
"""
import asyncio
import concurrent.futures
import os
import pathlib
import sys
import time
import unittest

sys.dont_write_bytecode = True


def enter_environment(build_root):
    """Goes on within the environment, if it is not there already."""
    root = pathlib.Path(os.environ.get('SERVELOOP_VENVS') or pathlib.Path(build_root) / 'venv') / 'openai'
    python = root / 'bin/python'
    if python.exists() and (root / 'complete').exists():
        if pathlib.Path(sys.prefix).resolve() != root.resolve():
            os.execv(python, [str(python), *sys.argv])
        return
    need = bool(os.environ.get('SERVELOOP_NEED_VENVS'))
    print(f'{"FAILED" if need else "skipped"}: there is no virtual environment {root}; ./dev test makes it, with network and python3-venv')
    sys.exit(1 if need else 77)


enter_environment(sys.argv[3])

import openai

import stage

KEYS = '[tenants.red]\nkeys = ["red-key"]\n'
MESSAGES = [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Tell me about the river'}]
DRAWN = {'seed': 11, 'temperature': 1, 'max_tokens': 60}
MORE = {'extra_body': {'ignore_eos': True}}


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = stage.Server(extra=KEYS, max_sequences=16, max_waiting=32)
        cls.server.key = 'red-key'
        cls.client = cls.make(openai.OpenAI)

    @classmethod
    def make(cls, kind, key='red-key', **more):
        return kind(api_key=key, base_url=cls.server.url + '/v1', max_retries=0, timeout=stage.PATIENCE_S, **more)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.stop()

    def chat(self, **more):
        return self.client.chat.completions.create(**{'model': 'tiny', 'messages': MESSAGES} | DRAWN | MORE | more)

    def complete(self, **more):
        return self.client.completions.create(**{'model': 'tiny', 'prompt': 'The river'} | DRAWN | MORE | more)


class Chats(Case):
    def test_models(self):
        (model,) = self.client.models.list().data
        self.assertEqual((model.id, model.object, model.owned_by), ('tiny', 'model', 'serveloop'))
        self.assertLess(abs(model.created - time.time()), 600)
        self.assertEqual(self.client.models.retrieve('tiny').id, 'tiny')

    def test_whole_and_streamed(self):
        whole = self.chat()
        message = whole.choices[0].message
        self.assertEqual((message.role, whole.choices[0].finish_reason, whole.object), ('assistant', 'length', 'chat.completion'))
        self.assertTrue(message.content)
        self.assertEqual(whole.usage.completion_tokens, 60)
        self.assertEqual(whole.usage.total_tokens, whole.usage.prompt_tokens + 60)
        chunks = list(self.chat(stream=True, stream_options={'include_usage': True}))
        self.assertEqual(''.join(c.choices[0].delta.content or '' for c in chunks if c.choices), message.content)
        self.assertEqual(chunks[0].choices[0].delta.role, 'assistant')
        self.assertEqual([c.choices[0].finish_reason for c in chunks if c.choices][-1], 'length')
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.completion_tokens, 60)
        self.assertTrue(all(c.usage is None for c in chunks[:-1]))

    def test_the_stream_helper(self):
        whole = self.chat().choices[0].message.content
        stop = whole[40:43]
        with self.client.chat.completions.stream(model='tiny', messages=MESSAGES, stop=stop, **DRAWN | MORE) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_completion().choices[0]
        self.assertIn('content.delta', kinds)
        self.assertEqual((final.message.content, final.finish_reason), (whole[:whole.index(stop)], 'stop'))

    def test_stop(self):
        whole = self.chat().choices[0].message.content
        stop = whole[20:23]
        cut = self.chat(stop=[stop]).choices[0]
        self.assertEqual((cut.message.content, cut.finish_reason), (whole[:whole.index(stop)], 'stop'))

    def test_logprobs(self):
        content = self.chat(logprobs=True, top_logprobs=3).choices[0].logprobs.content
        self.assertEqual(len(content), 60)
        for token in content:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertGreaterEqual(token.top_logprobs[0].logprob, token.logprob)
            self.assertTrue(token.bytes)
        self.assertIsNone(self.chat().choices[0].logprobs)

    def test_seeds_and_choices(self):
        several = [choice.message.content for choice in self.chat(n=3).choices]
        self.assertEqual(len(set(several)), 3)
        self.assertEqual(several, [choice.message.content for choice in self.chat(n=3).choices])
        self.assertEqual(several[0], self.chat().choices[0].message.content)
        self.assertNotEqual(several[0], self.chat(seed=12).choices[0].message.content)

    def test_parameters_of_the_newer_kind(self):
        told = self.client.chat.completions.create(
            model='tiny', messages=[{'role': 'user', 'content': [{'type': 'text', 'text': 'Hi'}]}], max_completion_tokens=5,
            response_format={'type': 'text'}, user='me', extra_body={'ignore_eos': True, 'serveloop': {'priority': 3}})
        self.assertEqual(told.usage.completion_tokens, 5)
        self.assertEqual(told.model_extra['timings']['preemptions'], 0)


class Completions(Case):
    def test_whole_and_streamed(self):
        whole = self.complete(logprobs=2)
        choice = whole.choices[0]
        self.assertEqual((whole.object, choice.finish_reason, len(choice.logprobs.tokens)), ('text_completion', 'length', 60))
        chunks = list(self.complete(stream=True, stream_options={'include_usage': True}))
        self.assertEqual(''.join(c.choices[0].text for c in chunks if c.choices), choice.text)
        self.assertEqual(chunks[-1].usage.completion_tokens, 60)

    def test_prompts(self):
        for prompt, choices in (([5, 6, 7], 1), (['a', 'b'], 2), ([[5, 6], [7]], 2)):
            self.assertEqual(len(self.complete(prompt=prompt).choices), choices)

    def test_leaving_a_stream_cancels_it(self):
        stream = self.complete(stream=True, max_tokens=30_000)
        next(iter(stream))
        stream.close()
        self.server.until_idle(10)


class Errors(Case):
    def refused(self, kind, call, parameter=None, code=None):
        with self.assertRaises(kind) as caught:
            call()
        error = caught.exception
        self.assertEqual((error.param, error.code), (parameter, code), error)
        self.assertTrue(error.message)
        return error

    def test_bad_requests(self):
        self.refused(openai.BadRequestError, lambda: self.chat(temperature=-1), 'temperature')
        self.refused(openai.BadRequestError, lambda: self.chat(max_tokens=-1), 'max_tokens')
        self.refused(openai.BadRequestError, lambda: self.chat(n=1_000_000), 'n')
        self.refused(openai.BadRequestError, lambda: self.chat(messages=[]), 'messages')
        self.refused(openai.BadRequestError, lambda: self.chat(extra_body={'serveloop': {'prio': 1}}), 'serveloop.prio')
        self.refused(openai.BadRequestError, lambda: self.chat(messages=[{'role': 'user', 'content': 'xy' * 20_000}]), 'messages',
                     'context_length_exceeded')
        self.refused(openai.BadRequestError, lambda: self.complete(prompt=[-1]), 'prompt')
        error = self.refused(openai.BadRequestError, lambda: list(self.chat(stream=True, top_p=2)), 'top_p')
        self.assertEqual((error.status_code, error.type), (400, 'invalid_request_error'))

    def test_not_found(self):
        self.refused(openai.NotFoundError, lambda: self.chat(model='gpt-5'), 'model', 'model_not_found')
        self.refused(openai.NotFoundError, lambda: self.client.models.retrieve('gpt-5'), 'model', 'model_not_found')
        self.refused(openai.NotFoundError, lambda: self.client.embeddings.create(model='tiny', input='x'), None, 'not_found')

    def test_keys(self):
        with self.make(openai.OpenAI, key='wrong') as stranger:
            error = self.refused(openai.AuthenticationError, stranger.models.list, None, 'invalid_api_key')
            self.assertEqual(error.status_code, 401)
            self.refused(openai.AuthenticationError, lambda: stranger.completions.create(model='tiny', prompt='x'), None, 'invalid_api_key')

    def test_a_full_queue(self):
        stream = self.complete(stream=True, n=16, max_tokens=3000)
        next(iter(stream))
        with self.make(openai.OpenAI) as other, concurrent.futures.ThreadPoolExecutor() as pool:
            more = [pool.submit(other.completions.create, model='tiny', prompt='w', n=16, **DRAWN | MORE) for _ in range(2)]
            stage.until(lambda: self.server.sequences('waiting') == 32, 'the queue is full')
            error = self.refused(openai.RateLimitError, lambda: self.complete(), None, 'rate_limit_exceeded')
            self.assertGreater(int(error.response.headers['Retry-After']), 0)
            stream.close()
            for one in more:
                self.assertEqual(len(one.result(stage.PATIENCE_S).choices), 16)
        self.assertEqual(self.complete().usage.completion_tokens, 60)


class Async(Case):
    def test_many_streams_at_once(self):
        alone = [self.complete(seed=seed).choices[0].text for seed in range(32)]

        async def one(client, seed):
            stream = await client.completions.create(model='tiny', prompt='The river', stream=True, **DRAWN | MORE | {'seed': seed})
            return ''.join([chunk.choices[0].text async for chunk in stream])

        async def all_of_them():
            async with self.make(openai.AsyncOpenAI) as client:
                return await asyncio.gather(*(one(client, seed) for seed in range(32)))

        self.assertEqual(asyncio.run(all_of_them()), alone)


if __name__ == '__main__':
    stage.set_up(*sys.argv[1:4])
    stage.run(sys.modules['__main__'])
