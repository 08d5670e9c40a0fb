// The names of sdk/include/serveloop/reasons.h: each is its macro's, in lower case, without SL_REASON_.
#include "policy/reasons.hpp"

#include <serveloop/reasons.h>

#include "policy/manifest.hpp"

namespace serveloop::policy {

const char* core_reason_name(std::uint16_t code) {
  switch (code) {
    case SL_REASON_NONE: return "none";
    case SL_REASON_MEMORY: return "memory";
    case SL_REASON_TOKENS: return "tokens";
    case SL_REASON_SLOTS: return "slots";
    case SL_REASON_COPY_PENDING: return "copy_pending";
    case SL_REASON_NO_HOST_TIER: return "no_host_tier";
    case SL_REASON_AFTER_PREEMPTION: return "after_preemption";
    case SL_REASON_STEP_FAILED: return "step_failed";
    case SL_REASON_HOST_FULL: return "host_full";
    case SL_REASON_STILL_FILLING: return "still_filling";
    case SL_REASON_COPY_FAILED: return "copy_failed";
    case SL_REASON_UNKNOWN_ID: return "unknown_id";
    case SL_REASON_STALE_ID: return "stale_id";
    case SL_REASON_WRONG_STATE: return "wrong_state";
    case SL_REASON_TWICE: return "twice";
    case SL_REASON_OVER_BUDGET: return "over_budget";
    case SL_REASON_OVERFLOW: return "overflow";
    case SL_REASON_UNKNOWN_VERB: return "unknown_verb";
    case SL_REASON_NOT_A_GATES_VERB: return "not_a_gates_verb";
    case SL_REASON_PINNED: return "pinned";
    case SL_REASON_CACHED_CHILDREN: return "cached_children";
    case SL_REASON_TOO_FEW: return "too_few";
    case SL_REASON_NOT_A_CANDIDATE: return "not_a_candidate";
    case SL_REASON_CALL_FAILED: return "call_failed";
    case SL_REASON_NO_PROGRESS: return "no_progress";
    case SL_REASON_BAD_NUMBER: return "bad_number";
    case SL_REASON_EJECTED: return "ejected";
    case SL_REASON_CANCELLED: return "cancelled";
    case SL_REASON_DEADLINE: return "deadline";
    case SL_REASON_QUEUE_FULL: return "queue_full";
    case SL_REASON_NEVER_FITS: return "never_fits";
    case SL_REASON_CONTEXT: return "context";
    default: return nullptr;
  }
}

std::string reason_name(std::uint16_t code, const Manifest* manifest) {
  if (const char* name = core_reason_name(code)) return name;
  const std::size_t index = static_cast<std::size_t>(code) - SL_REASON_PLUGIN;
  if (code >= SL_REASON_PLUGIN && manifest != nullptr && index < manifest->reasons.size()) {
    return manifest->id + "." + manifest->reasons[index];
  }
  return "reason_" + std::to_string(code);
}

}  // namespace serveloop::policy
