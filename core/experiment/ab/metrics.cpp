#include "experiment/ab/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/suggest.hpp"

namespace serveloop::experiment::ab {

namespace {

using Sequence = const SequenceResult*;
using Maybe = std::optional<Share>;

double ms(std::uint64_t ns) { return static_cast<double>(ns) * 1e-6; }

const Quantity kFirstToken{Population::both, [](Sequence s) -> Maybe {
                             if (s->output_tokens == 0) return {};
                             return Share{ms(s->first_token_ns)};
                           }};
// Of a request, without the first one.
const Quantity kTimePerToken{
    Population::both, [](Sequence s) -> Maybe {
      if (s->output_tokens < 2) return {};
      return Share{ms(s->last_token_ns - s->first_token_ns) / (s->output_tokens - 1)};
    }};
const Quantity kLongestGap{Population::both, [](Sequence s) -> Maybe {
                             if (s->output_tokens < 2) return {};
                             return Share{ms(s->longest_gap_ns)};
                           }};
const Quantity kEndToEnd{Population::both, [](Sequence s) -> Maybe { return Share{ms(s->end_ns)}; }};
const Quantity kCompleted{Population::all, [](Sequence s) -> Maybe {
                            return Share{s != nullptr && s->outcome == Outcome::completed ? 100.0 : 0.0};
                          }};
const Quantity kGoodput{Population::all, [](Sequence s) -> Maybe {
                          if (s == nullptr || s->deadlines == Kept::none) return {};
                          return Share{s->deadlines == Kept::yes ? 100.0 : 0.0};
                        }};
const Quantity kPreemptions{Population::all,
                            [](Sequence s) -> Maybe { return Share{s == nullptr ? 0.0 : s->preemptions}; }};
const Quantity kRecomputed{
    Population::all, [](Sequence s) -> Maybe { return Share{s == nullptr ? 0.0 : s->recomputed_tokens}; }};
const Quantity kHits{Population::all, [](Sequence s) -> Maybe {
                       if (s == nullptr || s->prompt_tokens == 0) return {};
                       return Share{100.0 * s->hit_tokens, static_cast<double>(s->prompt_tokens)};
                     }};

// Its mean and three percentiles.
void add_latency(std::vector<Metric>& all, const char* key, const char* label, const Quantity& of) {
  all.push_back({fmt::format("{}_mean_ms", key), fmt::format("{} mean, ms", label), true, &of});
  for (const int p : {50, 90, 99})
    all.push_back({fmt::format("{}_p{}_ms", key, p), fmt::format("{} p{}, ms", label, p), true, &of,
                   static_cast<double>(p)});
}

}  // namespace

const std::vector<Metric>& metrics() {
  static const std::vector<Metric> all = [] {
    std::vector<Metric> out;
    add_latency(out, "first_token", "first token", kFirstToken);
    add_latency(out, "time_per_token", "time per token", kTimePerToken);
    out.push_back({"longest_gap_p99_ms", "longest gap of a request p99, ms", true, &kLongestGap, 99});
    add_latency(out, "end_to_end", "end to end", kEndToEnd);
    out.push_back({"completed_percent", "requests completed, %", false, &kCompleted, 0, 100});
    out.push_back({"goodput_percent", "deadlines kept, %", false, &kGoodput});
    out.push_back({"preemptions_per_request", "preemptions a request", true, &kPreemptions});
    out.push_back({"recomputed_tokens_per_request", "recomputed tokens a request", true, &kRecomputed});
    out.push_back({"prefix_hit_percent", "prefix hit tokens, % of prompt", false, &kHits});
    out.push_back({"output_tokens_per_s", "output tokens/s", false, nullptr});
    out.push_back({"fairness_percent", "fairness among tenants, %", false, nullptr});
    for (const char* of : {"mean", "p50", "p90", "p99"})
      out.push_back({fmt::format("program_{}_ms", of), fmt::format("program {}, ms", of), true, nullptr});
    out.push_back({"host_us_per_step", "host time of a step, us", true, nullptr, 0, 0, true});
    return out;
  }();
  return all;
}

Status check_metrics(const std::vector<std::string>& keys) {
  std::vector<std::string> known;
  for (const Metric& metric : metrics()) known.push_back(metric.key);
  for (const std::string& key : keys)
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail("ab.metrics", "names of metrics", "'" + key + "'", did_you_mean(key, known));
  return {};
}

}  // namespace serveloop::experiment::ab
