// How much of a sequence is still to come, as far as anybody knows: its request's predicted output, and the cost model.
#pragma once

#include <algorithm>
#include <serveloop/cpp/plugin.hpp>
#include <serveloop/cpp/view.hpp>

namespace sl {

// Which of a request's predictions counts: a manifest's text option with the choices below. Where the request has none,
// max_tokens does.
class OutputPrediction {
 public:
  explicit OutputPrediction(std::string_view choice) {
    if (choice == "predicted_p50") field_ = &sl_request_row::predicted_p50;
    if (choice == "predicted_p90") field_ = &sl_request_row::predicted_p90;
    if (choice == "predicted_p99") field_ = &sl_request_row::predicted_p99;
  }

  // Output tokens of each of its sequences.
  uint32_t tokens(const sl_request_row& request) const {
    const uint32_t predicted = field_ == nullptr ? 0 : request.*field_;
    return predicted == 0 ? request.max_tokens : std::min(predicted, request.max_tokens);
  }
  // Output tokens to come, at least 1. One that outlived its prediction is taken to go on for as long again as it did beyond.
  uint32_t left(const sl_request_row& request, const sl_seq_row& seq) const {
    const uint32_t predicted = tokens(request);
    const uint32_t left =
        seq.generated < predicted ? predicted - seq.generated : 1 + seq.generated - predicted;
    return std::min(left, std::max(seq.tokens_left, 1u));
  }

 private:
  uint32_t sl_request_row::*field_ = nullptr;  // null: max_tokens
};

// Tokens that it computes before it decodes: of a waiting one, those of its prompt that are not cached.
inline uint32_t prefill_tokens(const View& view, const sl_seq_row& seq) {
  if (seq.state != SL_RUNNING) return uncached_tokens(view, seq);
  return seq.runnable > 1 ? seq.runnable : 0;
}

// Device time, in nanoseconds, of what is left of its prefill, were it alone.
inline double prefill_left_ns(const View& view, const sl_seq_row& seq) {
  const uint32_t tokens = prefill_tokens(view, seq);
  const uint32_t known = seq.computed + seq.in_flight_max + seq.runnable;
  return tokens == 0 ? 0 : sl_predict_prefill_ns(view->cost, known - std::min(known, tokens), tokens);
}

// Likewise of all that is left: that, and `output` tokens.
inline double time_left_ns(const View& view, const sl_seq_row& seq, uint32_t output) {
  const uint64_t known = uint64_t{seq.computed} + seq.in_flight_max + seq.runnable;
  return prefill_left_ns(view, seq) + output * sl_predict_step_ns(view->cost, 1, known + output / 2, 0, 0);
}

// Device time that a sequence takes from others, in nanoseconds: its own rows and reads, and its share of what a step of
// `batch` sequences costs all of them. Nothing of the prompt is taken to be cached.
inline double device_share_ns(const sl_cost& cost, uint32_t prompt, uint32_t output, uint32_t batch) {
  const double prefill = cost.prefill_token_ns * prompt + cost.prefill_context_ns * sl_chunk_pairs(0, prompt);
  const double token = cost.step_fixed_ns / std::max(batch, 1u) + cost.decode_sequence_ns +
                       cost.decode_token_ns + cost.decode_context_ns * (prompt + output * 0.5);
  return prefill + output * token;
}

}  // namespace sl
