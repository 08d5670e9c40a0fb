"""What is generated, and how it is told: streams and whole answers, usage, stops, seeds, choices, log-probabilities, biases."""
import math

import stage
import tiny_gguf
from stage import text_of

PROMPT = 'Once upon a time the'
DRAWN = {'temperature': 1, 'ignore_eos': True, 'max_tokens': 120}
CHAT = '/v1/chat/completions'


class Streams(stage.Case):
    def test_a_completion(self):
        whole = self.server.complete(PROMPT, seed=3, **DRAWN)
        events = self.server.streamed(PROMPT, seed=3, **DRAWN)
        self.assertEqual(text_of(events), whole['choices'][0]['text'])
        self.assertGreater(len(events), 60)
        self.assertEqual(len({event['id'] for event in events}), 1)
        for event in events:
            self.assertEqual((event['object'], event['model'], len(event['choices'])), ('text_completion', 'tiny', 1))
            self.assertNotIn('usage', event)
        reasons = [event['choices'][0]['finish_reason'] for event in events]
        self.assertEqual(reasons, [None] * (len(events) - 1) + ['length'])
        self.assertEqual(whole['choices'][0]['finish_reason'], 'length')
        self.assertEqual(whole['object'], 'text_completion')

    def test_a_chat(self):
        whole = self.server.chat('Tell me', seed=3, **DRAWN)
        self.assertEqual(whole['object'], 'chat.completion')
        message = whole['choices'][0]['message']
        self.assertEqual(message['role'], 'assistant')
        with self.server.stream(CHAT, messages=[{'role': 'user', 'content': 'Tell me'}], seed=3, **DRAWN) as stream:
            events = list(stream)
        self.assertEqual(text_of(events), message['content'])
        self.assertEqual(events[0]['choices'][0]['delta'], {'role': 'assistant', 'content': ''})
        self.assertEqual({event['object'] for event in events}, {'chat.completion.chunk'})
        self.assertTrue(all('role' not in event['choices'][0]['delta'] for event in events[1:]))

    def test_usage(self):
        prompt = self.server.post('/tokenize', {'prompt': PROMPT}).json()['count']
        expected = {'prompt_tokens': prompt, 'completion_tokens': 120, 'total_tokens': prompt + 120}
        whole = self.server.complete(PROMPT, seed=3, **DRAWN)['usage']
        events = self.server.streamed(PROMPT, seed=3, stream_options={'include_usage': True}, **DRAWN)
        self.assertEqual(events[-1]['choices'], [])
        for usage in (whole, events[-1]['usage']):
            self.assertEqual({key: usage[key] for key in expected}, expected)
        self.assertEqual({str(event['usage']) for event in events[:-1]}, {'None'})

    def test_usage_in_every_event(self):
        options = {'include_usage': True, 'continuous_usage_stats': True}
        events = self.server.streamed(PROMPT, seed=3, stream_options=options, **DRAWN)
        counts = [event['usage']['completion_tokens'] for event in events]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual((counts[0], counts[-1]), (1, 120))

    def test_cached_tokens(self):
        prompt = [*range(5, 69)]  # four blocks; the last token is always computed
        for cached in (0, 48):
            usage = self.server.complete(prompt, max_tokens=1, cache_salt='test_cached_tokens')['usage']
            self.assertEqual(usage['prompt_tokens_details'], {'cached_tokens': cached})
        self.assertEqual(self.server.complete(prompt, max_tokens=1, cache_salt='other')['usage']['prompt_tokens_details'],
                         {'cached_tokens': 0})

    def test_several_prompts(self):
        both = self.server.complete([PROMPT, 'Another'], n=2, seed=3, **DRAWN)
        self.assertEqual([choice['index'] for choice in both['choices']], [0, 1, 2, 3])
        for index, prompt in ((0, PROMPT), (2, 'Another')):
            self.assertEqual(both['choices'][index]['text'], self.server.text(prompt, seed=3, **DRAWN))
        self.assertEqual(both['usage']['completion_tokens'], 480)

    def test_token_ids(self):
        ids = self.server.post('/tokenize', {'prompt': PROMPT}).json()['tokens']
        told = self.server.complete(PROMPT, seed=3, return_token_ids=True, **DRAWN)['choices'][0]
        self.assertEqual(told['prompt_token_ids'], ids)
        self.assertEqual(len(told['token_ids']), 120)
        of_ids = self.server.complete(ids, seed=3, return_token_ids=True, **DRAWN)['choices'][0]
        self.assertEqual((of_ids['token_ids'], of_ids['text']), (told['token_ids'], told['text']))
        events = self.server.streamed(PROMPT, seed=3, return_token_ids=True, **DRAWN)
        self.assertEqual([token for event in events for token in event['choices'][0].get('token_ids', [])], told['token_ids'])

    def test_timings(self):
        for n in (1, 3):
            told = self.server.complete(PROMPT, n=n, seed=3, **DRAWN)
            for timings in [told['timings']] + ([choice['timings'] for choice in told['choices']] if n > 1 else []):
                parts = sum(timings['causes'].values())
                self.assertAlmostEqual(parts, timings['total_ms'], delta=0.001 * (len(timings['causes']) + 1))
                self.assertAlmostEqual(timings['queue_ms'] + timings['prefill_ms'], timings['first_token_ms'], delta=0.002)
                self.assertLessEqual(timings['first_token_ms'] + timings['decode_ms'], timings['total_ms'] + 0.002)
                self.assertGreater(timings['causes']['decode'], 0)
        events = self.server.streamed(PROMPT, seed=3, stream_options={'include_usage': True}, **DRAWN)
        self.assertEqual(events[-1]['timings'], events[-2]['timings'])


class Stops(stage.Case):
    """A stop string cuts the text that comes without it, wherever the tokens' borders lie."""

    def check(self, whole, stops, **parameters):
        found = {stop: whole.find(stop) for stop in stops if stop in whole}
        which = min(found, key=lambda stop: found[stop] + len(stop)) if found else None
        expected = whole[:found[which]] if found else whole
        told = self.server.complete(PROMPT, stop=stops, **parameters)['choices'][0]
        events = self.server.streamed(PROMPT, stop=stops, **parameters)
        last = events[-1]['choices'][0]
        self.assertEqual((told['text'], text_of(events)), (expected, expected), stops)
        reasons = ('stop', which) if found else ('length', None)
        for end in (told, last):
            self.assertEqual((end['finish_reason'], end['stop_reason']), reasons, stops)

    def test_across_borders(self):
        cuts = 0
        for seed in range(6):
            told = self.server.complete(PROMPT, seed=seed, logprobs=0, **DRAWN)['choices'][0]
            whole, borders = told['text'], set(told['logprobs']['text_offset'])
            for start in (5, 30, 60):
                stop = whole[start:start + 4]
                cuts += bool(borders & {start + 1, start + 2, start + 3}) and start not in borders
                self.check(whole, [stop], seed=seed, **DRAWN)
        self.assertGreater(cuts, 0, 'no stop string began within a token and went on into the next')

    def test_a_beginning_that_does_not_go_on(self):
        whole = self.server.text(PROMPT, seed=3, **DRAWN)
        self.check(whole, [whole[20:24] + '\x01'], seed=3, **DRAWN)
        self.check(whole, [whole[-3:] + '\x01'], seed=3, **DRAWN)
        self.check(whole, [whole[-1]], seed=3, **DRAWN)

    def test_several(self):
        whole = self.server.text(PROMPT, seed=4, **DRAWN)
        self.check(whole, [whole[50:53], whole[40:43], 'nowhere\x01'], seed=4, **DRAWN)
        self.check(whole, ['nowhere\x01', 'nor here\x01'], seed=4, **DRAWN)

    def test_a_token(self):
        told = self.server.complete(PROMPT, seed=3, return_token_ids=True, **DRAWN)['choices'][0]
        ids = told['token_ids']
        at = next(i for i in range(10, 120) if ids[i] not in ids[:i])
        cut = self.server.complete(PROMPT, seed=3, return_token_ids=True, stop_token_ids=[ids[at]], **DRAWN)['choices'][0]
        self.assertEqual(cut['token_ids'], ids[:at + 1])
        self.assertEqual((cut['finish_reason'], cut['stop_reason']), ('stop', ids[at]))
        self.assertEqual(cut['text'], self.server.post('/detokenize', {'tokens': ids[:at]}).json()['prompt'])


class Sampling(stage.Case):
    def test_a_seed_repeats_a_text(self):
        texts = [self.server.text(PROMPT, seed=seed, **DRAWN) for seed in (7, 8, 7, 2 ** 64 - 1, -1)]
        self.assertEqual(texts[0], texts[2])
        self.assertNotEqual(texts[0], texts[1])
        self.assertEqual(texts[3], texts[4])

    def test_without_a_seed_texts_differ(self):
        self.assertNotEqual(self.server.text(PROMPT, **DRAWN), self.server.text(PROMPT, **DRAWN))

    def test_greedy_needs_no_seed(self):
        greedy = DRAWN | {'temperature': 0}
        text = self.server.text(PROMPT, **greedy)
        self.assertEqual(text, self.server.text(PROMPT, **greedy))
        self.assertEqual(text, self.server.text(PROMPT, seed=5, **DRAWN | {'top_k': 1}))

    def test_choices(self):
        told = self.server.complete(PROMPT, n=3, seed=7, **DRAWN)
        texts = [choice['text'] for choice in told['choices']]
        self.assertEqual([choice['index'] for choice in told['choices']], [0, 1, 2])
        self.assertEqual(len(set(texts)), 3)
        self.assertEqual(texts[0], self.server.text(PROMPT, seed=7, **DRAWN))
        self.assertEqual(told['usage']['completion_tokens'], 360)
        events = self.server.streamed(PROMPT, n=3, seed=7, **DRAWN)
        self.assertEqual([text_of(events, choice) for choice in range(3)], texts)

    def test_a_bias_forces_a_token(self):
        token = ord('q')
        told = self.server.complete(PROMPT, logit_bias={str(token): 100}, max_tokens=5, seed=1)
        self.assertEqual(told['choices'][0]['text'], 'qqqqq')
        greedy = self.server.complete(PROMPT, temperature=0, max_tokens=1, return_token_ids=True)['choices'][0]['token_ids'][0]
        other = self.server.complete(PROMPT, temperature=0, max_tokens=1, logit_bias={str(greedy): -100},
                                     return_token_ids=True)['choices'][0]['token_ids'][0]
        self.assertNotEqual(greedy, other)

    def test_ends(self):
        end = {'logit_bias': {str(tiny_gguf.END_OF_TEXT): 100}, 'max_tokens': 20}

        def told(**more):
            answer = self.server.complete(PROMPT, seed=1, **end, **more)
            return answer['usage']['completion_tokens'], answer['choices'][0]['finish_reason'], answer['choices'][0]['text']

        self.assertEqual(told(), (1, 'stop', ''))
        self.assertEqual(told(ignore_eos=True), (20, 'length', ''))
        tokens, reason, text = told(min_tokens=10)
        self.assertEqual((tokens, reason), (11, 'stop'))
        self.assertTrue(text)

    def test_a_turn_ends_a_chat(self):
        told = self.server.chat('Hi', logit_bias={str(tiny_gguf.IM_END): 100})
        self.assertEqual((told['choices'][0]['message']['content'], told['choices'][0]['finish_reason']), ('', 'stop'))

    def test_max_tokens(self):
        self.assertEqual(self.server.complete(PROMPT, ignore_eos=True)['usage']['completion_tokens'], 16)
        for key in ('max_tokens', 'max_completion_tokens'):
            self.assertEqual(self.server.chat('Hi', ignore_eos=True, **{key: 3})['usage']['completion_tokens'], 3)


class Logprobs(stage.Case):
    def test_of_a_chat(self):
        parameters = {'logprobs': True, 'top_logprobs': 5, 'max_tokens': 30, 'ignore_eos': True, 'temperature': 0}
        told = self.server.chat('Hi', **parameters)['choices'][0]
        content = told['logprobs']['content']
        self.assertEqual(len(content), 30)
        self.assertEqual(b''.join(bytes(one['bytes']) for one in content).decode(errors='replace'), told['message']['content'])
        for one in content:
            top = [other['logprob'] for other in one['top_logprobs']]
            self.assertEqual(len(top), 5)
            self.assertEqual(top, sorted(top, reverse=True))
            self.assertLessEqual(sum(map(math.exp, top)), 1.0001)
            self.assertEqual((one['logprob'], one['bytes']), (top[0], one['top_logprobs'][0]['bytes']), 'greedy takes the likeliest')
        with self.server.stream(CHAT, messages=[{'role': 'user', 'content': 'Hi'}], **parameters) as stream:
            streamed = [one for event in stream if (of := event['choices'][0]['logprobs']) for one in of['content']]
        self.assertEqual(streamed, content)

    def test_of_a_completion(self):
        told = self.server.complete(PROMPT, logprobs=4, seed=3, **DRAWN)['choices'][0]
        probs = told['logprobs']
        self.assertEqual({key: len(values) for key, values in probs.items()},
                         dict.fromkeys(('text_offset', 'token_logprobs', 'tokens', 'top_logprobs'), 120))
        self.assertEqual(probs['text_offset'], sorted(probs['text_offset']))
        self.assertTrue(all(value <= 0 for value in probs['token_logprobs']))
        for token, value, top in zip(probs['tokens'], probs['token_logprobs'], probs['top_logprobs']):
            self.assertGreaterEqual(max(top.values()), value)
            self.assertIn(token, top)
        events = self.server.streamed(PROMPT, logprobs=4, seed=3, **DRAWN)
        parts = [event['choices'][0]['logprobs'] for event in events if event['choices'][0]['logprobs']]
        self.assertEqual({key: [value for part in parts for value in part[key]] for key in probs}, probs)

    def test_they_are_of_the_logits_as_they_came(self):
        """A forced token's own log-probability tells how unlikely it was."""
        told = self.server.complete(PROMPT, logprobs=1, logit_bias={'1': 100}, max_tokens=1)['choices'][0]['logprobs']
        self.assertLess(told['token_logprobs'][0], max(told['top_logprobs'][0].values()) - 1)


class Extensions(stage.Case):
    def test_what_a_policy_may_read_changes_no_text(self):
        everything = {'priority': 10, 'tenant': 'a', 'session': 's', 'program': 'p', 'category': 'c', 'ttft_deadline_ms': 500,
                      'deadline_ms': 600_000, 'predicted_tokens': {'p50': 10, 'p90': 20, 'p99': 30}, 'hints': {'tool_ms': 2.5}}
        self.assertEqual(self.server.text(PROMPT, seed=3, serveloop=everything, **DRAWN), self.server.text(PROMPT, seed=3, **DRAWN))

    def test_a_deadline_cuts_the_text(self):
        long = {'temperature': 1, 'ignore_eos': True, 'max_tokens': 30_000, 'seed': 3}
        told = self.server.complete(PROMPT, serveloop={'deadline_ms': 100}, **long)
        choice = told['choices'][0]
        self.assertEqual((choice['finish_reason'], choice['stop_reason']), ('abort', 'deadline'))
        count = told['usage']['completion_tokens']
        self.assertLess(count, 30_000)
        self.assertGreaterEqual(told['timings']['total_ms'], 100)
        whole = self.server.text(PROMPT, **long | {'max_tokens': count + 10})
        self.assertTrue(whole.startswith(choice['text'].rstrip('\ufffd')))
