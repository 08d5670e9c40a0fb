// The table of keys: [workload] and the tables in it.
#include "config/config.hpp"
#include "config/schema.hpp"

namespace serveloop::config {
namespace {

constexpr double kMaxTokens = 1 << 24;
constexpr double kTinyScale = 1e-4, kHugeScale = 1e4;

template <auto Member>
void* workload_part(void* root, const std::string&) {
  return &(static_cast<Config*>(root)->workload.*Member);
}

void* workload(void* root, const std::string&) { return &static_cast<Config*>(root)->workload; }

std::vector<Key> trace_keys() {
  return {
      choice<&Workload::source>("source", "trace|synthetic",
                                "Where requests come from; `trace` where the key `trace` is stated."),
      special<&Workload::trace>("trace", Kind::path,
                                "File of the trace; its requests may stand in any order of their times."),
      choice<&Workload::format>(
          "format", "azure|mooncake",
          "Format of the trace; by default told by its name: `.csv` is azure, `.jsonl` mooncake."),
      number<&Workload::window>(
          "window", 0, 1e9, "s",
          "`[from, to)`: the part of the trace to play, in its own seconds from its start."),
      number<&Workload::limit>("limit", 1, kMost, "requests", "Of a trace: stop after so many."),
      number<&Workload::prompt_scale>("prompt_scale", kTinyScale, kHugeScale, "",
                                      "Of a trace: factor on prompt lengths."),
      number<&Workload::output_scale>("output_scale", kTinyScale, kHugeScale, "",
                                      "Of a trace: factor on output lengths."),
  };
}

std::vector<Key> synthetic_keys() {
  return {
      choice<&Workload::arrival>(
          "arrival", "poisson|gamma|closed",
          "Synthetic arrivals: open with exponential or gamma gaps, or closed: each client "
          "sends its next request after the answer."),
      number<&Workload::rate_per_second>("rate_per_second", 1e-6, 1e7, "requests/s",
                                         "Mean rate of `poisson` and `gamma`."),
      number<&Workload::cv>("cv", 0.01, 100, "",
                            "Of `gamma`: standard deviation of the gaps over their mean; above 1 is bursty."),
      number<&Workload::concurrency>("concurrency", 1, 1 << 20, "clients", "Of `closed`: clients."),
      number<&Workload::think_time_s>("think_time_s", 0, 1e6, "s",
                                      "Of `closed`: mean of a client's exponential pause after an answer."),
      number<&Workload::requests>("requests", 1, 1e9, "requests", "Of a synthetic stream: how many."),
  };
}

std::vector<Key> label_keys() {
  return {
      number<&Workload::rate_scale>(
          "rate_scale", kTinyScale, kHugeScale, "",
          "Factor on the arrival rate: 2 plays a trace twice as fast, with closed clients "
          "it divides their pauses."),
      number<&Workload::tenants>(
          "tenants", 0, 1e9, "",
          "Tenants to draw from, with their shares: `{ a = 3, b = 1 }`; empty = none."),
      number<&Workload::categories>("categories", 0, 1e9, "", "Categories to draw from, with their shares."),
      number<&Workload::n>("n", 1, 128, "sequences", "Sequences a request (they share its prompt)."),
      number<&Workload::seed>("seed", 0, kMost, "", "Seed of every draw."),
  };
}

std::vector<Key> length_keys() {
  return {
      choice<&Lengths::distribution>(
          "distribution", "lognormal|uniform|fixed",
          "`lognormal` by mean and cv, `uniform` from min to max, `fixed` at the mean."),
      number<&Lengths::mean_tokens>("mean_tokens", 1, kMaxTokens, "tokens",
                                    "Mean before the cut to min and max."),
      number<&Lengths::cv>("cv", 0, 100, "", "Of `lognormal`: standard deviation over mean."),
      number<&Lengths::min_tokens>("min_tokens", 1, kMaxTokens, "tokens", "Shortest."),
      number<&Lengths::max_tokens>("max_tokens", 1, kMaxTokens, "tokens", "Longest."),
  };
}

}  // namespace

std::vector<Section> workload_sections() {
  std::vector<Key> keys = trace_keys();
  for (auto& more : {synthetic_keys(), label_keys()}) keys.insert(keys.end(), more.begin(), more.end());
  return {
      {"workload", Repeat::once,
       "Which requests arrive, and when: a trace or a synthetic stream. Requests longer than "
       "`engine.context_tokens` are dropped and counted; one that the context could hold and the KV pool "
       "could "
       "not, even alone, is an error.",
       "", workload, no_records, keys},
      {"workload.prompt", Repeat::once, "Prompt lengths of a synthetic stream.", "",
       workload_part<&Workload::prompt>, no_records, length_keys()},
      {"workload.output", Repeat::once, "Output lengths of a synthetic stream.", "",
       workload_part<&Workload::output>, no_records, length_keys()},
      {"workload.deadlines",
       Repeat::once,
       "Deadlines that requests carry.",
       "",
       workload_part<&Workload::deadlines>,
       no_records,
       {number<&Deadlines::ttft_ms>("ttft_ms", 0.001, 1e9, "ms", "First token, from arrival; unset = none."),
        number<&Deadlines::tbt_ms>("tbt_ms", 0.001, 1e9, "ms", "Between two tokens; unset = none."),
        number<&Deadlines::end_ms>("end_ms", 0.001, 1e9, "ms",
                                   "Last token, from arrival: the request is cut there; unset = none."),
        number<&Deadlines::share>("share", 0, 1, "", "Share of the requests that carry them.")}},
      {"workload.shared_prefix",
       Repeat::once,
       "Prompts that open alike: each request that takes part opens with the prefix of one group.",
       "",
       workload_part<&Workload::shared_prefix>,
       no_records,
       {number<&SharedPrefix::groups>("groups", 0, 1 << 20, "groups", "Different prefixes; 0 = none."),
        number<&SharedPrefix::tokens>("tokens", 0, kMaxTokens, "tokens",
                                      "Length of a prefix; cut to the prompt."),
        number<&SharedPrefix::share>("share", 0, 1, "", "Share of the requests that take part.")}},
  };
}

}  // namespace serveloop::config
