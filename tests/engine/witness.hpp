// What really happened to each sequence, without reading a table: from what the test sent and told, from the
// batches that the executor got and gave back, from the tokens and ends that the client got, and from the
// clock.
//
// Requires: host work costs no time (so that a step's calls all happen at its start, and tokens come at its
// end), a scheduler that plans run and admit alone, and preemption by recompute alone.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "world.hpp"

namespace serveloop::test {

using Key = std::pair<std::size_t, std::uint32_t>;  // ask, fork

struct Witnessed {
  Key key;
  sl_seq id = 0;  // once seen in a table, as is request_row
  std::uint64_t request = 0;
  std::uint32_t request_row = SL_NONE;
  std::uint32_t prompt_tokens = 0, max_tokens = 0, generated = 0, preemptions = 0;
  bool running = false, paused = false, cancelled = false, ended = false, told = false;  // told: its end
  bool holds = false;      // blocks, since it ran last
  bool kept_hits = false;  // its entry fell amid its prefill: what it had hit stays its own
  bool ungated = true;     // it came in this step, and no gate was asked yet

  // KV of the present life: a preemption begins another.
  struct Run {
    std::uint64_t step;
    std::uint32_t tokens, life;
    bool samples;
  };
  std::vector<Run> in_flight;  // submitted and not collected
  std::uint32_t life = 0, computed = 0, most_computed = 0, high_water = 0;
  std::uint32_t in_flight_tokens() const;
  std::uint32_t in_flight_samples() const;

  std::uint64_t arrival_ns = 0, ready_ns = 0, admitted_ns = 0, first_token_ns = 0, last_token_ns = 0,
                service_ns = 0, last_step = 0, end_ns = 0, wake_ns = SL_NEVER, pause_until_ns = SL_NEVER;
  std::uint16_t state() const;
  std::uint16_t not_ready() const;
  std::uint32_t known() const { return prompt_tokens + generated; }
};

// An event that a scheduler must be told, its subject by key where it is a sequence.
struct Due {
  std::uint16_t kind;
  const Witnessed* seq;
  std::uint64_t subject, a, b;
};

class Witness {
 public:
  // `hold_ns`: for how long a gate holds each arrival; 0 = no gate.
  Witness(World& world, const std::vector<Ask>& asks, std::uint64_t hold_ns);
  Witness(const Witness&) = delete;

  // ---- What the test does. Takes effect in the step that begins next.
  void sent(std::size_t ask, std::uint64_t request);
  void paused(std::size_t ask, std::uint64_t until_ns);
  void resumed(std::size_t ask);
  void cancelled(std::size_t ask);
  void hinted(std::size_t ask, std::uint64_t key, std::uint64_t bits);
  // ---- The step, in this order.
  void begin_step();
  void planned(const std::vector<sl_seq>& entries);  // what the scheduler answered
  void preempted(sl_seq seq, sl_seq for_seq);        // what the preemption policy answered
  void end_step();
  // All that was due to be told has been: to who is asked before the gates; to the scheduler.
  void told_first();
  void told();

  // ---- Truths.
  const std::map<Key, Witnessed>& sequences() const { return sequences_; }
  Witnessed* find(sl_seq id);
  void name(const Key& key, sl_seq id, std::uint32_t request_row) {
    sequences_.at(key).id = id, sequences_.at(key).request_row = request_row;
  }
  // When it came, so many of its tokens were cached.
  void came_with(const Key& key, std::uint32_t tokens) { sequences_.at(key).high_water = tokens; }
  bool fell_once(const Witnessed& s) const { return fallen_.contains(&s); }
  const std::vector<Due>& due() const { return due_; }
  const std::vector<Due>& due_first() const { return due_first_; }
  std::uint64_t step() const { return step_; }
  std::uint64_t now_ns() const { return now_ns_; }  // of the last thing that took time
  std::uint64_t last_step_ns() const { return last_step_ns_; }
  std::uint32_t waiting() const;
  const std::vector<const Witnessed*>& running() const { return running_; }  // in admission order
  // Prompt and output, as tokens.
  Tokens known_tokens(const Witnessed& s) const;
  // Blocks of its path in the prompt tree: whole ones of its prompt, and of its output as far as it had KV.
  std::uint32_t path_blocks(const Witnessed& s) const;
  // Blocks that a step in flight writes and the tree has already, with their keys.
  bool filling(std::uint32_t block, std::uint64_t key) const;
  std::uint64_t start_ns() const { return start_ns_; }             // of this step
  const std::set<std::uint64_t>& falls() const { return falls_; }  // starts of steps with a fallen entry
  void watch_ends();                                               // what the client has got of ends

 private:
  void submitted(const execute::Batch& batch);
  void collected(const execute::Collected& done);
  void take_tokens();
  void stop_running(Witnessed& s);
  void settle_plan();
  void is_due(const Due& due);

  struct Flight {
    struct Row {
      Witnessed* seq;
      std::uint32_t tokens, life;
    };
    std::vector<Row> rows;
    std::set<std::pair<std::uint32_t, std::uint64_t>> filling;
  };
  World& world_;
  const std::vector<Ask>& asks_;
  std::uint64_t hold_ns_, start_ns_ = 0, now_ns_ = 0, step_ = 0, last_step_ns_ = 0;
  bool first_step_ = true, submitted_ = false;
  std::size_t ends_ = 0;  // of the client's, taken
  std::map<Key, Witnessed> sequences_;
  std::map<std::uint32_t, Witnessed*> rows_;  // executor row -> who lives there
  std::map<std::uint64_t, Flight> flights_;   // by step
  std::vector<const Witnessed*> running_;
  std::vector<sl_seq> plan_;
  std::set<const Witnessed*> ran_, yielded_;       // in this step
  std::set<const Witnessed*> fallen_;              // ever
  std::vector<Due> due_, due_first_, from_gates_;  // from_gates_: in this step
  std::set<std::uint64_t> falls_;
};

// The whole prompt of a request in pieces.
Tokens prompt_of(const requests::RequestSpec& spec);

}  // namespace serveloop::test
