#include "service/totals.hpp"

#include <serveloop/events.h>

#include <algorithm>

namespace serveloop::service {

namespace {

const char* name_of(std::uint32_t finish) {
  switch (finish) {
    case SL_FINISH_STOP: return "stop";
    case SL_FINISH_LENGTH: return "length";
    case SL_FINISH_CANCELLED: return "cancelled";
    case SL_FINISH_DEADLINE: return "deadline";
    case SL_FINISH_REJECTED: return "rejected";
    default: return "error";
  }
}

}  // namespace

void TimeHistogram::add(std::uint64_t ns) {
  const double seconds = static_cast<double>(ns) * 1e-9;
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), seconds) - kBounds.begin();
  ++counts[static_cast<std::size_t>(bucket)];
  sum_s += seconds;
  ++count;
}

void Totals::token(const engine::Delivered& token) {
  if (token.index > 0) between_tokens_.add(token.gap_ns);
}

void Totals::end(const engine::Finished& end) {
  ++finished_[end.finish];
  if (end.admitted_ns == 0) return;
  queue_.add(end.admitted_ns - end.arrival_ns);
  if (end.first_token_ns == 0) return;
  first_token_.add(end.first_token_ns - end.arrival_ns);
  prefill_.add(end.first_token_ns - end.admitted_ns);
  decode_.add(end.last_token_ns - end.first_token_ns);
  end_to_end_.add(end.end_ns - end.arrival_ns);
}

void Totals::fill(Snapshot& snapshot) const {
  for (const auto& [finish, count] : finished_) snapshot.finished[name_of(finish)] += count;
  snapshot.first_token = first_token_;
  snapshot.between_tokens = between_tokens_;
  snapshot.end_to_end = end_to_end_;
  snapshot.queue = queue_;
  snapshot.prefill = prefill_;
  snapshot.decode = decode_;
}

}  // namespace serveloop::service
