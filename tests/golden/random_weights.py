#!/usr/bin/env python3
"""Random weights, repeated from the description in core/model/random_value.hpp, in whole numbers.

usage: random_weights.py                   prints digests of a few small tensors (random_weights.txt)
       random_weights.py --check FILE      compares them with FILE
       random_weights.py --check FILE --numpy    the same, made by the fast functions

`values()` needs nothing but Python; `array()` makes whole tensors with numpy. Both give the BF16 bits.
"""
import math
import sys

MASK = (1 << 64) - 1
ROLES = ('embedding', 'attention_norm', 'q', 'k', 'v', 'q_bias', 'k_bias', 'v_bias', 'q_norm', 'k_norm', 'o',
         'post_attention_norm', 'ffn_norm', 'gate', 'up', 'down', 'post_ffn_norm', 'final_norm', 'lm_head')


def mix(a, b):
    x = (a + 0x9e3779b97f4a7c15 * (b + 1)) & MASK
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 & MASK
    x = (x ^ x >> 27) * 0x94d049bb133111eb & MASK
    return x ^ x >> 31


def scale(n):
    """(m, e): m 2^-e times the sum of four 16-bit words has a variance of 1 / n."""
    e = 16
    while (m := math.isqrt((3 << 2 * e - 32) // n)) < 64:
        e += 1
    return m, e


def variance(role, cols, hidden, layers):
    """The n of scale(), by what a tensor is."""
    return cols * 2 * layers if role in ('o', 'down') else hidden if role.endswith('_bias') else cols


def bf16(whole, shift):
    """BF16 bits of whole 2^-shift: to nearest, ties to even."""
    if whole == 0:
        return 0
    sign, size = (0x8000, -whole) if whole < 0 else (0, whole)
    excess = size.bit_length() - 8
    if excess > 0:
        kept, rest, half = size >> excess, size & (1 << excess) - 1, 1 << excess - 1
        kept += rest > half or (rest == half and kept & 1)
    else:
        kept = size << -excess
    if kept == 256:
        kept, excess = 128, excess + 1
    return sign | (excess + 7 - shift + 127) << 7 | kept - 128


def values(seed, role, layer, first, count, cols, hidden, layers):
    stream = mix(seed, (layer + 1) * 256 + ROLES.index(role))
    hashes = (mix(stream, index) for index in range(first, first + count))
    if role.endswith('norm'):
        return [bf16(128 + (h >> 60) - 8, 7) for h in hashes]
    m, e = scale(variance(role, cols, hidden, layers))
    return [bf16((sum(h >> part & 0xffff for part in (0, 16, 32, 48)) - 131070) * m, e) for h in hashes]


def array(seed, role, layer, first, count, cols, hidden, layers):
    import numpy
    stream = mix(seed, (layer + 1) * 256 + ROLES.index(role))
    with numpy.errstate(over='ignore'):
        x = numpy.uint64(stream) + numpy.uint64(0x9e3779b97f4a7c15) * numpy.arange(first + 1, first + count + 1,
                                                                                 dtype=numpy.uint64)
        x = (x ^ x >> numpy.uint64(30)) * numpy.uint64(0xbf58476d1ce4e5b9)
        x = (x ^ x >> numpy.uint64(27)) * numpy.uint64(0x94d049bb133111eb)
        x = x ^ x >> numpy.uint64(31)
    if role.endswith('norm'):
        exact = ((x >> numpy.uint64(60)).astype(numpy.int32) + 120).astype(numpy.float32) / numpy.float32(128)
    else:
        m, e = scale(variance(role, cols, hidden, layers))
        words = sum((x >> numpy.uint64(part)) & numpy.uint64(0xffff) for part in (0, 16, 32, 48))
        exact = ((words.astype(numpy.int32) - 131070) * m).astype(numpy.float32) * numpy.float32(2.0 ** -e)
    bits = exact.view(numpy.uint32)
    return ((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype(numpy.uint16)


def fnv(bits):
    """FNV-1a, 64 bits, over 16-bit words, low byte first."""
    digest = 0xcbf29ce484222325
    for word in bits:
        for byte in (int(word) & 255, int(word) >> 8):
            digest = (digest ^ byte) * 0x100000001b3 & MASK
    return digest


# seed, role, layer, first, count, columns, hidden, layers
CASES = [
    (0, 'embedding', -1, 0, 2048, 96, 96, 7),
    (1, 'embedding', -1, 0, 2048, 96, 96, 7),
    (2**64 - 1, 'q', 0, 0, 2048, 96, 96, 7),
    (42, 'k', 6, 0, 2048, 4096, 4096, 32),
    (42, 'v', 6, 2**40 + 12345, 2048, 4096, 4096, 32),
    (42, 'o', 3, 0, 2048, 120, 96, 7),
    (42, 'down', 31, 0, 2048, 14336, 4096, 32),
    (42, 'gate', 31, 0, 2048, 4096, 4096, 32),
    (42, 'up', 31, 0, 2048, 4096, 4096, 32),
    (7, 'q_bias', 2, 0, 120, 120, 96, 7),
    (7, 'k_bias', 2, 0, 40, 40, 96, 7),
    (7, 'v_bias', 2, 0, 40, 40, 96, 7),
    (7, 'q_norm', 2, 0, 40, 40, 96, 7),
    (7, 'k_norm', 2, 0, 40, 40, 96, 7),
    (7, 'attention_norm', 2, 0, 96, 96, 96, 7),
    (7, 'post_attention_norm', 2, 0, 96, 96, 96, 7),
    (7, 'ffn_norm', 2, 0, 96, 96, 96, 7),
    (7, 'post_ffn_norm', 2, 0, 96, 96, 96, 7),
    (7, 'final_norm', -1, 0, 96, 96, 96, 7),
    (7, 'lm_head', -1, 0, 2048, 1, 96, 1),
]


def lines(make):
    for case in CASES:
        yield ' '.join(map(str, case)) + f' {fnv(make(*case)):016x}\n'


if __name__ == '__main__':
    made = ''.join(lines(array if '--numpy' in sys.argv else values))
    if '--check' not in sys.argv:
        sys.stdout.write(made)
    elif made != open(sys.argv[sys.argv.index('--check') + 1]).read():
        sys.exit('random_weights.py: the digests differ')
