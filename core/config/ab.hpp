// The file of an A/B experiment: arms, each a few overrides of one base configuration. docs/CONFIG.md lists its keys,
// docs/AB.md says what comes of them. Thread safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/toml.hpp"
#include "config/config.hpp"

namespace serveloop::config {

struct Arm {
  std::string name;
  toml::Value set = {};  // as it stands in the file: keys as --set takes them, or tables of them
  std::string place;     // "ab.toml:7:1", for errors
  // Of `set`, in its order, paths made absolute. Errors blame them as --set.
  std::vector<Override> overrides;
};

// Which requests the arms meet, and how often.
struct AbWorkload {
  std::string name;  // of the results' folder and the table; "" where there is one workload alone
  std::string base;  // absolute
  // At most one of the three; none: one repeat, as the base says.
  std::vector<std::uint64_t> seeds;
  std::optional<std::uint32_t> repeats;  // seeds from the base's on
  std::vector<Window> windows;
  std::optional<double> warmup_s;  // unset: 0
  std::optional<double> block_s;   // unset: told by the results
};

struct AbFile {
  AbWorkload stated;                  // in [ab] itself
  std::vector<AbWorkload> workloads;  // one or more, each whole: `stated`, or what [[workload]] says
  std::string baseline;               // an arm's name; by default the first's
  double confidence = 0.95;
  std::uint32_t resamples = 2000;
  std::vector<std::string> metrics;  // names; empty: all that the results have
  std::vector<Arm> arms;             // two or more
  std::string source;                // the file's name, for errors
};

// An arm's `set` must leave [workload] and [observe] log alone. Relative paths count from the file's folder.
Result<AbFile> load_ab(const std::string& path);
Result<AbFile> parse_ab(std::string_view text, std::string_view source_name, const std::string& folder);

}  // namespace serveloop::config
