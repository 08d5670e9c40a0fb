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

// Of [workload.x.<id>]: a map of records.
template <auto Member>
void* add_named(void* root, const std::string& id) {
  return &(static_cast<Config*>(root)->workload.*Member)[id];
}

template <auto Member>
std::vector<std::pair<std::string, void*>> named(void* root) {
  std::vector<std::pair<std::string, void*>> out;
  for (auto& [id, record] : static_cast<Config*>(root)->workload.*Member) out.emplace_back(id, &record);
  return out;
}

std::vector<Key> trace_keys() {
  return {
      choice<&Workload::source>("source", "trace|synthetic|sessions|programs",
                                "Where requests come from; `trace` where the key `trace` is stated."),
      special<&Workload::trace>("trace", Kind::path,
                                "File of the trace; its requests may stand in any order of their times."),
      choice<&Workload::format>(
          "format", "azure|mooncake|serveloop|step_log",
          "Format of the trace; by default told by its name: `.csv` is azure, `.jsonl` mooncake, `.slog` "
          "step_log. `serveloop`: what `replay --workload` writes."),
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
          "Arrivals of requests, sessions or programs: open with exponential or gamma gaps, or, of requests, "
          "closed: each client sends its next one after the answer."),
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

std::vector<Key> chain_keys() {
  return {number<&Workload::count>("count", 1, 1e9, "", "Of sessions and programs: how many begin.")};
}

std::vector<Key> label_keys() {
  return {
      number<&Workload::rate_scale>(
          "rate_scale", kTinyScale, kHugeScale, "",
          "Factor on the arrival rate: 2 plays a trace twice as fast; with closed clients, sessions and "
          "programs it divides their pauses, too."),
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

constexpr double kLongestMs = 1e9, kLongestPauseS = 1e6, kMostStages = 1024, kMostFanOut = 1024;

Section sessions_section() {
  return {"workload.sessions",
          Repeat::once,
          "With `source = \"sessions\"`: each is a chain of turns, of which the prompt is the whole history, "
          "with "
          "what was generated, and new tokens.",
          "",
          workload_part<&Workload::sessions>,
          no_records,
          {number<&Sessions::turns>("turns", 1, kMostStages, "turns", "Turns of a session."),
           number<&Sessions::think_time_s>("think_time_s", 0, kLongestPauseS, "s",
                                           "From the end of a turn to the next.")}};
}

Section programs_section() {
  using P = ProgramKind;
  return {
      "workload.programs",
      Repeat::by_id,
      "With `source = \"programs\"`: a kind of them. A program is a chain of stages; the calls of a stage "
      "run side "
      "by side, and the next stage begins when all have ended and its tools have run.",
      "",
      add_named<&Workload::programs>,
      named<&Workload::programs>,
      {number<&P::share>("share", 0, 1e9, "", "Its share of the programs, by weight."),
       number<&P::system_tokens>("system_tokens", 0, kMaxTokens, "tokens",
                                 "Prefix with which every prompt of this kind opens."),
       number<&P::stages>("stages", 1, kMostStages, "stages", "Stages of a program."),
       number<&P::fan_out>("fan_out", 1, kMostFanOut, "calls", "Calls of a stage, side by side."),
       number<&P::prompt_tokens>("prompt_tokens", 1, kMaxTokens, "tokens", "New tokens of a call's prompt."),
       number<&P::output_tokens>("output_tokens", 1, kMaxTokens, "tokens", "Output of a call."),
       number<&P::tool_time_s>("tool_time_s", 0, kLongestPauseS, "s",
                               "From the end of a stage to the next: its tools run."),
       plain<&P::history>("history",
                          "A call's prompt holds the prompts and outputs of all stages before; else the "
                          "prefix and new tokens alone.")}};
}

Section deadlines_section() {
  return {"workload.deadlines",
          Repeat::once,
          "Deadlines that requests carry.",
          "",
          workload_part<&Workload::deadlines>,
          no_records,
          {number<&Deadlines::ttft_ms>("ttft_ms", 0.001, kLongestMs, "ms",
                                       "First token, from arrival; unset = none."),
           number<&Deadlines::ttft_ms_per_1k_tokens>(
               "ttft_ms_per_1k_tokens", 0.001, kLongestMs, "ms",
               "First token, for each 1,000 tokens of the prompt; added to `ttft_ms` where both are stated."),
           number<&Deadlines::tbt_ms>("tbt_ms", 0.001, kLongestMs, "ms", "Between two tokens; unset = none."),
           number<&Deadlines::end_ms>("end_ms", 0.001, kLongestMs, "ms",
                                      "Last token, from arrival: the request is cut there; unset = none."),
           number<&Deadlines::share>("share", 0, 1, "", "Share of the requests that carry them.")}};
}

Section classes_section() {
  using C = RequestClass;
  return {"workload.classes",
          Repeat::by_id,
          "A class of requests, drawn by share; each request is of one. Not beside `workload.categories` and "
          "`workload.deadlines`, which a class states for itself.",
          "",
          add_named<&Workload::classes>,
          named<&Workload::classes>,
          {number<&C::share>("share", 0, 1e9, "", "Its share of the requests, by weight."),
           number<&C::priority>("priority", -1000000, 1000000, "",
                                "Their priority; higher goes first; unset: what the priority rules say."),
           plain<&C::category>("category", "Their category; unset: the class's name."),
           plain<&C::tenant>("tenant", "Their tenant; unset: as drawn from `workload.tenants`."),
           number<&C::ttft_ms>("ttft_ms", 0.001, kLongestMs, "ms",
                               "Deadline of the first token, from arrival; unset = none."),
           number<&C::ttft_ms_per_1k_tokens>(
               "ttft_ms_per_1k_tokens", 0.001, kLongestMs, "ms",
               "The same for each 1,000 tokens of the prompt; added to `ttft_ms` where both are stated."),
           number<&C::tbt_ms>("tbt_ms", 0.001, kLongestMs, "ms",
                              "Deadline of each token, from the one before; unset = none."),
           number<&C::end_ms>("end_ms", 0.001, kLongestMs, "ms",
                              "Last token, from arrival: the request is cut there; unset = none.")}};
}

Section predictions_section() {
  return {"workload.predictions",
          Repeat::once,
          "Predicted output lengths that requests carry: the true length x `bias` x a lognormal error. The "
          "p90 and p99 are that error's around the p50.",
          "",
          workload_part<&Workload::predictions>,
          no_records,
          {number<&Predictions::noise>("noise", 0, 10, "",
                                       "Standard deviation of the error's logarithm; 0: exact; unset: no "
                                       "request carries a prediction."),
           number<&Predictions::bias>("bias", 0.001, 1000, "", "Factor on every prediction."),
           number<&Predictions::share>("share", 0, 1, "", "Share of the requests that carry one.")}};
}

Section bursts_section() {
  return {"workload.bursts",
          Repeat::once,
          "Bursts in the arrivals of an open loop: each period of `every_s` ends with one. The mean rate and "
          "the order stay. Seconds are those of the run, after `rate_scale`.",
          "",
          workload_part<&Workload::bursts>,
          no_records,
          {number<&Bursts::every_s>("every_s", 0, 1e9, "s", "Length of a period; 0: no bursts."),
           number<&Bursts::length_s>("length_s", 0, 1e9, "s", "Length of the burst that ends it."),
           number<&Bursts::factor>("factor", 1, 1e6, "",
                                   "In a burst arrivals come so many times as fast as outside.")}};
}

}  // namespace

std::vector<Section> workload_sections() {
  std::vector<Key> keys = trace_keys();
  for (auto& more : {synthetic_keys(), chain_keys(), label_keys()})
    keys.insert(keys.end(), more.begin(), more.end());
  return {
      {"workload", Repeat::once,
       "Which requests arrive, and when: a trace, a synthetic stream, sessions or programs. Requests longer "
       "than "
       "`engine.context_tokens` are dropped and counted; one that the context could hold and the KV pool "
       "could "
       "not, even alone, is an error.",
       "", workload, no_records, keys},
      {"workload.prompt", Repeat::once,
       "Prompt lengths of a synthetic stream; of sessions: of the new tokens of a turn.", "",
       workload_part<&Workload::prompt>, no_records, length_keys()},
      {"workload.output", Repeat::once, "Output lengths of a synthetic stream and of sessions.", "",
       workload_part<&Workload::output>, no_records, length_keys()},
      sessions_section(),
      programs_section(),
      classes_section(),
      deadlines_section(),
      predictions_section(),
      bursts_section(),
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
