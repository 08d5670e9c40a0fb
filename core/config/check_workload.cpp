#include "config/check_workload.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace serveloop::config {
namespace {

using toml::Value;

std::string shown(double number) { return toml::to_inline(Value(number)); }

// Keys that mean something to some sources alone; all others hold for each.
struct OwnedKey {
  const char* name;
  std::array<const char*, 3> owners;  // sources; null: no more
};
constexpr std::array kOwned{OwnedKey{"trace", {"trace"}},
                            OwnedKey{"format", {"trace"}},
                            OwnedKey{"window", {"trace"}},
                            OwnedKey{"limit", {"trace"}},
                            OwnedKey{"prompt_scale", {"trace"}},
                            OwnedKey{"output_scale", {"trace"}},
                            OwnedKey{"arrival", {"synthetic", "sessions", "programs"}},
                            OwnedKey{"rate_per_second", {"synthetic", "sessions", "programs"}},
                            OwnedKey{"cv", {"synthetic", "sessions", "programs"}},
                            OwnedKey{"concurrency", {"synthetic"}},
                            OwnedKey{"think_time_s", {"synthetic"}},
                            OwnedKey{"requests", {"synthetic"}},
                            OwnedKey{"prompt", {"synthetic", "sessions"}},
                            OwnedKey{"output", {"synthetic", "sessions"}},
                            OwnedKey{"count", {"sessions", "programs"}},
                            OwnedKey{"sessions", {"sessions"}},
                            OwnedKey{"programs", {"programs"}}};

bool is_of(const OwnedKey& key, const std::string& source) {
  return source.empty() || std::any_of(key.owners.begin(), key.owners.end(), [&](const char* owner) {
           return owner != nullptr && source == owner;
         });
}

const char* name_of(std::string_view source) {
  return source == "trace" ? "a trace" : source == "synthetic" ? "a synthetic stream" : source.data();
}

std::string hint_beside(const std::string& source, const std::string& key, const OwnedKey& owned) {
  std::string hint = std::string("remove it: it is of ") + name_of(owned.owners.front());
  if (key == "workload.requests")
    hint += source == "trace" ? "; `limit` ends a trace early" : "; `count` says how many begin";
  if (key == "workload.rate_per_second") hint += "; `rate_scale` plays a trace faster";
  if (key == "workload.limit")
    hint +=
        source == "synthetic" ? "; `requests` is the length of a stream" : "; `count` says how many begin";
  if (key == "workload.think_time_s" && source == "sessions") hint += "; `sessions.think_time_s` is theirs";
  return hint;
}

Status check_foreign(const Workload& load, const Places& places) {
  const std::string beside =
      load.source == "trace" ? "none beside a trace" : "none beside source = \"" + load.source + "\"";
  for (const OwnedKey& owned : kOwned) {
    const std::string key = std::string("workload.") + owned.name;
    if (is_of(owned, load.source) || !places.states(key)) continue;
    if (key == "workload.trace")
      return fail(places.named(key), beside, "both",
                  "remove one of them; on the command line, --set 'workload={...}' replaces the whole table");
    return fail(places.named(key), beside, "one", hint_beside(load.source, key, owned));
  }
  return {};
}

Status check_trace(Workload& load, const Places& places) {
  if (load.trace.empty()) return fail(places.named("workload.trace"), "the path of a trace", "none");
  if (!load.format.empty()) return {};
  if (load.trace.ends_with(".csv")) load.format = "azure";
  if (load.trace.ends_with(".jsonl")) load.format = "mooncake";
  if (load.trace.ends_with(".slog")) load.format = "step_log";
  if (!load.format.empty()) return {};
  const char* key = "workload.format";
  return fail(places.of_command_line("workload.trace") ? places.named("workload.trace") + ": " + key
                                                       : places.named(key),
              "azure | mooncake | serveloop | step_log", "none", "the name of the trace does not tell");
}

// Sessions and programs.
Status check_chains(const Workload& load, const Places& places) {
  if (load.arrival == "closed")
    return fail(places.named("workload.arrival"), "poisson | gamma for " + load.source, "\"closed\"");
  if (!load.rate_per_second)
    return fail(places.named("workload.rate_per_second"), "a rate at which " + load.source + " begin",
                "none");
  if (load.source == "sessions") return {};
  const bool some = std::any_of(load.programs.begin(), load.programs.end(),
                                [](const auto& kind) { return kind.second.share > 0; });
  if (some) return {};
  return fail(places.named("workload.programs"), "a kind of program with a share above 0",
              load.programs.empty() ? "none" : "shares of 0",
              "add a table [workload.programs.NAME]; every key in it has a default");
}

Status check_source(Workload& load, const Places& places) {
  if (load.source.empty() && !load.trace.empty()) load.source = "trace";
  if (load.source.empty()) {
    // What a writer dumps of no workload holds defaults only.
    if (!places.states("workload") || load == Workload()) return {};
    return fail(places.named("workload"), kSourceForm, "neither");
  }
  if (Status alone = check_foreign(load, places); !alone) return alone;
  if (load.source == "trace") return check_trace(load, places);
  if (load.source != "synthetic") return check_chains(load, places);
  if (load.arrival == "closed" && !load.concurrency) {
    return fail(places.named("workload.concurrency"), "a number of clients for arrival = \"closed\"", "none");
  }
  if (load.arrival != "closed" && !load.rate_per_second) {
    return fail(places.named("workload.rate_per_second"), "a rate for arrival = \"" + load.arrival + "\"",
                "none");
  }
  return {};
}

Status check_bursts(const Workload& load, const Places& places) {
  const Bursts& bursts = load.bursts;
  if (bursts == Bursts()) return {};
  if (bursts.every_s == 0)
    return fail(places.named("workload.bursts.every_s"), "a period for bursts", "none");
  if (bursts.length_s <= 0 || bursts.length_s >= bursts.every_s)
    return fail(places.named("workload.bursts.length_s"),
                "more than 0 and less than every_s, " + shown(bursts.every_s), shown(bursts.length_s));
  if (load.source == "synthetic" && load.arrival == "closed")
    return fail(places.named("workload.bursts"), "none beside arrival = \"closed\"", "one",
                "remove it: closed clients wait for their answers");
  return {};
}

Status check_predictions(const Workload& load, const Places& places) {
  if (load.predictions.noise || load.predictions == Predictions()) return {};
  return fail(places.named("workload.predictions.noise"), "a noise beside bias and share", "none",
              "noise = 0 predicts exactly");
}

Status check_classes(const Workload& load, const Places& places) {
  if (load.classes.empty()) return {};
  const bool some = std::any_of(load.classes.begin(), load.classes.end(),
                                [](const auto& one) { return one.second.share > 0; });
  if (!some) return fail(places.named("workload.classes"), "a share above 0", "none");
  if (!load.categories.empty())
    return fail(places.named("workload.categories"), "none beside classes", "one",
                "state `category` in each class; without it the class's name is its category");
  if (load.deadlines != Deadlines())
    return fail(places.named("workload.deadlines"), "none beside classes", "one",
                "state the deadlines in each class");
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
  for (const auto check : {check_draws, check_classes, check_predictions, check_bursts})
    if (Status good = check(workload, places); !good) return good;
  return {};
}

void keep_workload_keys(Value& document, const Workload& workload) {
  Value kept;
  for (const toml::Entry& entry : document["workload"].entries()) {
    const bool foreign = std::any_of(kOwned.begin(), kOwned.end(), [&](const OwnedKey& key) {
      return entry.key == key.name && !is_of(key, workload.source);
    });
    if (!foreign) kept[entry.key] = entry.value;
  }
  document["workload"] = std::move(kept);
}

}  // namespace serveloop::config
