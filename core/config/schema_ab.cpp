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
  static const Schema schema = {
      {"ab",
       Repeat::once,
       "What all arms share. At most one of `seeds`, `repeats` and `windows` says how often each runs.",
       "",
       self,
       no_records,
       {special<&AbFile::base>("base", Kind::path, "The configuration that the arms change; required."),
        plain<&AbFile::baseline>("baseline",
                                 "The arm that the others are compared with; by default the first."),
        number<&AbFile::seeds>("seeds", 0, kMost, "",
                               "A repeat for each: it takes the place of `workload.seed`."),
        number<&AbFile::repeats>("repeats", 1, 1000, "runs",
                                 "So many repeats, with seeds that count up from `workload.seed`."),
        number<&AbFile::windows>("windows", 0, 1e9, "s",
                                 "A repeat for each part of the trace, in place of `workload.window`."),
        number<&AbFile::warmup_s>("warmup_s", 0, 1e9, "s",
                                  "Requests that arrive before it run, and are not compared."),
        number<&AbFile::block_s>("block_s", 1e-6, 1e9, "s",
                                 "Length of a block of time that the bootstrap keeps together; unset: as the "
                                 "results' correlation asks."),
        number<&AbFile::confidence>("confidence", 0.5, 0.999, "", "Of the intervals."),
        number<&AbFile::resamples>("resamples", 200, 100000, "", "Of the bootstrap."),
        plain<&AbFile::metrics>(
            "metrics", "Names of the metrics to compare, as in the JSON; empty: all that there is.")}},
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
