#include "engine/kv_use.hpp"

#include "engine/engine.hpp"
#include "engine/reservation.hpp"

namespace serveloop::engine {

KvUse Engine::kv_use() {
  KvUse use;
  const sl_tier device = cache_->tier(SL_TIER_DEVICE);
  const std::uint64_t block_tokens = options_.block_tokens;
  use.pool_tokens = device.total * block_tokens;
  use.held_tokens = (device.total - device.free - device.evictable) * block_tokens;
  use.running = requests_->running_count();
  const auto add = [&](Slot slot) {  // only the end of a table may be without KV, and that is nobody else's
    const sl_seq_row& r = row(slot);
    const std::uint32_t blocks = reservation_ != nullptr ? reservation_->reserved(slot) : r.blocks_device;
    use.unfilled_tokens += blocks * block_tokens - r.computed;
  };
  for (const Slot slot : requests_->running()) add(slot);
  for (const Slot slot : requests_->holders()) add(slot);
  if (reservation_ != nullptr) {
    use.held_tokens = reservation_->reserved() * block_tokens;
    use.fragmented_tokens = reservation_->fragmented() * block_tokens;
  }
  return use;
}

}  // namespace serveloop::engine
