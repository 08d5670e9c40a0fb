// What a request states about its latencies, and whether a sequence of it kept that. Plain values.
#pragma once

#include <serveloop/events.h>

#include <cstdint>

#include "engine/output.hpp"

namespace serveloop::experiment {

inline bool is_complete(const engine::Finished& end) {
  return end.finish == SL_FINISH_LENGTH || end.finish == SL_FINISH_STOP;
}

struct Stated {
  // After the arrival, between two tokens, after the arrival; SL_NEVER: none.
  std::uint64_t ttft_deadline_ns = SL_NEVER, tbt_target_ns = SL_NEVER, end_deadline_ns = SL_NEVER;

  bool any() const {
    return ttft_deadline_ns != SL_NEVER || tbt_target_ns != SL_NEVER || end_deadline_ns != SL_NEVER;
  }
  // Kept by a sequence that was completed with its first and its last token in time, and with gaps that are on average no
  // longer than stated, as the field counts them (DistServe, OSDI 2024). Those refused, cut or cancelled kept nothing.
  bool kept_by(const engine::Finished& end) const {
    const std::uint64_t gaps = end.output_tokens > 1 ? end.output_tokens - 1 : 1;
    return is_complete(end) && end.first_token_ns - end.arrival_ns <= ttft_deadline_ns &&
           (end.last_token_ns - end.first_token_ns) / gaps <= tbt_target_ns &&
           end.end_ns - end.arrival_ns <= end_deadline_ns;
  }
};

}  // namespace serveloop::experiment
