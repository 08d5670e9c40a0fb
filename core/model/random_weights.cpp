// One loop without branches, so that the compiler may use vectors.
#include "model/random_weights.hpp"

namespace serveloop::model {

RandomScale random_scale(const Slot& slot, const Architecture& architecture) {
  const std::uint64_t residual_parts = std::uint64_t{2} * architecture.layer_count();
  switch (slot.role) {
    case Role::o:
    case Role::down: return random_scale(slot.cols * residual_parts);
    case Role::q_bias:
    case Role::k_bias:
    case Role::v_bias: return random_scale(architecture.hidden);
    default: return random_scale(slot.cols);
  }
}

void fill_random(const Slot& slot, const Architecture& architecture, std::uint64_t seed, std::uint64_t first,
                 std::span<std::uint16_t> out) {
  const std::uint64_t stream = random_stream(seed, slot.layer, static_cast<std::uint8_t>(slot.role));
  if (kind_of(slot.role) == RoleKind::norm) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = random_norm(stream, first + i);
    return;
  }
  const RandomScale scale = random_scale(slot, architecture);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = random_weight(stream, first + i, scale);
}

}  // namespace serveloop::model
