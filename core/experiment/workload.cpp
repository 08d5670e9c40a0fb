#include "experiment/workload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "config/check_workload.hpp"

namespace serveloop::experiment {

using requests::PromptPiece;

Workload::Workload(const config::Workload& config, std::uint32_t context_tokens)
    : config_(config),
      context_tokens_(context_tokens),
      trace_(config.source == "trace"),
      closed_(config.arrival == "closed" && config.concurrency.has_value()),
      labelling_(config),
      bursts_(config.bursts),
      arrivals_(config),
      count_(config.requests) {
  if (!closed_) return;
  for (std::uint32_t client = 0; client < *config.concurrency; ++client) idle_.emplace(0, client);
}

Result<Workload> Workload::make(const config::Workload& config, std::uint32_t context_tokens,
                                std::uint32_t vocabulary) {
  Workload workload(config, context_tokens);
  if (workload.trace_) {
    if (Status opened = workload.open_trace(); !opened) return tl::unexpected(opened.error());
    return workload;
  }
  const bool chains = config.source == "sessions" || config.source == "programs";
  if (config.source != "synthetic" && !chains)
    return fail("workload", config::kSourceForm, config.source.empty() ? "neither" : config.source);
  if (!workload.closed_ && !(config.rate_per_second.value_or(0) > 0))
    return fail("workload.rate_per_second", "a rate above 0", "none",
                chains ? "" : "or set workload.arrival = \"closed\" and concurrency");
  if (!chains) return workload;
  workload.count_ = 0;
  workload.chains_ = std::make_unique<Chains>(config, context_tokens, vocabulary);
  return workload;
}

// Keeps the window's rows, with times from its start.
Status Workload::open_trace() {
  Result<Trace> trace = read_trace(config_.trace, config_.format);
  if (!trace) return about("workload.trace", trace.error());
  recorded_ = std::move(*trace);
  std::vector<TraceRow>& rows = recorded_.rows;
  if (config_.window) {
    const std::uint64_t from_ns = ns_of(config_.window->from_s), to_ns = ns_of(config_.window->to_s);
    const std::uint64_t last_ns = rows.back().arrival_ns;
    std::erase_if(rows,
                  [&](const TraceRow& row) { return row.arrival_ns < from_ns || row.arrival_ns >= to_ns; });
    if (rows.empty())
      return fail(
          "workload.window",
          fmt::format("a part with requests, within 0 to {:.0f} s", static_cast<double>(last_ns) * 1e-9),
          fmt::format("[{}, {})", config_.window->from_s, config_.window->to_s));
    for (TraceRow& row : rows) row.arrival_ns -= from_ns;
  }
  if (config_.limit && *config_.limit < rows.size()) rows.resize(*config_.limit);
  count_ = rows.size();
  if (recorded_.unanswered == 0 || config_.window || config_.limit) return {};
  dropped_["unanswered"] = recorded_.unanswered;
  first_dropped_ = config_.trace + ": requests that got no token when they were recorded";
  return {};
}

const Issue* Workload::peek() {
  if (chains_ != nullptr) return chains_->peek();
  fill();
  if (!ready_) return nullptr;
  if (closed_) {
    if (idle_.empty()) return nullptr;
    ready_->spec.arrival_ns = idle_.top().first;
  }
  return &*ready_;
}

Issue Workload::next() {
  if (chains_ != nullptr) return chains_->next();
  peek();
  Issue issue = std::move(*ready_);
  ready_.reset();
  if (closed_) {
    client_of_.emplace(issue.index, idle_.top().second);
    idle_.pop();
  }
  issue.identity = issue.index;
  issue.begun_ns = issue.spec.arrival_ns;
  return issue;
}

void Workload::on_end(std::uint64_t index, std::uint64_t now_ns, const Answer& answer) {
  if (chains_ != nullptr) return chains_->on_end(index, now_ns, answer);
  const auto client = client_of_.find(index);
  if (client == client_of_.end()) return;
  std::uint64_t pause_ns = 0;
  if (config_.think_time_s > 0)
    pause_ns =
        ns_of(labelling_.streams().think.exponential(index, config_.think_time_s) / config_.rate_scale);
  idle_.emplace(now_ns + pause_ns, client->second);
  client_of_.erase(client);
}

bool Workload::finished() {
  if (chains_ != nullptr) return chains_->finished();
  fill();
  return !ready_;
}

std::map<std::string, std::uint64_t> Workload::dropped() const {
  if (chains_ == nullptr || chains_->dropped() == 0) return dropped_;
  return {{"context", chains_->dropped()}};
}

const std::string& Workload::first_dropped() const {
  return chains_ != nullptr ? chains_->first_dropped() : first_dropped_;
}

std::uint64_t Workload::dropped_total() const {
  std::uint64_t sum = 0;
  for (const auto& [reason, count] : dropped()) sum += count;
  return sum;
}

void Workload::fill() {
  while (!ready_ && at_ < count_) {
    const std::uint64_t i = at_++;
    const std::uint64_t arrival_ns = closed_ ? 0 : next_arrival_ns(i);
    if (const char* reason = reason_to_drop(lengths(i))) {
      if (first_dropped_.empty()) first_dropped_ = why_dropped(i);
      ++dropped_[reason];
      continue;
    }
    ready_ = build(i);
    ready_->index = issued_++;
    if (const RowLabels* labels = labels_of(i)) issue_of_.emplace(labels->id, ready_->index);
    ready_->spec.arrival_ns = arrival_ns;
  }
}

Workload::Lengths Workload::lengths(std::uint64_t i) const {
  if (trace_)
    return {scaled(recorded_.rows[i].prompt_tokens, config_.prompt_scale),
            scaled(recorded_.rows[i].output_tokens, config_.output_scale)};
  return {length_of(labelling_.streams().prompt_length, i, config_.prompt),
          length_of(labelling_.streams().output_length, i, config_.output)};
}

const char* Workload::reason_to_drop(const Lengths& lengths) const {
  if (lengths.prompt == 0 || lengths.output == 0) return "empty";
  return lengths.sum() > context_tokens_ ? "context" : nullptr;
}

std::string Workload::place_of(std::uint64_t i) const {
  if (trace_ && recorded_.rows[i].line == 0)
    return fmt::format("{}: request {} of {}", config_.trace, i + 1, count_);
  return trace_ ? fmt::format("{}:{}", config_.trace, recorded_.rows[i].line)
                : fmt::format("workload: request {} of {}", i + 1, count_);
}

std::string Workload::why_dropped(std::uint64_t i) const {
  const Lengths l = lengths(i);
  if (l.prompt == 0 || l.output == 0)
    return fmt::format("{}: no {}", place_of(i), l.prompt == 0 ? "prompt" : "output");
  return fmt::format("{}: a prompt of {} and an output of {} tokens, beyond engine.context_tokens = {}",
                     place_of(i), l.prompt, l.output, context_tokens_);
}

// KV is needed for every token but the last one sampled.
Status Workload::check_pool(std::uint32_t blocks, std::uint32_t block_tokens) const {
  if (chains_ != nullptr) return check_pool_of_chains(blocks, block_tokens);
  const std::uint64_t most = std::uint64_t{blocks} * block_tokens + 1;
  const std::uint64_t longest =
      trace_ ? SL_NEVER : std::uint64_t{config_.prompt.max_tokens} + config_.output.max_tokens;
  if (most >= std::min<std::uint64_t>(longest, context_tokens_)) return {};
  for (std::uint64_t i = 0; i < count_; ++i) {
    const Lengths l = lengths(i);
    if (l.sum() <= most || reason_to_drop(l) != nullptr) continue;
    return fail(
        (trace_ ? "workload.trace: " : "") + place_of(i) + ": a request that the KV pool can never hold",
        fmt::format("at most {} blocks of {} tokens, the whole pool", blocks, block_tokens),
        fmt::format("{} blocks for a prompt of {} and an output of {} tokens",
                    (l.sum() - 1 + block_tokens - 1) / block_tokens, l.prompt, l.output),
        fmt::format("raise engine.kv_memory or engine.kv_blocks, shorten requests ({}), or lower "
                    "engine.context_tokens to drop and count the long ones",
                    trace_ ? "workload.prompt_scale, output_scale"
                           : "workload.prompt.max_tokens, workload.output.max_tokens"));
  }
  return {};
}

Status Workload::check_pool_of_chains(std::uint32_t blocks, std::uint32_t block_tokens) const {
  const std::uint64_t most = std::uint64_t{blocks} * block_tokens + 1;
  if (most >= context_tokens_) return {};
  const auto found = chains_->beyond(most);
  if (!found) return {};
  const auto& [call, extent] = *found;
  const bool sessions = config_.source == "sessions";
  return fail(
      fmt::format("workload: {} {} of {} {}: a request that the KV pool can never hold",
                  sessions ? "turn" : "stage", call.stage + 1, sessions ? "session" : "program",
                  call.chain + 1),
      fmt::format("at most {} blocks of {} tokens, the whole pool", blocks, block_tokens),
      fmt::format("{} blocks for a prompt of {} and an output of {} tokens",
                  (extent.sum() - 1 + block_tokens - 1) / block_tokens, extent.prompt, extent.output),
      "raise engine.kv_memory or engine.kv_blocks, shorten the prompts, or lower engine.context_tokens "
      "to end such a " +
          std::string(sessions ? "session" : "program") + " there");
}

std::uint64_t Workload::next_arrival_ns(std::uint64_t i) {
  if (!trace_) return arrivals_.next_ns(i);
  return bursts_(static_cast<std::uint64_t>(
      std::floor(static_cast<double>(recorded_.rows[i].arrival_ns) / config_.rate_scale + 0.5)));
}

Issue Workload::build(std::uint64_t i) const {
  Issue issue;
  const Lengths l = lengths(i);
  issue.spec.max_tokens = l.output;
  issue.spec.pieces = pieces(i, l.prompt);
  labelling_.open_with_shared_prefix(i, issue.spec.pieces);
  if (const RowLabels* labels = labels_of(i)) add_recorded(*labels, issue);
  labelling_.label({i, i}, issue);
  return issue;
}

const RowLabels* Workload::labels_of(std::uint64_t i) const {
  if (!trace_ || recorded_.rows[i].labels == TraceRow::kNone) return nullptr;
  return &recorded_.labels[recorded_.rows[i].labels];
}

// As it was recorded; what the configuration draws comes over it.
void Workload::add_recorded(const RowLabels& labels, Issue& issue) const {
  const auto named = [](const char* what, std::uint64_t number) {
    return number == 0 ? std::string() : fmt::format("{} {}", what, number);
  };
  requests::RequestSpec& spec = issue.spec;
  spec.session = named("session", labels.session);
  spec.program = named("program", labels.program);
  spec.cache_salt = named("salt", labels.cache_salt);
  spec.turn = labels.turn;
  spec.n = labels.n;
  spec.tenant = labels.tenant;
  spec.category = labels.category;
  spec.priority = labels.priority;
  spec.ttft_deadline_ns = labels.ttft_deadline_ns;
  spec.tbt_target_ns = labels.tbt_target_ns;
  spec.end_deadline_ns = labels.end_deadline_ns;
  spec.predicted_p50 = labels.predicted_p50;
  spec.predicted_p90 = labels.predicted_p90;
  spec.predicted_p99 = labels.predicted_p99;
  spec.hints = labels.hints;
  spec.retention = labels.retention;
  if (!labels.parent) return;
  const auto parent = issue_of_.find(*labels.parent);
  if (parent != issue_of_.end()) issue.parent = parent->second;
}

// A trace's prefix blocks keep their tokens and their place, also when lengths are scaled.
std::vector<PromptPiece> Workload::pieces(std::uint64_t i, std::uint32_t prompt_tokens) const {
  if (prompt_tokens == 0) return {};
  if (!trace_ || recorded_.rows[i].blocks.empty())
    return {{labelling_.streams().content.bits(i), prompt_tokens}};
  const TraceRow& row = recorded_.rows[i];
  const std::size_t blocks = prompt_blocks(row.prompt_tokens, recorded_.block_tokens);
  std::vector<PromptPiece> pieces;
  std::uint32_t from = 0;
  std::size_t block = 0;
  for (const BlockRun& run : row.blocks)
    for (std::uint32_t k = 0; k < run.count && from < prompt_tokens; ++k) {
      const double border =
          std::floor(static_cast<double>(++block * recorded_.block_tokens) * config_.prompt_scale + 0.5);
      const auto to = block == blocks ? prompt_tokens
                                      : static_cast<std::uint32_t>(std::min<double>(border, prompt_tokens));
      if (to > from) pieces.push_back({labelling_.streams().block.bits(run.first + k), to - from});
      from = to;
    }
  return pieces;
}

}  // namespace serveloop::experiment
