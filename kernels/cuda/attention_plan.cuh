// Where things lie in a plan's words, and the check that the launchers share.
#pragma once

#include "attention.hpp"

namespace serveloop::kernels::cuda {

Status check_attention(const AttentionShape& shape);

// A (token, group) pair of the list, with what is asked of the token: one look-up.
struct alignas(16) PlanItem {
  int token, group;
  int last, table_row;    // the token's position and its row of the block table
  int first_item, items;  // of the token
  int unused[2];
};
inline constexpr int plan_item_words = sizeof(PlanItem) / sizeof(std::int32_t);

// Index of the first item: after the two counts and max_tokens + 1 first items, rounded up to whole vectors.
__host__ __device__ inline std::size_t plan_items_at(int max_tokens) {
  return (static_cast<std::size_t>(max_tokens) + 3 + 3) / 4 * 4;
}

__host__ __device__ inline PlanItem* plan_items(const AttentionPlan& plan) {
  return reinterpret_cast<PlanItem*>(plan.words + plan_items_at(plan.max_tokens));
}

}  // namespace serveloop::kernels::cuda
