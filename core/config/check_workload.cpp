#include "config/check_workload.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace serveloop::config {
namespace {

using toml::Value;

// Keys that mean something to one source alone; all others hold for both.
constexpr std::array kOfTrace{"trace", "format", "window", "limit", "prompt_scale", "output_scale"};
constexpr std::array kOfStream{"arrival",      "rate_per_second", "cv",     "concurrency",
                               "think_time_s", "requests",        "prompt", "output"};

// Of the source that is not this one.
std::span<const char* const> foreign_keys(const std::string& source) {
  if (source == "trace") return kOfStream;
  if (source == "synthetic") return kOfTrace;
  return {};
}

Status check_foreign(const Workload& load, const Places& places) {
  const bool trace = load.source == "trace";
  for (const char* name : foreign_keys(load.source)) {
    const std::string key = std::string("workload.") + name;
    if (!places.states(key)) continue;
    if (key == "workload.trace")
      return fail(places.named(key), "none beside source = \"synthetic\"", "both",
                  "remove one of them; on the command line, --set 'workload={...}' replaces the whole table");
    std::string hint = std::string("remove it: it is of ") + (trace ? "a synthetic stream" : "a trace");
    if (key == "workload.requests") hint += "; `limit` ends a trace early";
    if (key == "workload.rate_per_second") hint += "; `rate_scale` plays a trace faster";
    if (key == "workload.limit") hint += "; `requests` is the length of a stream";
    return fail(places.named(key), trace ? "none beside a trace" : "none beside source = \"synthetic\"",
                "one", std::move(hint));
  }
  return {};
}

Status check_trace(Workload& load, const Places& places) {
  if (load.trace.empty()) return fail(places.named("workload.trace"), "the path of a trace", "none");
  if (!load.format.empty()) return {};
  if (load.trace.ends_with(".csv")) load.format = "azure";
  if (load.trace.ends_with(".jsonl")) load.format = "mooncake";
  if (!load.format.empty()) return {};
  const char* key = "workload.format";
  return fail(places.of_command_line("workload.trace") ? places.named("workload.trace") + ": " + key
                                                       : places.named(key),
              "azure | mooncake", "none", "the name of the trace does not tell");
}

Status check_source(Workload& load, const Places& places) {
  if (load.source.empty() && !load.trace.empty()) load.source = "trace";
  if (load.source.empty()) {
    // What a writer dumps of no workload holds defaults only.
    if (!places.states("workload") || load == Workload()) return {};
    return fail(places.named("workload"), "trace = \"PATH\" or source = \"synthetic\"", "neither");
  }
  if (Status alone = check_foreign(load, places); !alone) return alone;
  if (load.source == "trace") return check_trace(load, places);
  if (load.arrival == "closed" && !load.concurrency) {
    return fail(places.named("workload.concurrency"), "a number of clients for arrival = \"closed\"", "none");
  }
  if (load.arrival != "closed" && !load.rate_per_second) {
    return fail(places.named("workload.rate_per_second"), "a rate for arrival = \"" + load.arrival + "\"",
                "none");
  }
  return {};
}

Status check_draws(const Workload& load, const Places& places) {
  const std::pair<const char*, const Lengths*> lengths[] = {{"prompt", &load.prompt},
                                                            {"output", &load.output}};
  for (const auto& [name, length] : lengths) {
    if (length->min_tokens <= length->max_tokens) continue;
    return fail(places.named(std::string("workload.") + name + ".min_tokens"),
                "at most max_tokens, " + std::to_string(length->max_tokens),
                std::to_string(length->min_tokens));
  }
  const std::pair<const char*, const std::map<std::string, double>*> shares[] = {
      {"workload.tenants", &load.tenants}, {"workload.categories", &load.categories}};
  for (const auto& [name, map] : shares) {
    const bool some =
        std::any_of(map->begin(), map->end(), [](const auto& share) { return share.second > 0; });
    if (!map->empty() && !some) return fail(places.named(name), "a share above 0", "none");
  }
  if (load.shared_prefix.groups > 0 && load.shared_prefix.tokens == 0) {
    return fail(places.named("workload.shared_prefix.tokens"), "at least 1 for prefixes in groups", "0");
  }
  return {};
}

}  // namespace

Status check_workload(Workload& workload, const Places& places) {
  if (Status source = check_source(workload, places); !source) return source;
  return check_draws(workload, places);
}

void keep_workload_keys(Value& document, const Workload& workload) {
  const std::span<const char* const> foreign = foreign_keys(workload.source);
  Value kept;
  for (const toml::Entry& entry : document["workload"].entries())
    if (std::find(foreign.begin(), foreign.end(), entry.key) == foreign.end()) kept[entry.key] = entry.value;
  document["workload"] = std::move(kept);
}

}  // namespace serveloop::config
