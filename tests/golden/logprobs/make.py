#!/usr/bin/env python3
"""Makes the golden log-probabilities of tests/unit/execute: what Transformers computes, in F32 on the CPU.

usage: make.py MODEL.gguf OUTPUT_FOLDER

Needs torch, transformers, gguf, tokenizers and numpy from PyPI; README.md names the versions, the model, and the form of
the files. Weights of the small models are random (../random_weights.py); those of the real one are what the package
`gguf` makes of its blocks. Nothing here comes from the engine.
"""
import json
import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent), str(HERE.parent / 'text')]

import numpy
import torch
import transformers
from gguf import GGUFReader, dequantize

import make_tokenizer
import random_weights
import prose

TOP = 4
UNIT = 65536    # of a stored log-probability: 2^-16
SEED = 20250917
TINY = ('llama', 'mistral', 'qwen2', 'qwen3', 'gemma3')
TINY_LENGTHS = (1, 2, 3, 5, 8, 13, 17, 19, 20, 21, 22, 23, 24, 25, 32, 47, 64, 65, 90, 151)

# Role of core/model/weights.hpp -> name in Transformers, in GGUF. A Gemma has four norms a layer.
OUTSIDE = {'embedding': ('model.embed_tokens.weight', 'token_embd.weight'),
           'final_norm': ('model.norm.weight', 'output_norm.weight'), 'lm_head': ('lm_head.weight', 'output.weight')}
IN_LAYER = {'attention_norm': ('input_layernorm.weight', 'attn_norm.weight'),
            'ffn_norm': ('post_attention_layernorm.weight', 'ffn_norm.weight')}
IN_LAYER |= {role: (f'self_attn.{role}_proj.weight', f'attn_{role}.weight') for role in 'qkv'}
IN_LAYER |= {f'{role}_bias': (f'self_attn.{role}_proj.bias', None) for role in 'qkv'}
IN_LAYER |= {f'{role}_norm': (f'self_attn.{role}_norm.weight', None) for role in 'qk'}
IN_LAYER |= {'o': ('self_attn.o_proj.weight', 'attn_output.weight')}
IN_LAYER |= {role: (f'mlp.{role}_proj.weight', f'ffn_{role}.weight') for role in ('gate', 'up', 'down')}
GEMMA = IN_LAYER | {'post_attention_norm': ('post_attention_layernorm.weight', None),
                    'ffn_norm': ('pre_feedforward_layernorm.weight', None),
                    'post_ffn_norm': ('post_feedforward_layernorm.weight', None)}


def filled(model_class, config, value):
    """A model whose parameters are value(role, layer, GGUF name, shape), every one of them."""
    config._attn_implementation = 'eager'
    model = model_class(config).float().eval()
    in_layer = GEMMA if 'Gemma' in model_class.__name__ else IN_LAYER
    places = {name: (role, -1, stored) for role, (name, stored) in OUTSIDE.items()}
    for layer in range(config.num_hidden_layers):
        places |= {f'model.layers.{layer}.{name}': (role, layer, stored) for role, (name, stored) in in_layer.items()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():    # a tied head is the embedding, and not named again
            role, layer, stored = places[name]
            parameter.copy_(torch.from_numpy(numpy.array(value(role, layer, stored, tuple(parameter.shape)))))
    return model


def tiny(name):
    config = transformers.AutoConfig.for_model(**json.loads((HERE / f'{name}.json').read_text()))
    model_class = getattr(transformers, config.architectures[0])
    gemma = name == 'gemma3'

    def value(role, layer, _, shape):
        bits = random_weights.array(SEED, role, layer, 0, int(numpy.prod(shape)), shape[-1], config.hidden_size,
                                    config.num_hidden_layers)
        exact = (bits.astype(numpy.uint32) << 16).view(numpy.float32).reshape(shape)
        return exact - 1 if gemma and role.endswith('norm') else exact    # Gemma's files hold w - 1: exact

    model = filled(model_class, config, value)
    if gemma:
        # A Gemma is run in BF16, where this factor is rounded; in F32 Transformers would not round it.
        scale = model.model.embed_tokens.embed_scale
        scale.copy_(scale.to(torch.bfloat16).float())
    return model


def real(path):
    reader = GGUFReader(path)
    field = lambda key: reader.fields[f'llama.{key}'].contents()
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    heads, kv_heads = field('attention.head_count'), field('attention.head_count_kv')
    config = transformers.LlamaConfig(
        vocab_size=int(tensors['token_embd.weight'].shape[1]), hidden_size=field('embedding_length'),
        intermediate_size=field('feed_forward_length'), num_hidden_layers=field('block_count'), num_attention_heads=heads,
        num_key_value_heads=kv_heads, max_position_embeddings=field('context_length'),
        rms_norm_eps=field('attention.layer_norm_rms_epsilon'), tie_word_embeddings='output.weight' not in tensors,
        rope_parameters={'rope_type': 'default', 'rope_theta': field('rope.freq_base')})

    def value(role, layer, stored, shape):
        tensor = tensors[stored if layer < 0 else f'blk.{layer}.{stored}']
        values = dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        if role in ('q', 'k'):    # files of `llama` hold pairs of RoPE as neighbours
            values = values.reshape(heads if role == 'q' else kv_heads, -1, 2, shape[-1]).swapaxes(1, 2).reshape(shape)
        return values

    return filled(transformers.LlamaForCausalLM, config, value)


def number(value):
    """Unsigned LEB128."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def stored(log_probability):
    return number(max(0, round(-float(log_probability) * UNIT)))


def record(model, name, ids):
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0].double()
    all_of = torch.log_softmax(logits, dim=-1)
    out = number(len(name)) + name.encode() + number(len(ids)) + b''.join(map(number, ids))
    for position in range(len(ids)):
        if position + 1 < len(ids):
            out += stored(all_of[position, ids[position + 1]])
        best = torch.topk(all_of[position], TOP)
        out += b''.join(number(int(i)) + stored(value) for i, value in zip(best.indices, best.values))
    return out


def write(folder, name, model, named_ids):
    data = number(len(named_ids)) + b''.join(record(model, *one) for one in named_ids)
    (folder / f'{name}.logprobs').write_bytes(data)
    print(f'{name}: {len(named_ids)} texts, {sum(len(ids) for _, ids in named_ids)} tokens, {len(data)} bytes')


def main():
    gguf, folder = sys.argv[1], Path(sys.argv[2])
    for name in TINY:
        draw = random.Random(SEED)
        model = tiny(name)
        write(folder, name, model, [(f'{n} tokens', [draw.randrange(model.config.vocab_size) for _ in range(n)])
                                    for n in TINY_LENGTHS])
    tokenizer = make_tokenizer.Model(gguf).tokenizer('smollm', True)
    write(folder, 'smollm2', real(gguf), [(name, tokenizer.encode(text).ids) for name, text in prose.texts()])


if __name__ == '__main__':
    main()
