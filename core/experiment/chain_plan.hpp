// What sessions and programs are made of, which is one thing here: a chain of stages, each of one call or of several side
// by side. The next stage begins a pause after the last call of a stage has ended, and its prompts may hold all that came
// before.
//
//   session   stages are turns, of one call; the pause is the time to think
//   program   the pause is the time of a tool; a kind's programs open with one prefix
//
// Chain g is a function of (configuration, g); what was generated is not in it. Thread-safe: const throughout.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/workload.hpp"
#include "experiment/labelling.hpp"

namespace serveloop::experiment {

// A call: of a chain, in a stage, the how-manieth of it.
struct CallId {
  std::uint64_t chain = 0;
  std::uint32_t stage = 0, branch = 0;
  // Of its own draws. Stages and branches stay below 1,024 (their keys' bounds).
  DrawIndex draws() const { return {chain, chain << 20 | std::uint64_t{stage} << 10 | branch}; }
};

class ChainPlan {
 public:
  struct Lengths {
    std::uint32_t added = 0, output = 0;  // tokens: new ones of the prompt; output
  };
  explicit ChainPlan(const config::Workload& config);
  std::uint32_t stages(std::uint64_t chain) const;
  std::uint32_t width(std::uint64_t chain, std::uint32_t stage) const;  // calls, side by side
  Lengths lengths(const CallId& call) const;
  double pause_s(std::uint64_t chain, std::uint32_t stage) const;  // before it; 0 before the first
  bool keeps_history(std::uint64_t chain) const;
  // With which each prompt of the chain opens, before the history; 0 tokens: none.
  requests::PromptPiece prefix(std::uint64_t chain) const;
  std::string kind(std::uint64_t chain) const;  // of a program; "" of a session

  // Tokens of prompt and output of the longest call, if every output comes whole, in the stages up to `stage`; the
  // history after it.
  struct Extent {
    std::uint64_t prompt = 0, output = 0;  // of the call for which their sum is most
    std::uint64_t history = 0;             // after the stage
    std::uint64_t sum() const { return prompt + output; }
  };
  Extent extent(std::uint64_t chain, std::uint32_t stage, std::uint64_t history_before) const;

 private:
  const config::ProgramKind* kind_of(std::uint64_t chain) const;  // null: sessions
  const config::Workload config_;
  bool sessions_;
  Streams streams_;
  Draws stages_, fan_out_, pause_, kind_;
  std::vector<std::string> names_;  // of kinds, with their shares
  std::vector<double> shares_;
  std::vector<std::uint64_t> prefixes_;  // seeds
};

}  // namespace serveloop::experiment
