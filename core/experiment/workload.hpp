// The requests of an experiment, in order of arrival: a trace or a synthetic stream, with labels drawn on
// top.
//
// Request i is a function of the configuration and i alone: every draw comes from `seed` and its label's own
// stream, so adding tenants changes no length, and two policies meet the same requests. They are made as they
// are asked for, so a long stream costs no memory. Open loop: arrivals are given. Closed loop: each of
// `concurrency` clients sends its next request, after a pause, when its last one ended. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "config/workload.hpp"
#include "experiment/draw.hpp"
#include "experiment/traces.hpp"
#include "requests/spec.hpp"

namespace serveloop::experiment {

struct Issue {
  std::uint64_t index = 0;  // 0, 1, ... in order of issue; those dropped have none
  requests::RequestSpec spec;
};

class Workload {
 public:
  // Reads the trace, if there is one. Requests whose prompt and output exceed `context_tokens` are dropped
  // and counted.
  static Result<Workload> make(const config::Workload& config, std::uint32_t context_tokens);
  Workload(Workload&&) = default;
  // Refuses the first request that the context could hold and a pool of that size could not, even alone.
  Status check_pool(std::uint32_t blocks, std::uint32_t block_tokens) const;

  // The next request by arrival; null: none is left, or (closed loop) every client waits for an answer. Valid
  // until the next call of any other function.
  const Issue* peek();
  // Takes it. Requires peek() != null.
  Issue next();
  // Closed loop: request `index` ended with its last sequence, or was refused. An open loop ignores it.
  void on_end(std::uint64_t index, std::uint64_t now_ns);
  bool finished();  // no request will come any more

  std::uint64_t total() const { return count_; }  // requests, with those that will be dropped
  std::uint64_t passed() const { return at_ - (ready_ ? 1 : 0); }  // of them taken or dropped
  const std::map<std::string, std::uint64_t>& dropped() const {
    return dropped_;
  }  // so far, by reason: context, empty
  std::uint64_t dropped_total() const;
  const std::string& first_dropped() const { return first_dropped_; }  // which, and why; empty: none

 private:
  using Client = std::pair<std::uint64_t, std::uint32_t>;  // when it may send, its number
  // One stream a label.
  struct Streams {
    explicit Streams(std::uint64_t seed);
    Draws gap, think, prompt_length, output_length, content, block, tenant, category, deadline, prefix_share,
        prefix_group, prefix_content, sampling;
  };
  struct Shares {
    std::vector<std::string> names;
    std::vector<double> weights;
    explicit Shares(const std::map<std::string, double>& shares);
    std::string draw(const Draws& draws, std::uint64_t index) const;  // "" where there is none to draw
  };

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
  const char* reason_to_drop(const Lengths& lengths) const;  // or null
  std::uint64_t next_arrival_ns(std::uint64_t i);            // open loop; called once for each i, in order
  requests::RequestSpec build(std::uint64_t i) const;
  std::vector<requests::PromptPiece> pieces(std::uint64_t i, std::uint32_t prompt_tokens) const;
  void open_with_shared_prefix(std::uint64_t i, std::vector<requests::PromptPiece>& pieces) const;
  void add_labels(std::uint64_t i, requests::RequestSpec& spec) const;

  config::Workload config_;
  std::uint32_t context_tokens_;
  bool trace_, closed_;
  Streams streams_;
  Shares tenants_, categories_;
  std::vector<TraceRow> rows_;        // of the window
  std::uint64_t at_ = 0, count_ = 0;  // requests looked at, of how many
  std::uint64_t issued_ = 0;
  std::uint64_t last_arrival_ns_ = 0;  // of the synthetic stream
  std::optional<Issue> ready_;
  std::map<std::string, std::uint64_t> dropped_;
  std::string first_dropped_;
  std::priority_queue<Client, std::vector<Client>, std::greater<>> idle_;  // clients
  std::unordered_map<std::uint64_t, std::uint32_t> client_of_;             // requests under way
};

}  // namespace serveloop::experiment
