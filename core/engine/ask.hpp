// One question to one policy: the call, its status and count, the log's line, and a replay's word in its
// place.
#pragma once

#include "engine/engine.hpp"

namespace serveloop::engine {

// Calls `call(*policy)` and notes the answer; with an override (a replay) the recorded answer is taken
// instead and no policy is needed. Returns why the answer cannot be used, or SL_REASON_NONE; its rows are the
// caller's to check.
template <class Policy, class Encode, class Decode, class Call>
std::uint16_t Engine::ask(observe::Item item, Policy* policy, sl_out& out, Encode&& encode, Decode&& decode,
                          Call&& call) {
  sl_out gauges = out_of(gauges_, kGauges);
  std::uint16_t reason = SL_REASON_EJECTED;
  if (override_) {
    const auto recorded = override_(item);
    if (!recorded) return SL_REASON_EJECTED;
    observe::Reader in(*recorded);
    reason = static_cast<std::uint16_t>(in.u64());
    if (reason == SL_REASON_NONE) {
      const Result<std::uint32_t> count = decode(in);
      if (!count) return SL_REASON_CALL_FAILED;
      out.count = *count;
    }
  } else {
    if (policy == nullptr) return SL_REASON_EJECTED;
    reason = policy::reason_of(call(*policy, gauges));
    if (reason == SL_REASON_NONE) reason = check_gauges(gauges, policy->manifest().gauges.size());
  }
  log(item, [&](observe::Writer& bytes) {
    bytes.u64(reason);
    if (reason == SL_REASON_NONE) encode(bytes);
  });
  if (reason == SL_REASON_NONE) log_gauges(gauges.count);
  return reason;
}

}  // namespace serveloop::engine
