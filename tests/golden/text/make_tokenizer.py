#!/usr/bin/env python3
"""Makes the golden files of tests/unit/text: what the tokenizers library answers for a real vocabulary.

usage: make_tokenizer.py MODEL.gguf OUTPUT_FOLDER

Needs gguf and tokenizers from PyPI; README.md names the versions and the model. Both files hold unsigned LEB128 numbers
and strings (number of bytes, bytes).

smollm2.vocabulary  number of control tokens, each a string; number of byte tokens, each its byte; number of merges,
                    each the ids of its two parts. Ids go on in this order, and each merge makes a new token.
smollm2.golden      number of sections, each: name of the pre-tokenizer, 1 if control tokens are recognised, number of
                    cases, each: text, number of ids, ids. Then number of decoded cases, each: number of ids, ids, text
                    without control tokens.
"""
import random
import sys
from pathlib import Path

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from texts import texts, texts_with_tokens

SEED = 20250701
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLIT = {
    'llama-bpe': CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL,
    'qwen2': CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL,
}


def letters():
    """byte -> its letter in the byte alphabet."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return {byte: chr(byte if byte in own else next(others)) for byte in range(256)}


LETTERS = letters()


def pre_tokenizer(name):
    byte_level = lambda use_regex: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    if name == 'gpt-2':
        return byte_level(True)
    if name == 'smollm':
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)])
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT[name]), 'isolated'), byte_level(False)])


class Model:
    def __init__(self, path):
        fields = GGUFReader(path).fields
        field = lambda name: fields['tokenizer.ggml.' + name].contents()
        self.tokens, self.merges = field('tokens'), [tuple(m.split(' ')) for m in field('merges')]
        self.control = [t for t, kind in zip(self.tokens, field('token_type')) if kind == 3]
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        first_merge = len(self.tokens) - len(self.merges)
        self.bytes = [byte for t in self.tokens[len(self.control):first_merge] for byte in LETTERS if LETTERS[byte] == t]
        # What the vocabulary file's form takes for granted.
        assert self.tokens == self.control + [LETTERS[b] for b in self.bytes] + [a + b for a, b in self.merges]
        assert field('pre') == 'smollm'

    def tokenizer(self, pre, recognise):
        tokenizer = Tokenizer(models.BPE(vocab=self.ids, merges=self.merges, ignore_merges=pre == 'llama-bpe'))
        tokenizer.pre_tokenizer = pre_tokenizer(pre)
        tokenizer.decoder = decoders.ByteLevel()
        if recognise:
            tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in self.control])
        return tokenizer

    def vocabulary(self):
        out = number(len(self.control)) + b''.join(map(string, self.control))
        out += number(len(self.bytes)) + bytes(self.bytes)
        return out + number(len(self.merges)) + b''.join(number(self.ids[a]) + number(self.ids[b]) for a, b in self.merges)


def number(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(text):
    return number(len(text.encode())) + text.encode()


def numbers(values):
    return number(len(values)) + b''.join(map(number, values))


def section(model, pre, recognise, inputs):
    tokenizer = model.tokenizer(pre, recognise)
    out = string(pre) + number(recognise) + number(len(inputs))
    for text in inputs:
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text, repr(text)
        out += string(text) + numbers(ids)
    return out


def decoded(model, seed, count):
    tokenizer, rng, out = model.tokenizer('smollm', True), random.Random(seed), number(count)
    single = range(len(model.control), len(model.control) + len(model.bytes))
    for _ in range(count):
        ids = [rng.choice(single) if rng.random() < 0.6 else rng.randrange(len(model.tokens)) for _ in range(rng.randint(0, 16))]
        out += numbers(ids) + string(tokenizer.decode(ids, skip_special_tokens=True))
    return out


def main():
    model, folder = Model(sys.argv[1]), Path(sys.argv[2])
    sections = [section(model, 'smollm', 0, texts(SEED, 10000)), section(model, 'smollm', 1, texts_with_tokens(SEED + 1, 500))]
    sections += [section(model, pre, 0, texts(SEED + 2 + i, 700)) for i, pre in enumerate(['gpt-2', 'llama-bpe', 'qwen2'])]
    golden = number(len(sections)) + b''.join(sections) + decoded(model, SEED + 9, 1000)
    (folder / 'smollm2.vocabulary').write_bytes(model.vocabulary())
    (folder / 'smollm2.golden').write_bytes(golden)


if __name__ == '__main__':
    main()
