#include "rig/calibration.hpp"

namespace serveloop::rig {

sl_cost cost_of(const config::Calibration& c, std::uint32_t block_tokens) {
  sl_cost cost{};
  cost.struct_size = sizeof cost;
  cost.step_fixed_ns = c.step_fixed_us * 1e3;
  cost.decode_sequence_ns = c.decode_sequence_us * 1e3;
  cost.decode_context_ns = c.decode_context_ns;
  cost.prefill_token_ns = c.prefill_token_us * 1e3;
  cost.prefill_context_ns = c.prefill_context_ns;
  cost.prefill_step_ns = c.prefill_step_us * 1e3;
  cost.decode_token_ns = c.decode_token_us * 1e3;
  cost.overlap = c.overlap;
  if (c.swap_gb_per_s > 0)  // bytes by 1e9 bytes a second are nanoseconds
    cost.swap_block_ns = static_cast<double>(c.kv_bytes_per_token) * block_tokens / c.swap_gb_per_s;
  return cost;
}

HostModel host_of(const config::Calibration& c) {
  const double half_ns = c.host_sequence_us * 1e3 / 2;
  HostModel host;
  host.other = {c.host_step_us * 1e3, half_ns};
  host.tokens = {0, half_ns};
  host.policy = {c.policy_us * 1e3, 0};
  return host;
}

}  // namespace serveloop::rig
