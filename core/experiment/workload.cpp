#include "experiment/workload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace serveloop::experiment {

using requests::PromptPiece;
using requests::RequestSpec;

namespace {

std::uint64_t ns_of(double seconds) {
  return static_cast<std::uint64_t>(std::llround(std::clamp(seconds, 0.0, 9e9) * 1e9));
}

// A length by a factor; what was not empty stays at least 1. Beyond every context at most.
std::uint32_t scaled(std::uint32_t tokens, double scale) {
  if (tokens == 0) return 0;
  return static_cast<std::uint32_t>(std::clamp(std::floor(tokens * scale + 0.5), 1.0, 4e9));
}

std::uint32_t length_of(const Draws& draws, std::uint64_t i, const config::Lengths& lengths) {
  double tokens = lengths.mean_tokens;
  if (lengths.distribution == "uniform")
    return static_cast<std::uint32_t>(draws.uniform(i, lengths.min_tokens, lengths.max_tokens));
  if (lengths.distribution == "lognormal") tokens = draws.lognormal(i, lengths.mean_tokens, lengths.cv);
  return static_cast<std::uint32_t>(std::clamp(std::floor(tokens + 0.5),
                                               static_cast<double>(lengths.min_tokens),
                                               static_cast<double>(lengths.max_tokens)));
}

std::uint64_t relative_ns(const std::optional<double>& ms) { return ms ? ns_of(*ms * 1e-3) : SL_NEVER; }

}  // namespace

Workload::Streams::Streams(std::uint64_t seed)
    : gap(seed, "gap"),
      think(seed, "think"),
      prompt_length(seed, "prompt length"),
      output_length(seed, "output length"),
      content(seed, "content"),
      block(seed, "block"),
      tenant(seed, "tenant"),
      category(seed, "category"),
      deadline(seed, "deadline"),
      prefix_share(seed, "prefix share"),
      prefix_group(seed, "prefix group"),
      prefix_content(seed, "prefix content"),
      sampling(seed, "sampling") {}

Workload::Shares::Shares(const std::map<std::string, double>& shares) {
  for (const auto& [name, weight] : shares) {
    if (weight <= 0) continue;
    names.push_back(name);
    weights.push_back(weight);
  }
}

std::string Workload::Shares::draw(const Draws& draws, std::uint64_t index) const {
  return names.empty() ? std::string() : names[draws.categorical(index, weights)];
}

Workload::Workload(const config::Workload& config, std::uint32_t context_tokens)
    : config_(config),
      context_tokens_(context_tokens),
      trace_(config.source == "trace"),
      closed_(config.arrival == "closed" && config.concurrency.has_value()),
      streams_(config.seed),
      tenants_(config.tenants),
      categories_(config.categories),
      count_(config.requests) {
  if (!closed_) return;
  for (std::uint32_t client = 0; client < *config.concurrency; ++client) idle_.emplace(0, client);
}

Result<Workload> Workload::make(const config::Workload& config, std::uint32_t context_tokens) {
  Workload workload(config, context_tokens);
  if (workload.trace_) {
    if (Status opened = workload.open_trace(); !opened) return tl::unexpected(opened.error());
    return workload;
  }
  if (config.source != "synthetic")
    return fail("workload", "trace = \"PATH\" or source = \"synthetic\"",
                config.source.empty() ? "neither" : config.source);
  if (!workload.closed_ && !(config.rate_per_second.value_or(0) > 0))
    return fail("workload.rate_per_second", "a rate above 0", "none",
                "or set workload.arrival = \"closed\" and concurrency");
  return workload;
}

// Keeps the window's rows, with times from its start.
Status Workload::open_trace() {
  Result<std::vector<TraceRow>> rows = read_trace(config_.trace, config_.format);
  if (!rows) return about("workload.trace", rows.error());
  rows_ = std::move(*rows);
  if (config_.window) {
    const std::uint64_t from_ns = ns_of(config_.window->from_s), to_ns = ns_of(config_.window->to_s);
    const std::uint64_t last_ns = rows_.back().arrival_ns;
    std::erase_if(rows_,
                  [&](const TraceRow& row) { return row.arrival_ns < from_ns || row.arrival_ns >= to_ns; });
    if (rows_.empty())
      return fail(
          "workload.window",
          fmt::format("a part with requests, within 0 to {:.0f} s", static_cast<double>(last_ns) * 1e-9),
          fmt::format("[{}, {})", config_.window->from_s, config_.window->to_s));
    for (TraceRow& row : rows_) row.arrival_ns -= from_ns;
  }
  if (config_.limit && *config_.limit < rows_.size()) rows_.resize(*config_.limit);
  count_ = rows_.size();
  return {};
}

const Issue* Workload::peek() {
  fill();
  if (!ready_) return nullptr;
  if (closed_) {
    if (idle_.empty()) return nullptr;
    ready_->spec.arrival_ns = idle_.top().first;
  }
  return &*ready_;
}

Issue Workload::next() {
  peek();
  Issue issue = std::move(*ready_);
  ready_.reset();
  if (closed_) {
    client_of_.emplace(issue.index, idle_.top().second);
    idle_.pop();
  }
  return issue;
}

void Workload::on_end(std::uint64_t index, std::uint64_t now_ns) {
  const auto client = client_of_.find(index);
  if (client == client_of_.end()) return;
  std::uint64_t pause_ns = 0;
  if (config_.think_time_s > 0)
    pause_ns = ns_of(streams_.think.exponential(index, config_.think_time_s) / config_.rate_scale);
  idle_.emplace(now_ns + pause_ns, client->second);
  client_of_.erase(client);
}

bool Workload::finished() {
  fill();
  return !ready_;
}

std::uint64_t Workload::dropped_total() const {
  std::uint64_t sum = 0;
  for (const auto& [reason, count] : dropped_) sum += count;
  return sum;
}

void Workload::fill() {
  while (!ready_ && at_ < count_) {
    const std::uint64_t i = at_++;
    const std::uint64_t arrival_ns = closed_ ? 0 : next_arrival_ns(i);
    if (const char* reason = reason_to_drop(lengths(i))) {
      if (dropped_.empty()) first_dropped_ = why_dropped(i);
      ++dropped_[reason];
      continue;
    }
    ready_ = Issue{issued_++, build(i)};
    ready_->spec.arrival_ns = arrival_ns;
  }
}

Workload::Lengths Workload::lengths(std::uint64_t i) const {
  if (trace_)
    return {scaled(rows_[i].prompt_tokens, config_.prompt_scale),
            scaled(rows_[i].output_tokens, config_.output_scale)};
  return {length_of(streams_.prompt_length, i, config_.prompt),
          length_of(streams_.output_length, i, config_.output)};
}

const char* Workload::reason_to_drop(const Lengths& lengths) const {
  if (lengths.prompt == 0 || lengths.output == 0) return "empty";
  return lengths.sum() > context_tokens_ ? "context" : nullptr;
}

std::string Workload::place_of(std::uint64_t i) const {
  return trace_ ? fmt::format("{}:{}", config_.trace, rows_[i].line)
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

std::uint64_t Workload::next_arrival_ns(std::uint64_t i) {
  if (trace_)
    return static_cast<std::uint64_t>(
        std::floor(static_cast<double>(rows_[i].arrival_ns) / config_.rate_scale + 0.5));
  const double mean_s = 1 / *config_.rate_per_second;
  const double gap_s = config_.arrival == "gamma" ? streams_.gap.gamma(i, mean_s, config_.cv)
                                                  : streams_.gap.exponential(i, mean_s);
  return last_arrival_ns_ += ns_of(gap_s / config_.rate_scale);
}

RequestSpec Workload::build(std::uint64_t i) const {
  RequestSpec spec;
  const Lengths l = lengths(i);
  spec.max_tokens = l.output;
  spec.pieces = pieces(i, l.prompt);
  open_with_shared_prefix(i, spec.pieces);
  spec.n = config_.n;
  spec.sampling.seed = streams_.sampling.bits(i);
  add_labels(i, spec);
  return spec;
}

// A trace's prefix blocks keep their tokens and their place, also when lengths are scaled.
std::vector<PromptPiece> Workload::pieces(std::uint64_t i, std::uint32_t prompt_tokens) const {
  if (prompt_tokens == 0) return {};
  if (!trace_ || rows_[i].blocks.empty()) return {{streams_.content.bits(i), prompt_tokens}};
  const std::vector<std::uint64_t>& blocks = rows_[i].blocks;
  std::vector<PromptPiece> pieces;
  pieces.reserve(blocks.size());
  std::uint32_t from = 0;
  for (std::size_t b = 0; b < blocks.size() && from < prompt_tokens; ++b) {
    const double border =
        std::floor(static_cast<double>((b + 1) * kTraceBlockTokens) * config_.prompt_scale + 0.5);
    const bool last = b + 1 == blocks.size();
    const auto to =
        last ? prompt_tokens : static_cast<std::uint32_t>(std::min<double>(border, prompt_tokens));
    if (to > from) pieces.push_back({streams_.block.bits(blocks[b]), to - from});
    from = to;
  }
  return pieces;
}

// The prefix takes the place of the prompt's first tokens, so lengths stay as they are.
void Workload::open_with_shared_prefix(std::uint64_t i, std::vector<PromptPiece>& pieces) const {
  const config::SharedPrefix& shared = config_.shared_prefix;
  if (shared.groups == 0 || shared.tokens == 0 || streams_.prefix_share.uniform(i) >= shared.share) return;
  std::uint32_t left = shared.tokens;
  std::size_t whole = 0;
  for (; whole < pieces.size() && pieces[whole].tokens <= left; ++whole) left -= pieces[whole].tokens;
  if (whole < pieces.size()) {
    pieces[whole].tokens -= left;
    left = 0;
  }
  pieces.erase(pieces.begin(), pieces.begin() + static_cast<std::ptrdiff_t>(whole));
  if (left == shared.tokens) return;  // an empty prompt
  const std::uint64_t group = streams_.prefix_group.uniform(i, 0, shared.groups - 1);
  pieces.insert(pieces.begin(), {streams_.prefix_content.bits(group), shared.tokens - left});
}

void Workload::add_labels(std::uint64_t i, RequestSpec& spec) const {
  spec.tenant = tenants_.draw(streams_.tenant, i);
  spec.category = categories_.draw(streams_.category, i);
  if (streams_.deadline.uniform(i) >= config_.deadlines.share) return;
  spec.ttft_deadline_ns = relative_ns(config_.deadlines.ttft_ms);
  spec.tbt_target_ns = relative_ns(config_.deadlines.tbt_ms);
  spec.end_deadline_ns = relative_ns(config_.deadlines.end_ms);
}

}  // namespace serveloop::experiment
