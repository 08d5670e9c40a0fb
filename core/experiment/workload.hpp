// The requests of an experiment, in order of arrival: a trace or a synthetic stream, with labels drawn on
// top.
//
// Request i is a function of the configuration and i alone, so two policies meet the same requests. They are made as
// they are asked for, so a long stream costs no memory. Open loop: arrivals are given. Closed loop: each of
// `concurrency` clients sends its next request, after a pause, when its last one ended. Sessions and programs begin in an
// open loop, and their later calls follow from the ends of earlier ones: chains.hpp. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "config/workload.hpp"
#include "experiment/arrivals.hpp"
#include "experiment/chains.hpp"
#include "experiment/labelling.hpp"
#include "experiment/traces.hpp"

namespace serveloop::experiment {

class Workload {
 public:
  // Reads the trace, if there is one. Requests whose prompt and output exceed `context_tokens` are dropped
  // and counted. `vocabulary`: token ids are below it (0: those of the simulator).
  static Result<Workload> make(const config::Workload& config, std::uint32_t context_tokens,
                               std::uint32_t vocabulary = 0);
  Workload(Workload&&) = default;
  // Refuses the first request that the context could hold and a pool of that size could not, even alone.
  Status check_pool(std::uint32_t blocks, std::uint32_t block_tokens) const;

  // The next request by arrival; null: none is left, or (closed loop, chains) all wait for answers. Valid until the next
  // call of any other function.
  const Issue* peek();
  // Takes it. Requires peek() != null.
  Issue next();
  // Request `index` ended with its last sequence, or was refused. An open loop ignores it.
  void on_end(std::uint64_t index, std::uint64_t now_ns, const Answer& answer = {});
  bool wants_generated() const { return chains_ != nullptr; }  // does an answer's text matter?
  bool finished();                                             // no request will come any more

  std::uint64_t total() const { return count_; }  // requests, with those that will be dropped; 0: not known
  std::uint64_t passed() const { return at_ - (ready_ ? 1 : 0); }  // of them taken or dropped; not of chains
  std::map<std::string, std::uint64_t> dropped() const;            // so far, by reason: context, empty
  std::uint64_t dropped_total() const;
  const std::string& first_dropped() const;               // which, and why; empty: none
  const Chains* chains() const { return chains_.get(); }  // of sessions and programs; null: there are none

 private:
  using Client = std::pair<std::uint64_t, std::uint32_t>;  // when it may send, its number
  Workload(const config::Workload& config, std::uint32_t context_tokens);
  Status open_trace();
  void fill();  // makes ready_ hold the next request that is not dropped
  struct Lengths {
    std::uint32_t prompt = 0, output = 0;  // tokens
    std::uint64_t sum() const { return std::uint64_t{prompt} + output; }
  };
  Lengths lengths(std::uint64_t i) const;
  std::string place_of(std::uint64_t i) const;  // "trace.csv:3", "workload: request 3 of 20"
  std::string why_dropped(std::uint64_t i) const;
  Status check_pool_of_chains(std::uint32_t blocks, std::uint32_t block_tokens) const;
  const char* reason_to_drop(const Lengths& lengths) const;  // or null
  std::uint64_t next_arrival_ns(std::uint64_t i);            // open loop; called once for each i, in order
  Issue build(std::uint64_t i) const;
  const RowLabels* labels_of(std::uint64_t i) const;  // or null
  void add_recorded(const RowLabels& labels, Issue& issue) const;
  std::vector<requests::PromptPiece> pieces(std::uint64_t i, std::uint32_t prompt_tokens) const;

  config::Workload config_;
  std::uint32_t context_tokens_;
  bool trace_, closed_;
  Labelling labelling_;
  BurstClock bursts_;      // of a trace
  OpenArrivals arrivals_;  // of an open stream
  std::unique_ptr<Chains> chains_;
  Trace recorded_;                                             // its rows: of the window
  std::unordered_map<std::uint64_t, std::uint64_t> issue_of_;  // of those with labels: index of issue, by id
  std::uint64_t at_ = 0, count_ = 0;                           // requests looked at, of how many
  std::uint64_t issued_ = 0;
  std::optional<Issue> ready_;
  std::map<std::string, std::uint64_t> dropped_;
  std::string first_dropped_;
  std::priority_queue<Client, std::vector<Client>, std::greater<>> idle_;  // clients
  std::unordered_map<std::uint64_t, std::uint32_t> client_of_;             // requests under way
};

}  // namespace serveloop::experiment
