"""Conversations out of one seed: roles in and out of order, tools, calls, reasoning, parts, odd text."""
import random

SEED = 20250307
COUNT = 200

WORDS = ('the weather in Paris is fine', 'Please sum up.', 'def f(x):\n    return x < 1 and "y"', '  spaced  ', '',
         'naïve 日本語 🙂', '<think>\nhm\n</think>\n\nYes.', 'a "quoted" \\ thing & <tag>', '{"x": 1}', 'What is 2+2?',
         "It's O'Neil's", 'tab\there', '<tool_call>\n{}\n</tool_call>', '*' * 30, 'line one\nline two\n', '{{ not jinja }}')
NAMES = ('get_weather', 'search', 'add')


def text(rng):
    return ' '.join(rng.choice(WORDS) for _ in range(rng.choice((1, 1, 2))))


def schema(rng, name):
    kinds = ('string', 'integer', 'number', 'boolean', 'array', 'object')
    properties = {}
    for key in rng.sample(('city', 'unit', 'n', 'deep', 'flag'), rng.randint(0, 3)):
        kind = rng.choice(kinds)
        property_ = {'type': kind, 'description': text(rng)}
        if kind == 'string' and rng.random() < 0.5:
            property_['enum'] = ['c', 'f']
        if kind == 'array':
            property_['items'] = {'type': rng.choice(kinds[:4])}
        if kind == 'object':
            property_['properties'] = {'inner': {'type': 'string'}}
        if rng.random() < 0.3:
            property_['default'] = rng.choice((1, 2.5, None, True, 'x'))
        properties[key] = property_
    function = {'name': name, 'description': text(rng),
                'parameters': {'type': 'object', 'properties': properties, 'required': sorted(properties)[:1]}}
    return {'type': 'function', 'function': function}


def call(rng):
    arguments = {'city': text(rng), 'n': rng.choice((1, 2.5, None, [1, 'a'], {'k': True}))}
    return {'id': ''.join(rng.choice('abc123XYZ') for _ in range(9)), 'type': 'function',
            'function': {'name': rng.choice(NAMES), 'arguments': arguments}}


def content(rng):
    if rng.random() < 0.02:
        return [{'type': 'text', 'text': text(rng)} for _ in range(rng.randint(1, 2))]
    return text(rng)


def turns(rng, with_tools):
    messages = [{'role': 'system', 'content': text(rng)}] if rng.random() < 0.5 else []
    for _ in range(rng.choice((1, 1, 2, 3))):
        messages.append({'role': 'user', 'content': content(rng)})
        if with_tools and rng.random() < 0.6:
            calls = [call(rng) for _ in range(rng.choice((1, 1, 2)))]
            messages.append({'role': 'assistant', 'content': rng.choice(('', text(rng))) if rng.random() < 0.8 else None, 'tool_calls': calls})
            messages += [{'role': 'tool', 'name': c['function']['name'], 'tool_call_id': c['id'], 'content': text(rng)}
                         for c in calls]
        answer = {'role': 'assistant', 'content': text(rng)}
        if rng.random() < 0.25:
            answer['reasoning_content'] = text(rng)
        messages.append(answer)
    if rng.random() < 0.7:
        messages.append({'role': 'user', 'content': content(rng)})
    if rng.random() < 0.06:
        rng.shuffle(messages)
    return messages


def make():
    rng = random.Random(SEED)
    made = []
    for _ in range(COUNT):
        with_tools = rng.random() < 0.35
        conversation = {'messages': turns(rng, with_tools), 'add_generation_prompt': rng.random() < 0.7}
        if with_tools:
            conversation['tools'] = [schema(rng, name) for name in rng.sample(NAMES, rng.randint(1, 2))]
        if rng.random() < 0.3:
            conversation['extra'] = {'enable_thinking': rng.random() < 0.5}
        made.append(conversation)
    return made
