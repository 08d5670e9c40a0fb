// What leaves the loop: tokens and ends. Called on the loop thread; must not block.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <utility>

#include "observe/causes.hpp"
#include "requests/spec.hpp"

namespace serveloop::engine {

struct Delivered {
  std::uint64_t request;
  std::uint32_t fork;
  std::uint32_t index;  // of the request's output tokens, from 0
  requests::Token token;
  std::uint64_t gap_ns;                    // since the token before; 0 for the first
  std::span<const TokenLogprob> logprobs;  // where asked for: its own, then alternatives; holds for the call
};

// A sequence's end, with everything a table or a timeline needs.
struct Finished {
  std::uint64_t request = 0;
  std::uint32_t fork = 0, finish = 0, reason = 0;  // finish: SL_FINISH_*
  std::uint32_t tenant = 0, prompt_tokens = 0, output_tokens = 0;
  std::int32_t priority_rule = -1;  // index of the rule that fired; -1 = none
  std::uint32_t hit_tokens = 0, recomputed_tokens = 0, preemptions = 0;
  std::uint64_t arrival_ns = 0, admitted_ns = 0, first_token_ns = 0, last_token_ns = 0, end_ns = 0,
                service_ns = 0;
  std::uint64_t longest_gap_ns = 0;  // between two tokens
  // Who: of its last preemption, the one who decided (YieldBy), why, and for which request (0: for none).
  std::uint32_t preempted_by = 0, preempt_reason = 0;
  std::uint64_t preempted_for = 0;
  // Of recomputed_tokens, those lost to evictions; the others to preemptions.
  std::uint32_t evicted_tokens = 0;
  std::uint64_t blocked_by = 0;  // the request that held most blocks when it last fell for memory; 0 = never
  observe::Times causes{};       // sums to end - arrival
};

class Output {
 public:
  virtual ~Output() = default;
  virtual void tokens(std::span<const Delivered> /*tokens*/) {}
  virtual bool wants_tokens() const { return false; }
  // After the sequence's last token.
  virtual void finished(const Finished& /*end*/, std::span<const requests::Token> /*generated*/) {}
};

// Totals since the start; what `simulate` and /metrics show.
struct Counters {
  std::uint64_t steps = 0, empty_plans = 0;
  std::uint64_t arrived = 0, refused = 0, finished = 0;
  std::uint64_t prompt_tokens = 0, output_tokens = 0, computed_tokens = 0, recomputed_tokens = 0,
                lookup_tokens = 0, hit_tokens = 0;  // prompts looked up in the prefix cache, once a sequence
  std::uint64_t void_tokens = 0;  // sampled by a step in flight for a sequence that had ended
  // Moves to host memory, of a block by demotion or a sequence by swap, that became drops and recomputes: without a host
  // tier; and with one, for want of room there.
  std::uint64_t no_host_tier = 0, host_full = 0;
  std::uint64_t swapped_out = 0, swapped_in = 0, copies_lost = 0;  // sequences; lost: had to recompute
  std::uint64_t swapped_out_blocks = 0;                            // theirs that moved; shared ones stay
  std::uint64_t demoted_blocks = 0, brought_in_blocks = 0, host_dropped_blocks = 0;
  std::uint64_t prefetched_blocks = 0;          // of brought_in_blocks, those that came before their turn
  std::uint64_t copies = 0, copies_failed = 0;  // of blocks, between the tiers
  std::uint64_t most_in_transit = 0;            // blocks with a copy pending at once
  std::uint64_t regretted_evictions = 0;        // blocks that were evicted, and computed again within 60 s
  std::uint64_t preemptions = 0, evicted_blocks = 0, split_prompts = 0, failed_steps = 0, swaps = 0,
                ejected = 0;
  std::uint64_t device_ns = 0, batch_rows = 0;
  std::array<std::uint64_t, 18> batch_sizes{};  // steps of up to 2^i rows, and more than half as many
  std::uint64_t unbilled_ns = 0;  // of device_ns: steps whose sequences had all ended when they came back
  std::map<std::uint16_t, std::uint64_t> fell;  // by reason
  // By (kind, reason): answers not used.
  std::map<std::pair<std::uint8_t, std::uint16_t>, std::uint64_t> fallbacks;
};

// How often a policy decided this, for this reason: what --json and /metrics show.
struct Decision {
  std::string plugin, decision,
      reason;  // "sarathi", "admit", "policy reason's name"; "fallback": the linked-in one
  std::uint64_t count = 0;
};

}  // namespace serveloop::engine
