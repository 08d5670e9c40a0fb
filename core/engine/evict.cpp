// Evicting: for the need of a step, ahead of it, and in host memory for what is swapped out.
#include <algorithm>

#include "engine/ask.hpp"
#include "engine/engine.hpp"
#include "engine/records.hpp"

namespace serveloop::engine {

namespace {
constexpr std::uint32_t kAheadSteps = 4;  // of decodes whose next block an eviction policy is asked for ahead
}  // namespace

// Evicts at least `need` device blocks and `host_need` host blocks, where so many can leave. With a host tier the policy may
// demote ahead of need.
std::uint32_t Engine::evict(std::uint32_t need, std::uint32_t host_need) {
  sl_out victims = out_of(victims_, options_.kv_blocks + options_.host_kv_blocks);
  const std::uint16_t reason = ask_who_leaves(need, host_need, victims);
  if (reason != SL_REASON_NONE) {
    const std::vector<sl_victim> own = cache_->fallback_victims(need, host_need);
    std::copy(own.begin(), own.end(), victims_);
    victims.count = static_cast<std::uint32_t>(own.size());
  }
  decisions_.add(reason == SL_REASON_NONE ? policies_.eviction.get() : nullptr,
                 std::span<const sl_victim>(victims_, victims.count));
  if (options_.host_kv_blocks == 0)  // a demotion is a drop
    for (sl_victim& victim : std::span(victims_, victims.count))
      if (victim.to == SL_TIER_HOST) {
        victim.reason = SL_REASON_NO_HOST_TIER;
        ++counters_.no_host_tier;
      }
  const kv::Evicted out = cache_->apply({victims_, victims.count});
  leaving_ += out.demoted;
  counters_.evicted_blocks += out.freed;
  counters_.demoted_blocks += out.demoted;
  counters_.host_dropped_blocks += out.host_dropped;
  counters_.host_full += options_.host_kv_blocks > 0 ? out.host_full : 0;
  take_transfers();
  mark(Phase::policy, victims.count);
  return out.freed + out.demoted;
}

// Asks the policy. Not SL_REASON_NONE: its answer was wrong, or the call failed, and the fallback's is to be taken.
std::uint16_t Engine::ask_who_leaves(std::uint32_t need, std::uint32_t host_need, sl_out& victims) {
  publish_view();  // memory is not as it was when the plan was asked for
  sl_evict_in in{};
  in.view = &view_;
  in.events = cache_->block_events();
  in.need[SL_TIER_DEVICE] = need;
  in.ahead[SL_TIER_DEVICE] = std::max(need, needs_soon());
  if (options_.host_kv_blocks > 0) {
    in.need[SL_TIER_HOST] = host_need;
    in.ahead[SL_TIER_HOST] = std::max(host_need, yields_need());
  }
  std::uint16_t reason = ask(
      observe::Item::evict, policies_.eviction.get(), victims,
      [&](observe::Writer& out) { encode_rows(std::span<const sl_victim>(victims_, victims.count), out); },
      [&](observe::Reader& bytes) {
        return decode_rows(bytes, std::span<sl_victim>(victims_, victims.capacity));
      },
      [&](policy::Eviction& p, sl_out& gauges) { return p.evict(in, victims, gauges); });
  if (reason != SL_REASON_CALL_FAILED)
    cache_->clear_block_events();  // told; a call that failed may not have read them
  if (reason == SL_REASON_NONE) reason = cache_->check({victims_, victims.count}, need, host_need, &bad_row_);
  if (policies_.eviction == nullptr) return reason;
  if (reason == SL_REASON_NONE)
    policies_.eviction->health().good();
  else
    refused(policy::Kind::eviction, *policies_.eviction, reason);
  eject_if_failing(policy::Kind::eviction, policies_.eviction);
  return reason;
}

// With a host tier, blocks are asked for before they are needed: a demotion frees its block only once it is copied.
void Engine::evict_ahead() {
  if (short_soon(need_)) evict(0);
}

// `need`: blocks that this step takes.
bool Engine::short_soon(std::uint64_t need) const {
  if (options_.host_kv_blocks == 0) return false;
  const sl_tier tier = cache_->tier(SL_TIER_DEVICE);
  return tier.evictable > 0 && tier.free + std::uint64_t{leaving_} < need + decodes_need_soon();
}

// Blocks that have to leave for this step and the next few, beside those on their way.
std::uint32_t Engine::needs_soon() const {
  const std::uint64_t wanted = need_ + (options_.host_kv_blocks > 0 ? decodes_need_soon() : 0);
  const std::uint64_t coming = std::uint64_t{cache_->tier(SL_TIER_DEVICE).free} + leaving_;
  return block_count(wanted - std::min(wanted, coming));
}

// Blocks that what runs will need within a few steps, if all of it decodes.
std::uint32_t Engine::decodes_need_soon() const {
  const std::uint64_t tokens = std::uint64_t{requests_->running_count()} * kAheadSteps;
  return static_cast<std::uint32_t>((tokens + options_.block_tokens - 1) / options_.block_tokens);
}

// Host blocks that those who will yield for this step's need would take, if all of them are swapped.
std::uint32_t Engine::yields_need() const {
  const sl_tier tier = cache_->tier(SL_TIER_DEVICE);
  const std::uint64_t without = std::uint64_t{tier.free} + leaving_ + tier.evictable;
  return need_ > without ? block_count(need_ - without) : 0;
}

// Room for `blocks` in host memory, which cached ones there give up. False: there is none.
bool Engine::make_host_room(std::uint32_t blocks) {
  const sl_tier host = cache_->tier(SL_TIER_HOST);
  if (blocks <= host.free) return true;
  if (blocks - host.free > host.evictable) return false;
  evict(0, blocks - host.free);
  return blocks <= cache_->tier(SL_TIER_HOST).free;
}

}  // namespace serveloop::engine
