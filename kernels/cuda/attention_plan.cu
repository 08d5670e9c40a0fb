// The work list of a step. Layout of the plan's words:
//   [0] items needed, [1] items in the list (0 where it did not fit), [2, 2 + tokens] first item of each token and
//   the end, then from a multiple of four on the items.
#include "attention_plan.cuh"
#include "hopper.cuh"
#include "launch.hpp"

namespace serveloop::kernels::cuda {
namespace {

constexpr int plan_threads = 1024;

// One block. Pass 1 scans the tokens' counts into first_item; pass 2 lets one warp a token write its items.
__global__ void __launch_bounds__(plan_threads)
    plan_kernel(AttentionRows rows, int window, AttentionPlan plan) {
  __shared__ int warp_totals[32];
  __shared__ int carried;
  let_successor_start();
  wait_for_predecessor();
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  std::int32_t* first_item = plan.words + 2;
  if (threadIdx.x == 0) carried = 0;
  __syncthreads();
  for (int base = 0; base < rows.tokens; base += plan_threads) {
    const int token = base + threadIdx.x;
    const int count = token < rows.tokens ? attention_items(rows.position[token], window) : 0;
    int sum = count;
    for (int step = 1; step < 32; step *= 2) {
      const int below = __shfl_up_sync(0xffffffffu, sum, step);
      if (lane >= step) sum += below;
    }
    if (lane == 31) warp_totals[warp] = sum;
    __syncthreads();
    int before = carried;
    for (int i = 0; i < warp; ++i) before += warp_totals[i];
    if (token < rows.tokens) first_item[token] = before + sum - count;
    __syncthreads();
    if (threadIdx.x == plan_threads - 1) carried = before + sum;
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    first_item[rows.tokens] = carried;
    plan.words[0] = carried;
    plan.words[1] = carried <= plan.max_items ? carried : 0;
  }
  if (carried > plan.max_items) return;
  PlanItem* items = plan_items(plan);
  for (int token = warp; token < rows.tokens; token += plan_threads / 32) {
    const int count = attention_items(rows.position[token], window);
    const int position = rows.position[token];
    const int table_row = rows.table_row[token];
    const int last = position / attention_group_tokens;
    const int start = first_item[token];
    for (int i = lane; i < count; i += 32)
      items[start + i] = {token, last - count + 1 + i, position, table_row, start, count, {}};
  }
}

}  // namespace

Status check_attention(const AttentionShape& shape) {
  if (shape.kv_heads <= 0 || shape.q_heads <= 0 || shape.q_heads % shape.kv_heads != 0)
    return {"attention: q_heads, expected a multiple of kv_heads"};
  if (shape.head_dim != 64 && shape.head_dim != 128 && shape.head_dim != 256)
    return {"attention: head_dim, expected 64, 128 or 256"};
  const int tokens = shape.block_tokens;
  if (tokens < 16 || tokens > 1024 || (tokens & (tokens - 1)) != 0)
    return {"attention: block_tokens, expected a power of two from 16 to 1,024"};
  if (!(shape.scale > 0.0f)) return {"attention: scale, expected more than 0"};
  if (!(shape.soft_cap >= 0.0f)) return {"attention: soft_cap, expected 0 or more"};
  if (shape.window < 0) return {"attention: window, expected 0 or more"};
  return {};
}

std::size_t attention_plan_words(int max_tokens, int max_items) {
  return plan_items_at(max_tokens) + plan_item_words * static_cast<std::size_t>(max_items);
}

Status plan_attention(const AttentionRows& rows, int window, const AttentionPlan& plan, cudaStream_t stream) {
  if (rows.tokens < 0 || rows.tokens > plan.max_tokens)
    return {"plan_attention: tokens, expected 0 to max_tokens"};
  if (window < 0) return {"plan_attention: window, expected 0 or more"};
  if (plan.words == nullptr || plan.max_items < 0)
    return {"plan_attention: plan, expected words and a capacity"};
  if (reinterpret_cast<std::uintptr_t>(plan.words) % 16 != 0)
    return {"plan_attention: plan, expected words at a multiple of 16 bytes"};
  return launch("plan_attention", plan_kernel, {dim3(1), dim3(plan_threads), 0, stream}, rows, window, plan);
}

}  // namespace serveloop::kernels::cuda
