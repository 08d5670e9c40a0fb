#include "experiment/chains.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "requests/whole_prompt.hpp"

namespace serveloop::experiment {

namespace {

void append_seeded(std::vector<requests::Token>& tokens, const requests::PromptPiece& piece,
                   std::uint32_t vocabulary) {
  for (std::uint32_t i = 0; i < piece.tokens; ++i)
    tokens.push_back(requests::seeded_token(piece.seed, i, vocabulary));
}

void append(std::vector<requests::Token>& tokens, const std::vector<requests::Token>& more) {
  tokens.insert(tokens.end(), more.begin(), more.end());
}

}  // namespace

Chains::Chains(const config::Workload& config, std::uint32_t context_tokens, std::uint32_t vocabulary)
    : config_(config),
      context_tokens_(context_tokens),
      vocabulary_(vocabulary),
      plan_(config),
      labelling_(config),
      arrivals_(config) {}

void Chains::begin_due() {
  while (begun_ < config_.count) {
    if (!next_start_ns_) next_start_ns_ = arrivals_.next_ns(begun_);
    if (!due_.empty() && due_.top().at_ns < *next_start_ns_) return;
    const std::uint64_t chain = begun_++, at_ns = *next_start_ns_;
    next_start_ns_.reset();
    Live& live = live_[chain];
    live.begun_ns = at_ns;
    live.stages = plan_.stages(chain);
    begin_stage(chain, live, at_ns);
  }
}

// Its calls become due, or, where the context cannot hold one of them, the chain ends here. `live` may be gone after.
void Chains::begin_stage(std::uint64_t chain, Live& live, std::uint64_t at_ns) {
  if (!fits(chain, live)) {
    drop_rest(chain, live);
    ++broken_;
    live_.erase(chain);
    return;
  }
  live.calls_left = plan_.width(chain, live.stage);
  live.branches.assign(live.calls_left, {});
  for (std::uint32_t branch = 0; branch < live.calls_left; ++branch) {
    const CallId call{chain, live.stage, branch};
    live.branches[branch].added = added_tokens(call);
    due_.push({at_ns, call});
  }
}

bool Chains::fits(std::uint64_t chain, const Live& live) const {
  return plan_.extent(chain, live.stage, live.history.size()).sum() <= context_tokens_;
}

void Chains::drop_rest(std::uint64_t chain, const Live& live) {
  if (first_dropped_.empty()) {
    const ChainPlan::Extent extent = plan_.extent(chain, live.stage, live.history.size());
    first_dropped_ = fmt::format(
        "workload: {} {} of {} {}: a prompt of {} and an output of {} tokens, beyond "
        "engine.context_tokens = {}",
        config_.source == "sessions" ? "turn" : "stage", live.stage + 1,
        config_.source == "sessions" ? "session" : "program", chain + 1, extent.prompt, extent.output,
        context_tokens_);
  }
  for (std::uint32_t stage = live.stage; stage < live.stages; ++stage) dropped_ += plan_.width(chain, stage);
}

Chains::Tokens Chains::added_tokens(const CallId& call) const {
  std::vector<requests::PromptPiece> pieces{
      {labelling_.streams().content.bits(call.draws().call), plan_.lengths(call).added}};
  if (call.stage == 0) labelling_.open_with_shared_prefix(call.chain, pieces);
  requests::RequestSpec opening;
  opening.pieces = std::move(pieces);
  return requests::whole_prompt(opening, vocabulary_);
}

const Issue* Chains::peek() {
  begin_due();
  if (due_.empty()) return nullptr;
  if (!ready_) ready_ = build(due_.top());
  return &*ready_;
}

Issue Chains::next() {
  peek();
  Issue issue = std::move(*ready_);
  ready_.reset();
  issue.index = issued_++;
  under_way_.emplace(issue.index, due_.top().call);
  due_.pop();
  return issue;
}

Issue Chains::build(const Due& due) const {
  const CallId& call = due.call;
  const Live& live = live_.at(call.chain);
  Issue issue;
  issue.index = issued_;
  issue.identity = call.draws().call;
  issue.begun_ns = live.begun_ns;
  issue.parent = live.parent;
  requests::RequestSpec& spec = issue.spec;
  append_seeded(spec.prompt, plan_.prefix(call.chain), vocabulary_);
  append(spec.prompt, live.history);
  append(spec.prompt, live.branches[call.branch].added);
  spec.max_tokens = plan_.lengths(call).output;
  spec.arrival_ns = due.at_ns;
  spec.turn = call.stage;
  if (config_.source == "sessions") {
    spec.session = fmt::format("session {}", call.chain + 1);
  } else {
    issue.class_name = spec.category = plan_.kind(call.chain);
    spec.program = fmt::format("{} {}", spec.category, call.chain + 1);
  }
  labelling_.label(call.draws(), issue);
  return issue;
}

void Chains::on_end(std::uint64_t index, std::uint64_t now_ns, const Answer& answer) {
  const auto found = under_way_.find(index);
  if (found == under_way_.end()) return;
  const CallId call = found->second;
  under_way_.erase(found);
  Live& live = live_.at(call.chain);
  live.branches[call.branch].generated.assign(answer.generated.begin(), answer.generated.end());
  live.whole = live.whole && answer.whole;
  if (--live.calls_left > 0) return;
  live.parent = index;
  end_stage(call.chain, live, now_ns);
  ready_.reset();  // another call may come before it now
}

void Chains::end_stage(std::uint64_t chain, Live& live, std::uint64_t now_ns) {
  const bool last = live.stage + 1 == live.stages;
  if (!live.whole || last) {
    if (live.whole)
      completed_ns_.push_back(now_ns - live.begun_ns);
    else
      ++broken_;
    live_.erase(chain);
    return;
  }
  if (plan_.keeps_history(chain))
    for (const Branch& branch : live.branches) {
      append(live.history, branch.added);
      append(live.history, branch.generated);
    }
  ++live.stage;
  begin_stage(chain, live, now_ns + ns_of(plan_.pause_s(chain, live.stage) / config_.rate_scale));
}

bool Chains::finished() const { return begun_ == config_.count && live_.empty(); }

std::optional<std::pair<CallId, ChainPlan::Extent>> Chains::beyond(std::uint64_t pool_tokens) const {
  for (std::uint64_t chain = 0; chain < config_.count; ++chain) {
    std::uint64_t history = 0;
    for (std::uint32_t stage = 0, stages = plan_.stages(chain); stage < stages; ++stage) {
      const ChainPlan::Extent extent = plan_.extent(chain, stage, history);
      if (extent.sum() > context_tokens_) break;  // and all behind it are dropped
      if (extent.sum() > pool_tokens) return std::pair(CallId{chain, stage, 0}, extent);
      history = extent.history;
    }
  }
  return std::nullopt;
}

}  // namespace serveloop::experiment
