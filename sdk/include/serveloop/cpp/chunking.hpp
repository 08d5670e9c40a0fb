// In what pieces prompts are computed, and what runs beside them: the chunking part of a scheduler whose running sequences
// keep their slots.
//
// A part is any class with
//   uint32_t run(const View&, Plan&)    writes those that run, as far as they go before admissions; returns the tokens that
//                                       admissions may take
//   uint32_t of_prompt(uint32_t uncached, uint32_t left, uint32_t behind)
//                                       tokens for the next that enters, of `left`; 0: it waits for another step. So many
//                                       may enter `behind` it in this step
//   void rest(const View&, Plan&)       those that run and go behind admissions
// Cost of each: one walk over those that run.
#pragma once

#include <algorithm>
#include <serveloop/cpp/scheduler.hpp>
#include <vector>

namespace sl {

// Running sequences in admission order, each as many tokens as it can run, at most `most_tokens`. Returns what is left.
inline uint32_t run_in_order(const View& view, Plan& plan, uint32_t budget,
                             uint32_t most_tokens = UINT32_MAX) {
  const auto seqs = view.seqs();
  for (const uint32_t slot : view.running()) {
    if (budget == 0) break;
    const sl_seq_row& seq = seqs[slot];
    const uint32_t tokens = std::min({seq.runnable, most_tokens, budget});
    if (tokens == 0) continue;  // all that it could run is in flight
    plan.run(seq.id, tokens);
    budget -= tokens;
  }
  return budget;
}

// Prompts in pieces of what the step's budget leaves, at most `most_tokens` a sequence and step (0: no limit).
class CappedChunks {
 public:
  explicit CappedChunks(int64_t most_tokens)
      : most_tokens_(most_tokens > 0 ? static_cast<uint32_t>(most_tokens) : UINT32_MAX) {}
  uint32_t run(const View& view, Plan& plan) {
    return run_in_order(view, plan, view->token_budget, most_tokens_);
  }
  uint32_t of_prompt(uint32_t uncached, uint32_t left, uint32_t) const {
    return std::min({uncached, most_tokens_, left});
  }
  void rest(const View&, Plan&) {}

 private:
  uint32_t most_tokens_;
};

// Prompts whole, beside what runs. One is cut only where it is the first of a step and even so longer than what the step has
// left; others wait for the next step.
class WholePrompts {
 public:
  uint32_t run(const View& view, Plan& plan) {
    const uint32_t left = run_in_order(view, plan, view->token_budget, UINT32_MAX);
    first_ = plan.size() + left >= view->token_budget;  // no entry took more than one token
    return left;
  }
  uint32_t of_prompt(uint32_t uncached, uint32_t left, uint32_t) {
    const bool first = first_;
    first_ = false;
    return uncached <= left ? uncached : first ? left : 0;
  }
  void rest(const View&, Plan&) {}

 private:
  bool first_ = true;
};

// Every decode in every step; prompts in pieces that fill what decodes leave of `chunk_budget`, those under way before new
// ones (Sarathi-Serve, OSDI 2024). Decodes are limited by the step's token budget alone.
class DecodesFirst {
 public:
  DecodesFirst(const Setup& setup, uint32_t chunk_budget) : chunk_budget_(chunk_budget) {
    prefills_.reserve(2 * setup->max_sequences);
  }
  uint32_t run(const View& view, Plan& plan) {
    run_decodes(view, plan, view->token_budget);
    const uint32_t budget = std::min(chunk_budget_, view->token_budget);
    return run_chunks(view, plan, budget - std::min(budget, decodes_));
  }
  uint32_t of_prompt(uint32_t uncached, uint32_t left, uint32_t) const { return std::min(uncached, left); }
  void rest(const View&, Plan&) {}
  uint32_t decodes() const { return decodes_; }  // of the last plan

 private:
  // A prefill's last single token counts as a decode: it costs as much. Notes the others.
  void run_decodes(const View& view, Plan& plan, uint32_t budget) {
    prefills_.clear();
    decodes_ = 0;
    const auto seqs = view.seqs();
    for (const uint32_t slot : view.running()) {
      const sl_seq_row& seq = seqs[slot];
      if (seq.runnable > 1) {
        prefills_.push_back(slot);
      } else if (seq.runnable == 1 && decodes_ < budget) {
        plan.run(seq.id, 1);
        ++decodes_;
      }
    }
  }
  // Returns the tokens that are left of the budget.
  uint32_t run_chunks(const View& view, Plan& plan, uint32_t budget) const {
    for (const uint32_t slot : prefills_) {
      if (budget == 0) break;
      const sl_seq_row& seq = view.seqs()[slot];
      const uint32_t tokens = std::min(seq.runnable, budget);
      plan.run(seq.id, tokens);
      budget -= tokens;
    }
    return budget;
  }

  uint32_t chunk_budget_, decodes_ = 0;
  std::vector<uint32_t> prefills_;  // this step's, by slot
};

// A step is prompts alone, whole ones, or decodes alone where no prompt can run (vLLM's scheduler before chunked prefill,
// 2023). A prompt longer than the budget takes steps of its own. Decodes stand in no plan that has prompts, so whoever enters
// must hold the memory of its prompt: PromptAdmission, or one that holds more.
class PrefillFirst {
 public:
  uint32_t run(const View& view, Plan& plan) {
    uint32_t budget = view->token_budget;
    prefills_ = false;
    const auto seqs = view.seqs();
    for (const uint32_t slot : view.running()) {
      const sl_seq_row& seq = seqs[slot];
      if (seq.runnable <= 1 || budget == 0) continue;
      const uint32_t tokens = std::min(seq.runnable, budget);
      plan.run(seq.id, tokens);
      budget -= tokens;
      prefills_ = true;
    }
    return budget;
  }
  uint32_t of_prompt(uint32_t uncached, uint32_t left, uint32_t) {
    const bool first = !prefills_;
    prefills_ = true;
    return uncached <= left ? uncached : first ? left : 0;
  }
  void rest(const View& view, Plan& plan) {
    if (!prefills_) run_in_order(view, plan, view->token_budget, 1);
  }

 private:
  bool prefills_ = false;  // this plan has prompt tokens
};

}  // namespace sl
