// Sessions and programs as they run: calls that follow from the ends of others. chain_plan.hpp says what each is made of;
// here is when its calls come, and what was generated goes into the prompts behind it. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "experiment/arrivals.hpp"
#include "experiment/chain_plan.hpp"

namespace serveloop::experiment {

// A request's end, as its client sees it.
struct Answer {
  bool whole = true;                             // its output came to its end: not refused, cut or cancelled
  std::span<const requests::Token> generated{};  // of its first sequence
};

class Chains {
 public:
  // `vocabulary`: of the ids that new tokens are drawn from, 0 = the simulator's.
  Chains(const config::Workload& config, std::uint32_t context_tokens, std::uint32_t vocabulary);

  const Issue* peek();  // the next call by arrival; null: none until another ends
  Issue next();         // requires peek() != null
  void on_end(std::uint64_t index, std::uint64_t now_ns, const Answer& answer);
  bool finished() const;

  // Calls that were never made, since the context cannot hold them and their history.
  std::uint64_t dropped() const { return dropped_; }
  const std::string& first_dropped() const { return first_dropped_; }
  // The first call that the context could hold and a pool of so many tokens could not; which.
  std::optional<std::pair<CallId, ChainPlan::Extent>> beyond(std::uint64_t pool_tokens) const;

  // From the first call's arrival to the last one's end, of those whose every call came whole.
  const std::vector<std::uint64_t>& completed_ns() const { return completed_ns_; }
  // Those that ended early: a call was refused or cut, or the context was full.
  std::uint64_t broken() const { return broken_; }

 private:
  using Tokens = std::vector<requests::Token>;
  struct Branch {
    Tokens added, generated;
  };
  struct Live {
    std::uint64_t begun_ns = 0;
    Tokens history;  // without the prefix
    std::vector<Branch> branches;
    std::uint32_t stages = 0, stage = 0, calls_left = 0;  // of the stage, not ended
    bool whole = true;                                    // so were all answers
    std::optional<std::uint64_t> parent;                  // the call whose end began the stage
  };
  struct Due {
    std::uint64_t at_ns;
    CallId call;
    bool operator>(const Due& o) const {
      return std::tie(at_ns, call.chain, call.branch) > std::tie(o.at_ns, o.call.chain, o.call.branch);
    }
  };
  void begin_due();  // chains whose start comes before every call that is due
  void begin_stage(std::uint64_t chain, Live& live, std::uint64_t at_ns);
  bool fits(std::uint64_t chain, const Live& live) const;
  void drop_rest(std::uint64_t chain, const Live& live);
  void end_stage(std::uint64_t chain, Live& live, std::uint64_t now_ns);
  Issue build(const Due& due) const;
  Tokens added_tokens(const CallId& call) const;

  config::Workload config_;
  std::uint32_t context_tokens_, vocabulary_;
  ChainPlan plan_;
  Labelling labelling_;
  OpenArrivals arrivals_;
  std::uint64_t begun_ = 0, issued_ = 0;
  std::optional<std::uint64_t> next_start_ns_;  // of chain begun_
  std::unordered_map<std::uint64_t, Live> live_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::unordered_map<std::uint64_t, CallId> under_way_;  // by index of issue
  std::optional<Issue> ready_;                           // due_'s top
  std::uint64_t dropped_ = 0, broken_ = 0;
  std::string first_dropped_;
  std::vector<std::uint64_t> completed_ns_;
};

}  // namespace serveloop::experiment
