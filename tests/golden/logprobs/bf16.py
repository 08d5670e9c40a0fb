#!/usr/bin/env python3
"""Writes a GGUF file anew with its matrices in BF16: widened by the package `gguf`, then rounded to nearest.

usage: bf16.py MODEL.gguf OUTPUT.gguf

Needs gguf and numpy from PyPI. Vectors become F32; metadata, the vocabulary among them, stays.
"""
import sys

from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType, dequantize, quantize

source, target = sys.argv[1:]
reader = GGUFReader(source)
writer = GGUFWriter(target, reader.fields['general.architecture'].contents())
for name, field in reader.fields.items():
    if name.startswith('GGUF.') or name == 'general.architecture':
        continue
    value = int(LlamaFileType.MOSTLY_BF16) if name == 'general.file_type' else field.contents()
    kind = field.types[0]
    writer.add_key_value(name, value, kind, sub_type=field.types[-1] if kind == GGUFValueType.ARRAY else None)
for tensor in reader.tensors:
    values = dequantize(tensor.data, tensor.tensor_type)
    kind = GGMLQuantizationType.BF16 if values.ndim > 1 else GGMLQuantizationType.F32
    writer.add_tensor(tensor.name, quantize(values, kind), raw_dtype=kind)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
