// The comparison as JSON. No time of this machine stands in it, so that equal results make equal bytes.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "experiment/ab/report.hpp"

namespace serveloop::experiment::ab {

namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Difference& d, const std::string& arm) {
  Json out = {{"arm", arm}, {"value", d.value}};
  out["baseline_value"] = d.baseline;
  out["difference"] = d.difference;
  out["interval"] = Json::array({d.low, d.high});
  out["percent"] = d.percent;
  out["percent_interval"] = Json::array({d.percent_low, d.percent_high});
  out["compared"] = d.compared;
  out["verdict"] = name_of(d.verdict);
  if (!d.why.empty()) out["why"] = d.why;
  return out;
}

Json json_of(const Comparison& c, std::size_t metric) {
  const Metric& m = *c.metrics[metric];
  Json arms = Json::array();
  for (std::size_t i = 0; i < c.arms.size(); ++i)
    if (i != c.baseline) arms.push_back(json_of(c.arms[i].metrics[metric], c.arms[i].name));
  return {{"key", m.key},
          {"label", m.label},
          {"better", m.lower_is_better ? "lower" : "higher"},
          {"of", m.quantity == nullptr                        ? "runs"
                 : m.quantity->population == Population::both ? "completed in both"
                                                              : "requests"},
          {"baseline", c.arms[c.baseline].metrics[metric].value},
          {"arms", std::move(arms)}};
}

Json json_of(const ArmComparison& arm, const ArmRuns& runs, const config::Arm& asked) {
  Json set = Json::array(), files = Json::array(), outcomes;
  for (const config::Override& one : asked.overrides) set.push_back(one.option);
  for (const RunResult& run : runs.runs)
    files.push_back({{"file", file_of(runs.name, run.repeat)}, {"fingerprint", run.fingerprint}});
  for (std::size_t i = 0; i < kOutcomes; ++i) outcomes[name_of(static_cast<Outcome>(i))] = arm.outcomes[i];
  outcomes["unfinished"] = arm.unfinished;
  return {{"name", arm.name},
          {"set", std::move(set)},
          {"policies", runs.runs.front().policies},
          {"outcomes", std::move(outcomes)},
          {"completed_here_alone", arm.only_here},
          {"completed_in_baseline_alone", arm.only_baseline},
          {"runs", std::move(files)}};
}

Json json_of(const Repeat& repeat) {
  Json out = Json::object();
  out["seed"] = repeat.seed;
  if (repeat.window) out["window_s"] = Json::array({repeat.window->from_s, repeat.window->to_s});
  return out;
}

}  // namespace

std::string file_of(const std::string& arm, std::uint64_t repeat) {
  return fmt::format("{}.{}.jsonl", arm, repeat);
}

std::string to_json(const Comparison& c, const std::vector<std::string>& notes, const Plan& plan,
                    const std::vector<ArmRuns>& runs) {
  Json out = {{"serveloop_ab", 1},
              {"baseline", c.arms[c.baseline].name},
              {"real_time", c.options.real_time},
              {"confidence", c.options.confidence},
              {"resamples", c.options.resamples},
              {"warmup_s", c.options.warmup_s},
              {"block_s", c.block_s},
              {"blocks", c.blocks},
              {"requests", c.sequences},
              {"streams", c.streams}};
  for (std::size_t i = 0; i < c.repeats; ++i) out["repeats"].push_back(json_of(plan.repeats[i]));
  for (std::size_t i = 0; i < c.arms.size(); ++i)
    out["arms"].push_back(json_of(c.arms[i], runs[i], plan.file.arms[i]));
  out["metrics"] = Json::array();
  for (std::size_t i = 0; i < c.metrics.size(); ++i) out["metrics"].push_back(json_of(c, i));
  out["notes"] = notes;
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace serveloop::experiment::ab
