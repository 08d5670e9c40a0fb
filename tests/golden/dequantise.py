#!/usr/bin/env python3
"""Blocks of each storage type and their values, by the PyPI package `gguf`, for tests/unit/model.

usage: dequantise.py > dequantise.txt

A line: type, the stored bytes in hexadecimal, the F32 values' bits in hexadecimal. The file here is of gguf 0.19.0.
"""
import gguf
import numpy

BLOCKS = 5
random = numpy.random.default_rng(20240229)


def stored(kind):
    values, size = gguf.GGML_QUANT_SIZES[kind]
    if values == 1:
        numbers = (random.standard_normal(37) * 3).astype(numpy.float32)
        return gguf.quantize(numbers, kind).view(numpy.uint8)
    blocks = random.integers(0, 256, (BLOCKS, size), dtype=numpy.uint8)
    # Scales: usual, negative, subnormal, zero, the largest. Minima where there are any: usual, of both signs.
    blocks[:, :2] = numpy.array([0.0123, -1.75, 3e-6, 0.0, 65504.0], numpy.float16).view(numpy.uint8).reshape(-1, 2)
    if kind == gguf.GGMLQuantizationType.Q4_1:
        blocks[:, 2:4] = numpy.array([-0.7, 2.5, 1e-5, -3.0, 1.0], numpy.float16).view(numpy.uint8).reshape(-1, 2)
    return blocks.reshape(-1)


for name in ('F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1'):
    kind = gguf.GGMLQuantizationType[name]
    data = stored(kind)
    values = gguf.dequantize(data.view(numpy.float16) if name == 'F16' else data.view(numpy.float32) if name == 'F32' else data, kind)
    bits = numpy.ascontiguousarray(values, numpy.float32).view(numpy.uint32).reshape(-1)
    print(name, data.tobytes().hex(), ','.join(f'{one:08x}' for one in bits))
