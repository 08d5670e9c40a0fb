// Where things lie in a plan's words, and the check that the launchers share.
#pragma once

#include "attention.hpp"

namespace serveloop::kernels::cuda {

Status check_attention(const AttentionShape& shape);

// Index of the first pair: after the two counts and max_tokens + 1 first items, rounded up to even.
__host__ __device__ inline std::size_t plan_items_at(int max_tokens) {
  return (static_cast<std::size_t>(max_tokens) + 3 + 1) / 2 * 2;
}

__host__ __device__ inline int2* plan_items(const AttentionPlan& plan) {
  return reinterpret_cast<int2*>(plan.words + plan_items_at(plan.max_tokens));
}

}  // namespace serveloop::kernels::cuda
