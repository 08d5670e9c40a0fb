// What a request is drawn beside its arrival and its lengths: content, tenant, class, deadlines, predictions.
//
// Every draw comes from `seed` and its label's own stream, so that adding a label moves no other. Thread-safe: const
// throughout.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/workload.hpp"
#include "experiment/draw.hpp"
#include "requests/spec.hpp"

namespace serveloop::experiment {

struct Issue {
  std::uint64_t index = 0;  // 0, 1, ... in order of issue; those dropped have none
  std::uint64_t identity =
      0;  // which of the workload's it is: the same in every run, whatever the order of issue
  std::uint64_t begun_ns = 0;  // the arrival of its session's or program's first call; else its own
  requests::RequestSpec spec;
  std::string class_name;               // "" = none
  std::optional<std::uint64_t> parent;  // index of the request that led to this one
};

// One stream a label.
struct Streams {
  explicit Streams(std::uint64_t seed);
  Draws think, prompt_length, output_length, content, block, tenant, category, klass, deadline, prediction,
      prediction_share, prefix_share, prefix_group, prefix_content, sampling;
};

// Which draws are a request's: `who` it keeps with all of its session (tenant, class, prefix), `call` are its own.
struct DrawIndex {
  std::uint64_t who = 0, call = 0;
};

class Labelling {
 public:
  explicit Labelling(const config::Workload& config);
  const Streams& streams() const { return streams_; }
  // Fills in what the configuration draws, and leaves all else as it is. Requires the spec's prompt and its
  // max_tokens, which is its true output.
  void label(DrawIndex index, Issue& issue) const;
  // Lets the prompt open with a shared prefix, which takes the place of its first tokens, so its length stays.
  void open_with_shared_prefix(std::uint64_t who, std::vector<requests::PromptPiece>& pieces) const;

 private:
  struct Shares {
    std::vector<std::string> names;
    std::vector<double> weights;
    explicit Shares(const std::map<std::string, double>& shares);
    bool empty() const { return names.empty(); }
    const std::string& draw(const Draws& draws, std::uint64_t index) const;
  };
  void add_class(std::uint64_t who, Issue& issue) const;
  void add_deadlines(std::uint64_t call, requests::RequestSpec& spec) const;
  void add_prediction(std::uint64_t call, requests::RequestSpec& spec) const;

  config::Workload config_;
  Streams streams_;
  Shares tenants_, categories_, classes_;
};

std::uint32_t length_of(const Draws& draws, std::uint64_t index, const config::Lengths& lengths);
// Tokens of a length times a factor; what was not empty stays at least 1. Beyond every context at most.
std::uint32_t scaled(std::uint32_t tokens, double scale);

}  // namespace serveloop::experiment
