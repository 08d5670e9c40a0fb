// The table of keys of an A/B experiment's file.
#include "config/ab.hpp"
#include "config/schema.hpp"

namespace serveloop::config {

const Schema& ab_schema() {
  static const auto self = [](void* root, const std::string&) { return root; };
  static const auto add_arm = [](void* root, const std::string&) -> void* {
    return &static_cast<AbFile*>(root)->arms.emplace_back();
  };
  static const auto arms = [](void* root) {
    std::vector<std::pair<std::string, void*>> out;
    for (Arm& arm : static_cast<AbFile*>(root)->arms) out.emplace_back("", &arm);
    return out;
  };
  static const auto add_workload = [](void* root, const std::string&) -> void* {
    return &static_cast<AbFile*>(root)->workloads.emplace_back();
  };
  static const auto workloads = [](void* root) {
    std::vector<std::pair<std::string, void*>> out;
    for (AbWorkload& workload : static_cast<AbFile*>(root)->workloads) out.emplace_back("", &workload);
    return out;
  };
  static const Schema schema = {
      {"ab",
       Repeat::once,
       "What all arms share. At most one of `seeds`, `repeats` and `windows` says how often each runs.",
       "",
       self,
       no_records,
       {special<&AbFile::stated, &AbWorkload::base>(
            "base", Kind::path,
            "The configuration that the arms change; required, unless "
            "there are `[[workload]]` tables."),
        plain<&AbFile::baseline>("baseline",
                                 "The arm that the others are compared with; by default the first."),
        number<&AbFile::stated, &AbWorkload::seeds>(
            "seeds", 0, kMost, "", "A repeat for each: it takes the place of `workload.seed`."),
        number<&AbFile::stated, &AbWorkload::repeats>(
            "repeats", 1, 1000, "runs", "So many repeats, with seeds that count up from `workload.seed`."),
        number<&AbFile::stated, &AbWorkload::windows>(
            "windows", 0, 1e9, "s", "A repeat for each part of the trace, in place of `workload.window`."),
        number<&AbFile::stated, &AbWorkload::warmup_s>(
            "warmup_s", 0, 1e9, "s", "Requests that arrive before it run, and are not compared; unset: 0."),
        number<&AbFile::stated, &AbWorkload::block_s>(
            "block_s", 1e-6, 1e9, "s",
            "Length of a block of time that the bootstrap keeps together; unset: as the "
            "results' correlation asks."),
        number<&AbFile::confidence>("confidence", 0.5, 0.999, "", "Of the intervals."),
        number<&AbFile::resamples>("resamples", 200, 100000, "", "Of the bootstrap."),
        plain<&AbFile::metrics>(
            "metrics",
            "Names of the metrics to compare, as in the JSON; empty: all that there is, but for "
            "those of this machine's time.")}},
      {"workload",
       Repeat::list,
       "A workload, where the arms are compared on several, each with a table of its own. `[ab]` has no "
       "`base`, "
       "`seeds`, `repeats` and `windows` then; its `warmup_s` and `block_s` hold where a workload states "
       "none.",
       "",
       add_workload,
       workloads,
       {plain<&AbWorkload::name>(
            "name",
            "Its name in tables and of its folder; unset: that of the base's file, without "
            "`.toml`."),
        special<&AbWorkload::base>("base", Kind::path, "The configuration that the arms change; required."),
        number<&AbWorkload::seeds>("seeds", 0, kMost, "", "As in `[ab]`."),
        number<&AbWorkload::repeats>("repeats", 1, 1000, "runs", "As in `[ab]`."),
        number<&AbWorkload::windows>("windows", 0, 1e9, "s", "As in `[ab]`."),
        number<&AbWorkload::warmup_s>("warmup_s", 0, 1e9, "s", "As in `[ab]`."),
        number<&AbWorkload::block_s>("block_s", 1e-6, 1e9, "s", "As in `[ab]`.")}},
      {"arm",
       Repeat::list,
       "An arm, two or more.",
       "",
       add_arm,
       arms,
       {plain<&Arm::name>("name", "Its name in tables and of its files: letters, digits, `-`, `_`, `.`."),
        plain<&Arm::set>(
            "set",
            "What it changes in the base: keys as `--set` takes them, `{ \"policy.scheduler\" = "
            "\"sarathi\" }`. Not `[workload]`: its requests must be those of the other arms.")}}};
  return schema;
}

}  // namespace serveloop::config
