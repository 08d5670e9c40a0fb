#include "experiment/summary.hpp"

#include <fmt/format.h>
#include <serveloop/events.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "policy/host.hpp"
#include "policy/reasons.hpp"

namespace serveloop::experiment {

void Histogram::add(std::uint64_t ns) {
  const int log = std::max(0, static_cast<int>(std::bit_width(ns)) - 8);  // ns >> log has at most 8 bits
  const std::size_t index = static_cast<std::size_t>(log) * 128 + static_cast<std::size_t>(ns >> log);
  ++buckets_[std::min(index, kBuckets - 1)];
  ++count_;
}

double Histogram::percentile_ms(double p) const {
  if (count_ == 0) return 0;
  const auto rank = static_cast<std::uint64_t>(std::ceil(p / 100.0 * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen < std::max<std::uint64_t>(1, rank)) continue;
    if (i < 256) return static_cast<double>(i) * 1e-6;
    const std::size_t log = i / 128 - 1;
    return std::ldexp(static_cast<double>(i - log * 128) + 0.5, static_cast<int>(log)) * 1e-6;
  }
  return 0;
}

Percentiles percentiles(std::vector<std::uint64_t> ns) {
  if (ns.empty()) return {};
  std::sort(ns.begin(), ns.end());
  const auto at = [&](double p) {
    const auto rank = static_cast<std::size_t>(std::ceil(p / 100.0 * static_cast<double>(ns.size())));
    return static_cast<double>(ns[std::max<std::size_t>(1, rank) - 1]) * 1e-6;
  };
  return {at(50), at(90), at(99), static_cast<double>(ns.back()) * 1e-6};
}

void Recorder::tokens(std::span<const engine::Delivered> tokens) {
  for (const engine::Delivered& token : tokens)
    if (token.index > 0) gaps_.add(token.gap_ns);
}

void Recorder::finished(const engine::Finished& end, std::span<const requests::Token>) {
  ends_.push_back(end);
}

std::vector<engine::Finished> Recorder::take_new() {
  std::vector<engine::Finished> fresh(ends_.begin() + static_cast<std::ptrdiff_t>(taken_), ends_.end());
  taken_ = ends_.size();
  return fresh;
}

void Recorder::summarise(Summary& s) const {
  std::vector<std::uint64_t> first, whole, gaps;
  for (const engine::Finished& end : ends_) {
    switch (end.finish) {
      case SL_FINISH_LENGTH:
      case SL_FINISH_STOP: ++s.completed; break;
      case SL_FINISH_CANCELLED: ++s.cancelled; break;
      case SL_FINISH_DEADLINE: ++s.deadline; break;
      case SL_FINISH_REJECTED: ++s.rejected; break;
      default: ++s.failed; break;
    }
    for (std::size_t i = 0; i < observe::kCauses; ++i) s.causes[i] += end.causes[i];
    if (end.first_token_ns == 0) continue;
    first.push_back(end.first_token_ns - end.arrival_ns);
    if (end.finish == SL_FINISH_LENGTH || end.finish == SL_FINISH_STOP)
      whole.push_back(end.end_ns - end.arrival_ns);
    if (end.output_tokens > 1) gaps.push_back(end.longest_gap_ns);
  }
  s.first_token = percentiles(std::move(first));
  s.end_to_end = percentiles(std::move(whole));
  s.longest_gap_p99 = percentiles(std::move(gaps)).p99;
  s.between_p50 = gaps_.percentile_ms(50);
  s.between_p90 = gaps_.percentile_ms(90);
  s.between_p99 = gaps_.percentile_ms(99);
}

namespace {

using Cell = std::function<std::string(const Summary&)>;
using Number = std::function<double(const Summary&)>;

std::string show(double value) {
  if (value == std::floor(value) && value < 1e15) return fmt::format("{:.0f}", value);
  if (value >= 1000) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}f}", value, value >= 100 ? 1 : value >= 10 ? 2 : 3);
}

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

struct Row {
  std::string label, key;  // shown, in JSON
  Number value;
  bool always = false;  // shown though it is zero everywhere
};

std::vector<Row> rows() {
  using S = const Summary&;
  std::vector<Row> all = {
      {"requests completed", "completed", [](S s) { return static_cast<double>(s.completed); }, true},
      {"  rejected", "rejected", [](S s) { return static_cast<double>(s.rejected); }},
      {"  cancelled", "cancelled", [](S s) { return static_cast<double>(s.cancelled); }},
      {"  past their deadline", "deadline", [](S s) { return static_cast<double>(s.deadline); }},
      {"  failed", "failed", [](S s) { return static_cast<double>(s.failed); }},
      {"  dropped (empty, or beyond the context)", "dropped",
       [](S s) { return static_cast<double>(s.dropped); }, true},
      {"  unfinished", "unfinished", [](S s) { return static_cast<double>(s.unfinished); }},
      {"simulated time, s", "seconds", [](S s) { return s.seconds; }, true},
      {"first token p50, ms", "first_token_p50_ms", [](S s) { return s.first_token.p50; }, true},
      {"first token p90, ms", "first_token_p90_ms", [](S s) { return s.first_token.p90; }, true},
      {"first token p99, ms", "first_token_p99_ms", [](S s) { return s.first_token.p99; }, true},
      {"between tokens p50, ms", "between_tokens_p50_ms", [](S s) { return s.between_p50; }, true},
      {"between tokens p90, ms", "between_tokens_p90_ms", [](S s) { return s.between_p90; }, true},
      {"between tokens p99, ms", "between_tokens_p99_ms", [](S s) { return s.between_p99; }, true},
      {"longest gap of a request p99, ms", "longest_gap_p99_ms", [](S s) { return s.longest_gap_p99; }, true},
      {"end to end p50, ms", "end_to_end_p50_ms", [](S s) { return s.end_to_end.p50; }, true},
      {"end to end p90, ms", "end_to_end_p90_ms", [](S s) { return s.end_to_end.p90; }, true},
      {"end to end p99, ms", "end_to_end_p99_ms", [](S s) { return s.end_to_end.p99; }, true},
      {"output tokens/s", "output_tokens_per_s",
       [](S s) { return ratio(static_cast<double>(s.counters.output_tokens), s.seconds); }, true},
      {"steps", "steps", [](S s) { return static_cast<double>(s.counters.steps); }, true},
      {"rows a batch, mean", "batch_rows_mean",
       [](S s) {
         return ratio(static_cast<double>(s.counters.batch_rows), static_cast<double>(s.counters.steps));
       },
       true},
      {"device busy, %", "device_busy_percent",
       [](S s) { return 100 * ratio(static_cast<double>(s.counters.device_ns) * 1e-9, s.seconds); }, true},
      {"prefix hit tokens, % of prompt", "prefix_hit_percent",
       [](S s) {
         return 100 * ratio(static_cast<double>(s.counters.hit_tokens),
                            static_cast<double>(s.counters.prompt_tokens));
       },
       true},
      {"preemptions", "preemptions", [](S s) { return static_cast<double>(s.counters.preemptions); }, true},
      {"recomputed tokens", "recomputed_tokens",
       [](S s) { return static_cast<double>(s.counters.recomputed_tokens); }, true},
      {"evicted blocks", "evicted_blocks", [](S s) { return static_cast<double>(s.counters.evicted_blocks); },
       true},
      {"answers taken by the fallback", "fallbacks",
       [](S s) {
         double sum = 0;
         for (const auto& [what, count] : s.counters.fallbacks) sum += static_cast<double>(count);
         return sum;
       },
       true},
      {"policies ejected", "ejected", [](S s) { return static_cast<double>(s.counters.ejected); }},
      {"hot swaps", "swaps", [](S s) { return static_cast<double>(s.counters.swaps); }},
      {"failed steps", "failed_steps", [](S s) { return static_cast<double>(s.counters.failed_steps); }},
      {"wall time, s", "wall_seconds", [](S s) { return s.wall_seconds; }, true},
  };
  for (std::size_t i = 0; i < observe::kCauses; ++i) {
    const char* name = observe::name_of(static_cast<observe::Cause>(i));
    all.push_back({fmt::format("time in {}, %", name), fmt::format("cause_{}_percent", name), [i](S s) {
                     return 100 * ratio(static_cast<double>(s.causes[i]),
                                        static_cast<double>(observe::sum(s.causes)));
                   }});
  }
  return all;
}

}  // namespace

std::string table(const std::vector<Summary>& runs) {
  std::string out;
  const auto line = [&](const std::string& label, const std::function<std::string(const Summary&)>& cell) {
    out += fmt::format("{:<44}", label);
    for (const Summary& run : runs)
      out += fmt::format("{:>{}}", cell(run),
                         2 + std::max({std::size_t{14}, run.name.size(), run.policies.size()}));
    out += '\n';
  };
  line("", [](const Summary& s) { return s.name; });
  line("policies", [](const Summary& s) { return s.policies; });
  for (const Row& row : rows()) {
    if (!row.always &&
        std::all_of(runs.begin(), runs.end(), [&](const Summary& s) { return row.value(s) == 0; }))
      continue;
    line(row.label, [&](const Summary& s) { return show(row.value(s)); });
  }
  for (const Summary& run : runs) {
    for (const auto& [what, count] : run.counters.fallbacks) {
      const char* reason = policy::core_reason_name(what.second);
      out += fmt::format("{}: fallback answered {} x for the {}: {}\n", run.name, count,
                         policy::name_of(static_cast<policy::Kind>(what.first)),
                         reason == nullptr ? "?" : reason);
    }
    for (const std::string& incident : run.incidents) out += fmt::format("{}: {}\n", run.name, incident);
  }
  return out;
}

std::string to_json(const std::vector<Summary>& runs) {
  std::string out = "[";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    out += fmt::format("{}\n  {{\"name\": {}, \"policies\": {}", i == 0 ? "" : ",",
                       nlohmann::json(runs[i].name).dump(), nlohmann::json(runs[i].policies).dump());
    for (const Row& row : rows()) {
      std::string key = row.key;
      std::replace(key.begin(), key.end(), ' ', '_');
      out += fmt::format(", \"{}\": {}", key, row.value(runs[i]));
    }
    out += "}";
  }
  return out + "\n]\n";
}

}  // namespace serveloop::experiment
