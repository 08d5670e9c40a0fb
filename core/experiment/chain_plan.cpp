#include "experiment/chain_plan.hpp"

#include <algorithm>
#include <cmath>

namespace serveloop::experiment {

namespace {

double drawn(const Draws& draws, std::uint64_t index, const config::Spread& spread) {
  if (spread.distribution == "fixed") return spread.mean;
  if (spread.distribution == "uniform") return spread.min + (spread.max - spread.min) * draws.uniform(index);
  const double value = spread.distribution == "lognormal" ? draws.lognormal(index, spread.mean, spread.cv)
                                                          : draws.exponential(index, spread.mean);
  return std::clamp(value, spread.min, spread.max);
}

// Whole numbers: of a uniform one each is as likely.
std::uint32_t count(const Draws& draws, std::uint64_t index, const config::Spread& spread) {
  if (spread.distribution == "uniform")
    return static_cast<std::uint32_t>(draws.uniform(index, static_cast<std::uint64_t>(std::ceil(spread.min)),
                                                    static_cast<std::uint64_t>(spread.max)));
  return static_cast<std::uint32_t>(std::floor(drawn(draws, index, spread) + 0.5));
}

}  // namespace

ChainPlan::ChainPlan(const config::Workload& config)
    : config_(config),
      sessions_(config.source == "sessions"),
      streams_(config.seed),
      stages_(config.seed, "chain stages"),
      fan_out_(config.seed, "chain fan-out"),
      pause_(config.seed, "chain pause"),
      kind_(config.seed, "program kind") {
  for (const auto& [name, kind] : config.programs) {
    if (kind.share <= 0) continue;
    names_.push_back(name);
    shares_.push_back(kind.share);
    prefixes_.push_back(Draws(config.seed, "program prefix " + name).bits(0));
  }
}

const config::ProgramKind* ChainPlan::kind_of(std::uint64_t chain) const {
  return sessions_ ? nullptr : &config_.programs.at(kind(chain));
}

std::string ChainPlan::kind(std::uint64_t chain) const {
  return sessions_ ? std::string() : names_[kind_.categorical(chain, shares_)];
}

std::uint32_t ChainPlan::stages(std::uint64_t chain) const {
  return count(stages_, chain, sessions_ ? config_.sessions.turns : kind_of(chain)->stages);
}

std::uint32_t ChainPlan::width(std::uint64_t chain, std::uint32_t stage) const {
  return sessions_ ? 1 : count(fan_out_, CallId{chain, stage, 0}.draws().call, kind_of(chain)->fan_out);
}

ChainPlan::Lengths ChainPlan::lengths(const CallId& call) const {
  const std::uint64_t index = call.draws().call;
  if (sessions_)
    return {length_of(streams_.prompt_length, index, config_.prompt),
            length_of(streams_.output_length, index, config_.output)};
  const config::ProgramKind& kind = *kind_of(call.chain);
  return {count(streams_.prompt_length, index, kind.prompt_tokens),
          count(streams_.output_length, index, kind.output_tokens)};
}

double ChainPlan::pause_s(std::uint64_t chain, std::uint32_t stage) const {
  if (stage == 0) return 0;
  return drawn(pause_, CallId{chain, stage, 0}.draws().call,
               sessions_ ? config_.sessions.think_time_s : kind_of(chain)->tool_time_s);
}

bool ChainPlan::keeps_history(std::uint64_t chain) const { return sessions_ || kind_of(chain)->history; }

requests::PromptPiece ChainPlan::prefix(std::uint64_t chain) const {
  if (sessions_) return {};
  const std::size_t kind = kind_.categorical(chain, shares_);
  return {prefixes_[kind], config_.programs.at(names_[kind]).system_tokens};
}

ChainPlan::Extent ChainPlan::extent(std::uint64_t chain, std::uint32_t stage,
                                    std::uint64_t history_before) const {
  Extent out;
  out.history = history_before;
  const std::uint64_t before = prefix(chain).tokens + history_before;
  for (std::uint32_t branch = 0; branch < width(chain, stage); ++branch) {
    const Lengths l = lengths({chain, stage, branch});
    if (before + l.added + l.output > out.sum()) {
      out.prompt = before + l.added;
      out.output = l.output;
    }
    if (keeps_history(chain)) out.history += std::uint64_t{l.added} + l.output;
  }
  return out;
}

}  // namespace serveloop::experiment
