// A model's weights on the device, BF16 throughout: matrices that read the same input lie in one, norms and biases beside
// them. What a file stores otherwise is dequantised and rounded once on the way. Thread safety: immutable once made.
#pragma once

#include <cuda_bf16.h>

#include <vector>

#include "execute/cuda/device.hpp"
#include "model/model.hpp"

namespace serveloop::execute::cuda {

struct LayerWeights {                                  // null where the architecture has none
  const __nv_bfloat16* attention_norm = nullptr;       // [hidden]
  const __nv_bfloat16* qkv = nullptr;                  // [q_features + 2 kv_features, hidden]: Q, K, V
  const __nv_bfloat16* qkv_bias = nullptr;             // [q_features + 2 kv_features]
  const __nv_bfloat16* q_norm = nullptr;               // [head_dim]
  const __nv_bfloat16* k_norm = nullptr;               // [head_dim]
  const __nv_bfloat16* o = nullptr;                    // [hidden, q_features]
  const __nv_bfloat16* post_attention_norm = nullptr;  // [hidden]
  const __nv_bfloat16* ffn_norm = nullptr;             // [hidden]
  const __nv_bfloat16* gate_up = nullptr;              // [2 intermediate, hidden]: gate, up
  const __nv_bfloat16* down = nullptr;                 // [hidden, intermediate]
  const __nv_bfloat16* post_ffn_norm = nullptr;        // [hidden]
};

class Weights {
 public:
  // Fails where the device is short of memory. Nothing of the model is read any more after it.
  static Result<Weights> upload(const model::Model& model);

  const LayerWeights& layer(std::size_t layer) const { return layers_[layer]; }
  const __nv_bfloat16* embedding() const { return embedding_; }    // [vocabulary, hidden]
  const __nv_bfloat16* final_norm() const { return final_norm_; }  // [hidden]
  const __nv_bfloat16* lm_head() const { return lm_head_; }        // [vocabulary, hidden]
  // What norms add to their weights. Of 0 and 1 that with which the norms lose less to BF16: Gemma's weights are 1 more
  // than the BF16 numbers that its checkpoints hold.
  float norm_offset() const { return norm_offset_; }
  std::size_t bytes() const { return memory_.bytes(); }

 private:
  DeviceMemory<__nv_bfloat16> memory_;
  std::vector<LayerWeights> layers_;
  const __nv_bfloat16 *embedding_ = nullptr, *final_norm_ = nullptr, *lm_head_ = nullptr;
  float norm_offset_ = 0;
};

}  // namespace serveloop::execute::cuda
