// Ranks that are published orders: the smallest runs first, ties by arrival. Each has `of`, which gives that of a sequence.
#pragma once

#include <serveloop/cpp/predict.hpp>
#include <serveloop/cpp/queue.hpp>

namespace sl {

// Higher priority first.
struct ByPriority {
  int64_t below_top;
  ArrivalKey arrival;
  auto operator<=>(const ByPriority&) const = default;
  static ByPriority of(const View& view, const sl_seq_row& seq) {
    return {-int64_t{view.request(seq).priority}, ArrivalKey::of(view, seq)};
  }
};

// The one that would be done first, were it alone (SRPT: Schrage and Miller, 1966; with predicted lengths: Fu et al., 2024).
struct ShortestRemaining {
  uint64_t left_ns;
  ArrivalKey arrival;
  auto operator<=>(const ShortestRemaining&) const = default;
  static ShortestRemaining of(const View& view, const sl_seq_row& seq, const OutputPrediction& prediction) {
    const uint32_t output = prediction.left(view.request(seq), seq);
    return {static_cast<uint64_t>(time_left_ns(view, seq, output)), ArrivalKey::of(view, seq)};
  }
};

// The one whose deadline is the earliest (EDF: Liu and Layland, 1973), that of its first token or that of its end. Without
// any it comes last. It keeps its place once it has its first token: were that to be a later deadline from then on, two that
// share memory for one would take it from each other at each token.
struct EarliestDeadline {
  uint64_t deadline_ns;
  ArrivalKey arrival;
  auto operator<=>(const EarliestDeadline&) const = default;
  static EarliestDeadline of(const View& view, const sl_seq_row& seq) {
    const sl_request_row& r = view.request(seq);
    return {std::min(r.ttft_deadline_ns, r.end_deadline_ns), ArrivalKey::of(view, seq)};
  }
};

}  // namespace sl
