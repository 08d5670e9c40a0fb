// One forward pass over a mixed batch, from token ids on the device to a token for each run that samples: any
// architecture, BF16, over the paged cache. Tokens of decodes come first, one a run, then those of chunks.
//
// What a pass enqueues depends on PassSize alone; all else it reads on the device, at places that stay. So a pass of
// decodes is captured as a graph, one a size, and replayed (graphs.hpp). A number depends on its row's inputs alone
// (kernels/cuda/README.md): neither the batch nor the chunks show.
//
// Thread safety: one stream, one caller at a time.
#pragma once

#include <array>
#include <vector>

#include "execute/cuda/kv_pool.hpp"
#include "execute/cuda/products.hpp"
#include "execute/cuda/sampling_rows.hpp"
#include "execute/cuda/weights.hpp"
#include "kernels/cuda/attention_step.hpp"

namespace serveloop::execute::cuda {

struct PassSize {
  int decodes = 0;       // tokens, and runs
  int chunks = 0;        // runs
  int chunk_tokens = 0;  // of all of them
  int chunk_keys = 0;    // at the end of the chunk that has most
  int samples = 0;       // runs
  // Rotary positions and attention of decodes in one launch: Pass::goes_in_one() says where that is the faster way.
  bool in_one = false;
  int tokens() const { return decodes + chunk_tokens; }
};

struct PassLimits {
  std::uint32_t tokens, sequences, context_tokens, block_tokens, blocks;
};

// What sampling leaves, one a run that samples: in one piece of memory, so that one copy takes all of it to the host.
// Tokens and what is bad go there without a copy.
struct SampledTokens {
  static constexpr std::size_t kAlternatives = kernels::cuda::sampling_max_alternatives;
  static constexpr std::size_t kWords = 3 + 2 * kAlternatives;  // a run
  std::int32_t* words = nullptr;  // [kWords, sequences]: tokens, bad, log-probabilities, alternatives, theirs
  std::size_t sequences = 0;
  std::int32_t* host = nullptr;  // [slots, kWords, sequences], in host memory that the device can write

  std::int32_t* token() const { return words; }
  std::int32_t* bad() const { return words + sequences; }  // 1: no logit was a number above minus infinity
  float* logprob() const { return reinterpret_cast<float*>(words + 2 * sequences); }
  std::int32_t* alternative() const { return words + 3 * sequences; }  // [sequences, kAlternatives]
  float* alternative_logprob() const {
    return reinterpret_cast<float*>(words + (3 + kAlternatives) * sequences);
  }
};

class Pass {
 public:
  // Memory for batches within the limits. References outlive it.
  static Result<Pass> create(const model::Architecture& architecture, const Weights& weights,
                             const Products& products, const KvPool& pool, const PassLimits& limits,
                             const Stream& stream);

  // For a pass of `decodes` tokens that attend to `keys` tokens altogether, and no chunk. Bits are equal either way.
  bool goes_in_one(int decodes, std::uint64_t keys) const;
  // Most (decode, group of keys) pairs of a step: as many decodes as stay within go as such, others as chunks.
  std::uint32_t most_items() const { return most_items_; }

  Status enqueue(const PassSize& size, const kernels::cuda::SequenceRows& rows,
                 const kernels::cuda::StepInputs& inputs, const SamplingRows& sampling,
                 const SampledTokens& sampled, const Stream& stream);
  // After an enqueue that failed: what the kernels count with is as at first.
  Status recover(const Stream& stream);

  static std::uint32_t logit_rows(std::uint32_t sequences) { return sequences < 256 ? sequences : 256; }

 private:
  using bf16 = __nv_bfloat16;
  struct Step {  // what enqueue() was given
    const PassSize& size;
    const kernels::cuda::SequenceRows& rows;
    const kernels::cuda::StepInputs& inputs;
    cudaStream_t stream;
  };
  struct Plan {
    int window;
    DeviceMemory<std::int32_t> words;
  };

  Pass(const model::Architecture& architecture, const Weights& weights, const Products& products,
       const KvPool& pool, const PassLimits& limits)
      : a_(&architecture), weights_(&weights), products_(&products), pool_(&pool), limits_(limits) {}
  Status take_memory();
  Status fill_angles(const Stream& stream);
  Status begin(const Step& step);
  Status layer(std::size_t index, const Step& step);
  Status project(const LayerWeights& layer, const Step& step);
  Status attend(std::size_t index, const Step& step);
  Status gated(const LayerWeights& layer, const Step& step);
  kernels::cuda::LinearNorm norm_of(const bf16* weight) const;
  Status normalise(const bf16* weight, const Step& step);
  Status add(const bf16* x, const bf16* weight, int k, const bf16* post_norm, const Step& step);
  Status sample(const SamplingRows& sampling, const SampledTokens& sampled, const Step& step);
  kernels::cuda::AttentionShape shape_of(std::size_t layer) const;
  kernels::cuda::RopeJob rope_of(std::size_t layer, const Step& step) const;
  kernels::cuda::AttentionPlan plan_of(int window) const;

  const model::Architecture* a_;
  const Weights* weights_;
  const Products* products_;
  const KvPool* pool_;
  PassLimits limits_;
  std::uint32_t most_items_ = 0;
  int processors_ = 0;

  DeviceMemory<bf16> x_,                        // [tokens, hidden], the residual stream
      normed_,                                  // [tokens, hidden]
      delta_,                                   // [tokens, hidden], what x still lacks where pending_
      qkv_,                                     // [tokens, q_features + 2 kv_features]
      attended_,                                // [tokens, q_features]
      gate_up_,                                 // [tokens, 2 intermediate]
      gated_,                                   // [tokens, intermediate]
      last_;                                    // [logit rows, hidden], of runs that sample
  DeviceMemory<float> logits_;                  // [logit rows, vocabulary]
  std::array<DeviceMemory<float2>, 2> angles_;  // by RopeKind: [context_tokens, head_dim / 2]
  std::vector<Plan> plans_;                     // one a window
  DeviceMemory<std::byte> attention_workspace_;
  bool pending_ = false;  // while a pass is being enqueued
};

}  // namespace serveloop::execute::cuda
