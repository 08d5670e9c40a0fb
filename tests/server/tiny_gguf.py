#!/usr/bin/env python3
"""A tiny model as a GGUF file (version 3): llama architecture, F32 weights drawn from a seed, a byte-level vocabulary and a chat
template. What it says is nonsense, always the same nonsense, and mostly letters.

usage: tiny_gguf.py FILE [SEED]

Feature 0 of the hidden state is a constant: every embedding holds it, no layer writes to it. So the head, by its weight
for that feature, likes some tokens better than others whatever the context: letters more than bytes that are no character.
"""
import array
import math
import random
import struct
import sys

HIDDEN, INTERMEDIATE, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 64, 128, 2, 4, 2, 16
CONTEXT = 32768
SHARPNESS = 2.5      # standard deviation of the logits
ALIGNMENT = 32

# Pairs that become a token, the first is merged first. Some cut through characters of two and three bytes.
MERGES = ['t h', 'i n', 'e r', 'a n', 'Ġ t', 'Ġ a', 'o n', 'r e', 'Ġ w', 'th e', 'Ġ the', 'in g', 'Ġ an', 'Ġan d', 'o u', 'l l',
          'Ġ o', 'e s', 's t', 'Ġ m', 'm e', 'Ã ©', 'Ã ¼', 'â Ĥ', 'âĤ ¬', '. Ċ', 'Ġ i', 's h', 'l e', 'a t', 'o r', 'e n']
SPECIAL = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5  # value types, as GGUF numbers them


def letters():
    """[256]: GPT-2's printable stand-in for each byte (Radford et al., 2019)."""
    kept = {*range(33, 127), *range(161, 173), *range(174, 256)}
    other = iter(range(256, 512))
    return [chr(byte if byte in kept else next(other)) for byte in range(256)]


TOKENS = letters() + [merge.replace(' ', '') for merge in MERGES] + SPECIAL
END_OF_TEXT, IM_START, IM_END = (TOKENS.index(token) for token in SPECIAL)


def liking(token):
    """What the head adds to a token's logit."""
    if token == IM_START:
        return -6.0
    if token in (END_OF_TEXT, IM_END):
        return -1.0
    text = TOKENS[token]
    if len(text) > 1:
        return 1.5
    byte = letters().index(text)
    if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in ' .,\n'):
        return 2.0
    return -1.0 if byte >= 32 else -3.0


def string(text):
    data = text.encode()
    return struct.pack('<Q', len(data)) + data


def value(kind, given):
    if kind == STRING:
        return string(given)
    return struct.pack({U32: '<I', I32: '<i', F32: '<f', BOOL: '<?'}[kind], given)


def metadata(name):
    """(key, type, value); a list is an array of that type."""
    return [
        ('general.architecture', STRING, 'llama'),
        ('general.name', STRING, name),
        ('general.alignment', U32, ALIGNMENT),
        ('llama.block_count', U32, LAYERS),
        ('llama.context_length', U32, CONTEXT),
        ('llama.embedding_length', U32, HIDDEN),
        ('llama.feed_forward_length', U32, INTERMEDIATE),
        ('llama.attention.head_count', U32, HEADS),
        ('llama.attention.head_count_kv', U32, KV_HEADS),
        ('llama.attention.layer_norm_rms_epsilon', F32, 1e-5),
        ('llama.rope.dimension_count', U32, HEAD_DIM),
        ('llama.rope.freq_base', F32, 10000.0),
        ('tokenizer.ggml.model', STRING, 'gpt2'),
        ('tokenizer.ggml.pre', STRING, 'gpt-2'),
        ('tokenizer.ggml.tokens', STRING, TOKENS),
        ('tokenizer.ggml.token_type', I32, [3 if token in SPECIAL else 1 for token in TOKENS]),
        ('tokenizer.ggml.merges', STRING, MERGES),
        ('tokenizer.ggml.bos_token_id', U32, END_OF_TEXT),
        ('tokenizer.ggml.eos_token_id', U32, END_OF_TEXT),
        ('tokenizer.ggml.eot_token_id', U32, IM_END),
        ('tokenizer.ggml.add_bos_token', BOOL, False),
        ('tokenizer.chat_template', STRING, TEMPLATE),
    ]


def drawn(source, rows, cols, scale):
    """[rows, cols], of mean 0; a hidden state of size 1 becomes one of size `scale`."""
    deviation = scale / math.sqrt(cols)
    return array.array('f', [source.gauss(0, deviation) for _ in range(rows * cols)])


def ones(count):
    return array.array('f', [1.0]) * count


def with_constant(matrix, given):
    """Sets each row's feature 0."""
    matrix[::HIDDEN] = array.array('f', given)
    return matrix


def without_row_0(matrix, cols):
    matrix[:cols] = array.array('f', [0.0]) * cols
    return matrix


def tensors(source):
    """(name, sizes with the fastest first, values). Feature 0 is 1 before and about 0.5 behind the layers and the norm."""
    query, kv = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    vocabulary = len(TOKENS)
    embedding = with_constant(drawn(source, vocabulary, HIDDEN, math.sqrt(HIDDEN)), [1.0] * vocabulary)
    out = [('token_embd.weight', (HIDDEN, vocabulary), embedding)]
    for layer in range(LAYERS):
        for name, sizes, values in (
                ('attn_norm', (HIDDEN,), ones(HIDDEN)),
                ('attn_q', (HIDDEN, query), drawn(source, query, HIDDEN, 1.5)),
                ('attn_k', (HIDDEN, kv), drawn(source, kv, HIDDEN, 1.5)),
                ('attn_v', (HIDDEN, kv), drawn(source, kv, HIDDEN, 1.5)),
                ('attn_output', (query, HIDDEN), without_row_0(drawn(source, HIDDEN, query, 1.5), query)),
                ('ffn_norm', (HIDDEN,), ones(HIDDEN)),
                ('ffn_gate', (HIDDEN, INTERMEDIATE), drawn(source, INTERMEDIATE, HIDDEN, 1.0)),
                ('ffn_up', (HIDDEN, INTERMEDIATE), drawn(source, INTERMEDIATE, HIDDEN, 1.0)),
                ('ffn_down', (INTERMEDIATE, HIDDEN), without_row_0(drawn(source, HIDDEN, INTERMEDIATE, 1.0), INTERMEDIATE))):
            out.append((f'blk.{layer}.{name}.weight', sizes, values))
    out.append(('output_norm.weight', (HIDDEN,), ones(HIDDEN)))
    head = with_constant(drawn(source, vocabulary, HIDDEN, SHARPNESS), [2 * liking(token) for token in range(vocabulary)])
    return out + [('output.weight', (HIDDEN, vocabulary), head)]


def write(path, seed=1, name='tiny'):
    keys, weights = metadata(name), tensors(random.Random(seed))
    out = bytearray(b'GGUF' + struct.pack('<IQQ', 3, len(weights), len(keys)))
    for key, kind, given in keys:
        out += string(key)
        if isinstance(given, list):
            out += struct.pack('<IIQ', ARRAY, kind, len(given)) + b''.join(value(kind, one) for one in given)
        else:
            out += struct.pack('<I', kind) + value(kind, given)
    offset = 0
    for tensor, sizes, values in weights:
        out += string(tensor) + struct.pack(f'<I{len(sizes)}QIQ', len(sizes), *sizes, 0, offset)  # type 0: F32
        offset += -(-4 * len(values) // ALIGNMENT) * ALIGNMENT
    for _, _, values in weights:
        out += bytes(-len(out) % ALIGNMENT)
        data = values[:]
        if sys.byteorder == 'big':
            data.byteswap()
        out += data.tobytes()
    with open(path, 'wb') as file:
        file.write(out)


if __name__ == '__main__':
    write(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
