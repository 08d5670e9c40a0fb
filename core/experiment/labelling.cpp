#include "experiment/labelling.hpp"

#include <algorithm>
#include <cmath>

#include "experiment/arrivals.hpp"

namespace serveloop::experiment {

using requests::PromptPiece;
using requests::RequestSpec;

namespace {

constexpr double kNormal90 = 1.2815515655446004, kNormal99 = 2.3263478740408408;  // quantiles

std::map<std::string, double> shares_of(const std::map<std::string, config::RequestClass>& classes) {
  std::map<std::string, double> shares;
  for (const auto& [name, one] : classes) shares[name] = one.share;
  return shares;
}

// Of a deadline in ms, relative to arrival. One that rounds to nothing would read as passed at once: at least 1 ns.
std::uint64_t relative_ns(double ms) { return std::max<std::uint64_t>(1, ns_of(ms * 1e-3)); }

// Deadlines and RequestClass state them alike.
template <class Stated>
void set_deadlines(const Stated& stated, RequestSpec& spec) {
  if (stated.ttft_ms || stated.ttft_ms_per_1k_tokens) {
    const double per_token_ms = stated.ttft_ms_per_1k_tokens.value_or(0) / 1000;
    spec.ttft_deadline_ns = relative_ns(stated.ttft_ms.value_or(0) + per_token_ms * spec.prompt_tokens());
  }
  if (stated.tbt_ms) spec.tbt_target_ns = relative_ns(*stated.tbt_ms);
  if (stated.end_ms) spec.end_deadline_ns = relative_ns(*stated.end_ms);
}

}  // namespace

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

Streams::Streams(std::uint64_t seed)
    : think(seed, "think"),
      prompt_length(seed, "prompt length"),
      output_length(seed, "output length"),
      content(seed, "content"),
      block(seed, "block"),
      tenant(seed, "tenant"),
      category(seed, "category"),
      klass(seed, "class"),
      deadline(seed, "deadline"),
      prediction(seed, "prediction"),
      prediction_share(seed, "prediction share"),
      prefix_share(seed, "prefix share"),
      prefix_group(seed, "prefix group"),
      prefix_content(seed, "prefix content"),
      sampling(seed, "sampling") {}

Labelling::Shares::Shares(const std::map<std::string, double>& shares) {
  for (const auto& [name, weight] : shares) {
    if (weight <= 0) continue;
    names.push_back(name);
    weights.push_back(weight);
  }
}

const std::string& Labelling::Shares::draw(const Draws& draws, std::uint64_t index) const {
  return names[draws.categorical(index, weights)];
}

Labelling::Labelling(const config::Workload& config)
    : config_(config),
      streams_(config.seed),
      tenants_(config.tenants),
      categories_(config.categories),
      classes_(shares_of(config.classes)) {}

void Labelling::label(DrawIndex index, Issue& issue) const {
  RequestSpec& spec = issue.spec;
  if (config_.n > 1) spec.n = config_.n;
  spec.sampling.seed = streams_.sampling.bits(index.call);
  if (!tenants_.empty()) spec.tenant = tenants_.draw(streams_.tenant, index.who);
  if (!categories_.empty()) spec.category = categories_.draw(streams_.category, index.who);
  if (!classes_.empty()) add_class(index.who, issue);
  add_deadlines(index.call, spec);
  add_prediction(index.call, spec);
}

void Labelling::add_class(std::uint64_t who, Issue& issue) const {
  issue.class_name = classes_.draw(streams_.klass, who);
  const config::RequestClass& drawn = config_.classes.at(issue.class_name);
  issue.spec.category = drawn.category.value_or(issue.class_name);
  if (drawn.tenant) issue.spec.tenant = *drawn.tenant;
  if (drawn.priority) issue.spec.priority = drawn.priority;
  set_deadlines(drawn, issue.spec);
}

void Labelling::add_deadlines(std::uint64_t call, RequestSpec& spec) const {
  if (streams_.deadline.uniform(call) < config_.deadlines.share) set_deadlines(config_.deadlines, spec);
}

// Were the true length unknown and the p50 given, it would be the p50 times that lognormal: so the other two quantiles.
void Labelling::add_prediction(std::uint64_t call, RequestSpec& spec) const {
  const config::Predictions& how = config_.predictions;
  if (!how.noise) return;
  spec.predicted_p50 = spec.predicted_p90 = spec.predicted_p99 = 0;
  if (streams_.prediction_share.uniform(call) >= how.share) return;
  const double error = portable_exp(*how.noise * streams_.prediction.normal(call));
  const double p50 = static_cast<double>(*spec.max_tokens) * how.bias * error;
  const auto tokens = [&](double quantile) {
    return static_cast<std::uint32_t>(
        std::clamp(std::floor(p50 * portable_exp(*how.noise * quantile) + 0.5), 1.0, 4e9));
  };
  spec.predicted_p50 = tokens(0);
  spec.predicted_p90 = tokens(kNormal90);
  spec.predicted_p99 = tokens(kNormal99);
}

void Labelling::open_with_shared_prefix(std::uint64_t who, std::vector<PromptPiece>& pieces) const {
  const config::SharedPrefix& shared = config_.shared_prefix;
  if (shared.groups == 0 || shared.tokens == 0 || streams_.prefix_share.uniform(who) >= shared.share) return;
  std::uint32_t left = shared.tokens;
  std::size_t whole = 0;
  for (; whole < pieces.size() && pieces[whole].tokens <= left; ++whole) left -= pieces[whole].tokens;
  if (whole < pieces.size()) {
    pieces[whole].tokens -= left;
    left = 0;
  }
  pieces.erase(pieces.begin(), pieces.begin() + static_cast<std::ptrdiff_t>(whole));
  if (left == shared.tokens) return;  // an empty prompt
  const std::uint64_t group = streams_.prefix_group.uniform(who, 0, shared.groups - 1);
  pieces.insert(pieces.begin(), {streams_.prefix_content.bits(group), shared.tokens - left});
}

}  // namespace serveloop::experiment
