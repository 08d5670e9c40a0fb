// Admission by predicted memory, after the past-future scheduler (Gong et al., ASPLOS 2025): whoever is in turn enters if the
// memory that those who run will come to hold at most, with it among them, stays below a watermark.
//
// How long an output will be is what the request states (predicted_p90), else a draw from the outputs that ended lately
// and were longer than what it has by now; a draw holds until it is outlived. Its seed is the engine's, so that a replay
// draws the same.
//
// Cost: nothing where nobody waits, or where the one in turn was refused and nobody has entered, left or yielded since. Else
// one walk over those that run, and O(buckets) for each that may enter.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <serveloop/cpp/admission.hpp>
#include <serveloop/cpp/output_lengths.hpp>
#include <serveloop/cpp/plugin.hpp>
#include <vector>

namespace sl {

// The most KV tokens that a set of sequences comes to hold if each grows by a token a step until its end: the greatest of
// the sums at each end, of those who have at least as much before them. By remaining length in buckets: no end is taken for
// earlier than it is, or for later by more than 1/32.
class FutureMemory {
 public:
  // `share`: of the tokens that they hold now, how many count. What they grow by counts whole.
  void clear(double share) {
    std::fill(buckets_.begin(), buckets_.begin() + end_, Bucket{});
    end_ = 0;
    share_ = share;
  }
  void add(uint32_t remaining, uint32_t tokens) {
    const uint32_t b = length_bucket(remaining);
    ++buckets_[b].sequences;
    buckets_[b].tokens += tokens;
    end_ = std::max(end_, b + 1);
  }
  void remove(uint32_t remaining, uint32_t tokens) {
    const uint32_t b = length_bucket(remaining);
    --buckets_[b].sequences;
    buckets_[b].tokens -= tokens;
  }
  // `spare_tokens`: that each sequence holds beside those it needs.
  double peak(double spare_tokens) const {
    double most = 0;
    uint64_t sequences = 0, tokens = 0;
    for (uint32_t b = end_; b-- > 0;) {
      if (buckets_[b].sequences == 0) continue;
      sequences += buckets_[b].sequences;
      tokens += buckets_[b].tokens;
      const double grown = static_cast<double>(sequences) * (longest_of_bucket(b) + spare_tokens);
      most = std::max(most, share_ * static_cast<double>(tokens) + grown);
    }
    return most;
  }

 private:
  struct Bucket {
    uint64_t sequences = 0, tokens = 0;
  };
  std::array<Bucket, kLengthBuckets> buckets_{};
  uint32_t end_ = 0;  // those from here on are empty
  double share_ = 1;
};

class PredictedAdmission {
 public:
  // `watermark`: the share of the pool that predictions are to leave free. `history`: ended outputs that count.
  PredictedAdmission(const Setup& setup, double watermark, uint32_t history)
      : usable_(1 - watermark), seed_(setup->seed), lengths_(history), predicted_(setup->sequence_slots) {}

  void hear(const View& view) {
    for (const sl_event& event : view.events()) {
      switch (event.kind) {
        case SL_EV_ENDED:
          if (event.a == SL_FINISH_LENGTH || event.a == SL_FINISH_STOP)
            lengths_.add(static_cast<uint32_t>(event.b));
          [[fallthrough]];
        case SL_EV_ADMITTED:
        case SL_EV_PREEMPTED:
        case SL_EV_PAUSED:
        case SL_EV_RESUMED:
        case SL_EV_TRANSFERRED: changed_ = true; break;
        default: break;
      }
    }
  }

  void start(const View& view) {
    measured_ = false;
    alone_ = view->running_count == 0;
  }

  std::optional<uint32_t> room_for(const View& view, const sl_seq_row& seq) {
    if (!alone_ && !changed_ && refused_ == seq.id) return std::nullopt;
    measure(view);
    const uint32_t tokens = known_tokens(seq), remaining = final_tokens(view, seq) - tokens;
    future_.add(remaining, tokens);
    const double peak = future_.peak(spare_tokens(view));
    future_.remove(remaining, tokens);
    if (alone_ || peak <= usable_ * total_tokens(view) - others_tokens_) return 0;
    changed_ = false;
    refused_ = seq.id;
    predicted_[SL_SEQ_SLOT(seq.id)] = {};  // by the next time more outputs have ended
    return std::nullopt;
  }

  void enters(const View& view, const sl_seq_row& seq) {
    const uint32_t tokens = known_tokens(seq);
    future_.add(final_tokens(view, seq) - tokens, tokens);
    alone_ = false;
  }

  // As last measured: the share of the pool that those who run will come to hold at most.
  double peak_share() const { return peak_share_; }

 private:
  struct Prediction {
    sl_seq seq = SL_NO_SEQ;
    uint32_t tokens = 0;
  };

  static double total_tokens(const View& view) {
    return static_cast<double>(view->tier[SL_TIER_DEVICE].total) * view->block_tokens;
  }
  // The last block of each is half empty on average.
  static double spare_tokens(const View& view) { return (view->block_tokens - 1) * 0.5; }

  // Those who run, once a plan. Blocks that several of them share count once: each is charged the share of its blocks that
  // blocks in use are of the blocks in all tables. What is in use beyond those tables is others': paused, reserved.
  void measure(const View& view) {
    if (measured_) return;
    measured_ = true;
    const auto seqs = view.seqs();
    uint64_t held = 0;
    for (const uint32_t slot : view.running()) held += seqs[slot].blocks_device;
    const sl_tier& device = view->tier[SL_TIER_DEVICE];
    const uint64_t used = uint64_t{device.total} - device.free - device.evictable;
    others_tokens_ = static_cast<double>(used - std::min(used, held)) * view->block_tokens;
    future_.clear(used < held ? static_cast<double>(used) / static_cast<double>(held) : 1.0);
    for (const uint32_t slot : view.running()) {
      const sl_seq_row& seq = seqs[slot];
      const uint32_t tokens = known_tokens(seq);
      future_.add(final_tokens(view, seq) - tokens, tokens);
    }
    peak_share_ = (future_.peak(spare_tokens(view)) + others_tokens_) / total_tokens(view);
  }

  // KV tokens that it is predicted to hold at its end.
  uint32_t final_tokens(const View& view, const sl_seq_row& seq) {
    Prediction& kept = predicted_[SL_SEQ_SLOT(seq.id)];
    const uint32_t known = known_tokens(seq);
    if (kept.seq == seq.id && kept.tokens >= known) return kept.tokens;
    const sl_request_row& request = view.request(seq);
    const uint32_t output = known - std::min(known, request.prompt_tokens);  // some of it may be in flight
    uint32_t whole = request.predicted_p90;
    if (whole <= output) whole = drawn(request, seq.fork, output);
    whole = std::clamp(whole, output + 1, std::max(output + 1, request.max_tokens));
    kept = {seq.id, request.prompt_tokens + whole - 1};  // the last token sampled needs no KV
    return kept.tokens;
  }
  // What outlives all that ended is taken to be half way; where none has ended yet, for as long as may be.
  uint32_t drawn(const sl_request_row& request, uint32_t fork, uint32_t output) const {
    if (lengths_.empty()) return request.max_tokens;
    const uint64_t bits = mix(mix(seed_ + request.request) + (uint64_t{fork} << 32) + output);
    const uint32_t whole = lengths_.longer_than(output, static_cast<double>(bits >> 11) * 0x1p-53);
    return whole > 0 ? whole : static_cast<uint32_t>(std::min<uint64_t>(2 * uint64_t{output}, UINT32_MAX));
  }
  static uint64_t mix(uint64_t x) {  // SplitMix64 (Steele, Lea and Flood, 2014)
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  double usable_;
  uint64_t seed_;
  OutputLengths lengths_;
  std::vector<Prediction> predicted_;  // by slot
  FutureMemory future_;                // of those who run, and of whom this plan admits
  double others_tokens_ = 0, peak_share_ = 0;
  bool measured_ = false, alone_ = false, changed_ = true;
  sl_seq refused_ = SL_NO_SEQ;  // the last, with nothing changed since unless changed_
};

}  // namespace sl
