#!/usr/bin/env python3
"""Small configurations as transformers itself writes them, for tests/unit/model.

usage: model_configs.py FOLDER

Run once under transformers 4 and once under 5 (PyPI): the two name rotary positions and layer types differently. The
files in tests/unit/model/configs are of 4.57.6 and 5.23.0; the three others there describe public models.
"""
import json
import sys

import transformers

MAJOR = transformers.__version__.split('.')[0]
TINY = dict(vocab_size=311, hidden_size=96, intermediate_size=160, num_hidden_layers=7, num_attention_heads=3,
            num_key_value_heads=1, max_position_embeddings=1009)
# What configuration classes add for generation, and what says nothing of the model.
DROPPED = {'id2label', 'label2id', '_name_or_path', 'output_attentions', 'return_dict', 'chunk_size_feed_forward',
           'problem_type', 'initializer_range', 'diversity_penalty', 'encoder_no_repeat_ngram_size', 'length_penalty',
           'max_length', 'min_length', 'no_repeat_ngram_size', 'num_beam_groups', 'num_beams', 'num_return_sequences',
           'repetition_penalty', 'temperature', 'top_k', 'top_p', 'typical_p'}
KEPT_EMPTY = {'sliding_window', 'tie_word_embeddings', 'use_sliding_window', 'final_logit_softcapping',
              'attn_logit_softcapping'}


def rope(theta, **scaling):
    if MAJOR == '5':
        return {'rope_parameters': {'rope_type': 'default', 'rope_theta': theta, **scaling}}
    return {'rope_theta': theta, **({'rope_scaling': scaling} if scaling else {})}


def gemma_rope():
    linear = {'rope_type': 'linear', 'factor': 8.0}
    if MAJOR == '5':
        return {'rope_parameters': {'full_attention': {'rope_theta': 1e6, **linear},
                                    'sliding_attention': {'rope_theta': 1e4, 'rope_type': 'default'}}}
    return {'rope_theta': 1e6, 'rope_local_base_freq': 1e4, 'rope_scaling': linear}


MODELS = {
    'llama': (transformers.LlamaConfig, 'LlamaForCausalLM',
              rope(5e5, rope_type='llama3', factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=512)),
    'mistral': (transformers.MistralConfig, 'MistralForCausalLM', {'sliding_window': 53, **rope(1e4)}),
    'qwen2': (transformers.Qwen2Config, 'Qwen2ForCausalLM',
              {'use_sliding_window': True, 'sliding_window': 41, 'max_window_layers': 5, **rope(1e6)}),
    'qwen3': (transformers.Qwen3Config, 'Qwen3ForCausalLM',
              {'head_dim': 40, 'tie_word_embeddings': True, **rope(1e6)}),
    'gemma3': (transformers.Gemma3TextConfig, 'Gemma3ForCausalLM',
               {'head_dim': 40, 'query_pre_attn_scalar': 168, 'sliding_window': 29, **gemma_rope()}),
}

for name, (config, architecture, fields) in MODELS.items():
    written = json.loads(config(**TINY, **fields, architectures=[architecture]).to_json_string(use_diff=False))
    kept = {key: value for key, value in written.items()
            if key not in DROPPED and (key in KEPT_EMPTY or value not in (None, False, [], {}))}
    with open(f'{sys.argv[1]}/{name}_transformers{MAJOR}.json', 'w') as file:
        json.dump(kept, file, indent=1, sort_keys=True)
        file.write('\n')
