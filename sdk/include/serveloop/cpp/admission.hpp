// Who may enter: the admission part of a scheduler whose running sequences keep their slots. admit_in_order() in admit.hpp
// asks it of each in turn; who has to wait is waited for, and nobody behind it enters.
//
// A part is any class with
//   void hear(const View&)                    where the ready queue hears
//   void start(const View&)                   before a plan's admissions
//   std::optional<uint32_t> room_for(const View&, const sl_seq_row&)
//                                             blocks that it is to hold from the start (0: those that its tokens take);
//                                             nothing: it has to wait
//   void enters(const View&, const sl_seq_row&)   the plan admits it
// More of them: predicted_admission.hpp.
#pragma once

#include <algorithm>
#include <optional>
#include <serveloop/cpp/view.hpp>

namespace sl {

// KV tokens of a sequence once all that it knows is computed; and at its end, if it goes on to max_tokens.
inline uint32_t known_tokens(const sl_seq_row& seq) {
  return seq.computed + seq.in_flight_max + seq.runnable;
}
inline uint32_t most_tokens(const sl_seq_row& seq) {
  return seq.computed + seq.in_flight_max + seq.tokens_left;
}
inline uint32_t blocks_for(const View& view, uint32_t tokens) {
  return (tokens + view->block_tokens - 1) / view->block_tokens;
}

// Device blocks that a plan may still promise: those free or evictable when it starts, less `keep`. Where nothing runs the
// first promise always holds, so that nobody waits for ever.
class BlockRoom {
 public:
  void start(const View& view, uint32_t keep = 0) {
    const sl_tier& device = view->tier[SL_TIER_DEVICE];
    left_ = device.free + device.evictable;
    left_ -= std::min(left_, keep);
    alone_ = view->running_count == 0;
  }
  bool holds(uint32_t blocks) const { return alone_ || blocks <= left_; }
  void promise(uint32_t blocks) {
    left_ -= std::min(left_, blocks);
    alone_ = false;
  }

 private:
  uint32_t left_ = 0;
  bool alone_ = false;
};

// Whoever finds a slot enters; memory is the engine's to find, from the plan's tail if need be.
struct SlotAdmission {
  void hear(const View&) {}
  void start(const View&) {}
  std::optional<uint32_t> room_for(const View&, const sl_seq_row&) { return 0; }
  void enters(const View&, const sl_seq_row&) {}
};

// Who enters holds the blocks of its prompt and all of its max_tokens from then on (Orca, OSDI 2022), so that nobody ever
// yields for memory. A prefix that is cached counts as if it were not: nothing tells whether others hold it.
class WorstCaseAdmission {
 public:
  void hear(const View&) {}
  void start(const View& view) { room_.start(view); }
  std::optional<uint32_t> room_for(const View& view, const sl_seq_row& seq) {
    if (!room_.holds(missing(view, seq))) return std::nullopt;
    return blocks_for(view, most_tokens(seq));
  }
  void enters(const View& view, const sl_seq_row& seq) { room_.promise(missing(view, seq)); }

 private:
  static uint32_t missing(const View& view, const sl_seq_row& seq) {
    const uint32_t blocks = blocks_for(view, most_tokens(seq));
    return blocks - std::min(blocks, seq.blocks_device);
  }
  BlockRoom room_;
};

// Who enters holds the blocks of its prompt from then on, and leaves a share of the pool free (vLLM's watermark), so that no
// prompt takes what those who run grow into in the next steps.
class PromptAdmission {
 public:
  explicit PromptAdmission(double watermark) : watermark_(watermark) {}
  void hear(const View&) {}
  void start(const View& view) {
    room_.start(view, static_cast<uint32_t>(watermark_ * view->tier[SL_TIER_DEVICE].total));
  }
  std::optional<uint32_t> room_for(const View& view, const sl_seq_row& seq) {
    if (!room_.holds(missing(view, seq))) return std::nullopt;
    return blocks_for(view, known_tokens(seq));
  }
  void enters(const View& view, const sl_seq_row& seq) { room_.promise(missing(view, seq)); }

 private:
  static uint32_t missing(const View& view, const sl_seq_row& seq) {
    const uint32_t blocks = blocks_for(view, known_tokens(seq));
    return blocks - std::min(blocks, seq.blocks_device);
  }
  double watermark_;
  BlockRoom room_;
};

}  // namespace sl
