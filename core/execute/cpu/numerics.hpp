// A precision plan as the CPU computes it: the format of each product's activations, and of each layer's cache.
//
//   operation    input may be                               what it means
//   Q .. LM_HEAD F32                                        weights are widened exactly, all else F32
//                BF16                                       inputs rounded to BF16, sums F32
//                INT8 (quantised weights; groups of 32)     a scale a row and group, exact sums a group
//                NATIVE                                     INT8 of quantised weights, BF16 of BF16 ones, else F32
//   KV           F32, BF16; K and V alike; NATIVE is BF16
//   EMBED, NORM  NATIVE or F32: both F32
// Weights stay as they are stored (NATIVE); outputs, queries and probabilities are F32; sums are F32. Only INT8 has
// scales: F32, dynamic, of groups of 32. compute: DEQUANTISED where quantised weights meet another input than INT8, else
// NATIVE. What is not in the table is refused: scales of other formats or kinds, other sums, EMULATED. So what took
// effect differs from what was asked only where that was left open (NATIVE, INT8 without a word on scales), and every
// effective plan's reason is SL_REASON_NONE: nothing was substituted. Scales are local to a row and a group, so every
// plan is deterministic. Thread safety: pure functions.
#pragma once

#include <serveloop/precision.h>

#include <array>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "execute/cpu/weights.hpp"

namespace serveloop::execute::cpu {

struct Numerics {
  struct Layer {
    std::array<kernels::cpu::Act, kRoles> act{};  // by model::Role, of matrices
    kernels::cpu::KvType kv = kernels::cpu::KvType::bf16;
  };
  std::vector<Layer> layers;          // [0]: outside of them
  std::vector<sl_op_plan> effective;  // one a key: what was left open filled in

  kernels::cpu::Act act(std::int32_t layer, model::Role role) const {
    return layers[place_of(layer)].act[static_cast<std::size_t>(role)];
  }
  std::vector<kernels::cpu::KvType> kv_types() const {
    std::vector<kernels::cpu::KvType> types;
    for (std::size_t i = 1; i < layers.size(); ++i) types.push_back(layers[i].kv);
    return types;
  }
};

// The operations, each with what it can be computed in here.
std::vector<sl_op_key> cpu_op_keys(const model::Architecture& architecture, const Weights& weights);

// plans: one a key.
Result<Numerics> numerics_of(std::span<const sl_op_key> keys, std::span<const sl_op_plan> plans,
                             const Weights& weights);

}  // namespace serveloop::execute::cpu
