// Sizes of the cache and of attention's scratch.
#include "kernels/cpu/kv.hpp"

#include "kernels/cpu/kv_parts.hpp"

namespace serveloop::kernels::cpu {

std::size_t kv_head_bytes(const KvLayout& kv) {
  return static_cast<std::size_t>(kv_parts(kv).head_elements) * kv_element_bytes(kv.type);
}
std::size_t kv_block_bytes(const KvLayout& kv) {
  return kv_head_bytes(kv) * static_cast<std::size_t>(kv.kv_heads);
}

// Floats: q and out of 48 rows, keys and values of a leaf of 64, scores of 8 rows, maxima and sums of 48.
std::size_t attention_scratch_bytes(const KvLayout& kv) {
  const auto v_dim = static_cast<std::size_t>(kv_parts(kv).v_dim);
  return ((2 * 48 + 2 * 64) * v_dim + 8 * 64 + 2 * 48) * sizeof(float);
}

}  // namespace serveloop::kernels::cpu
