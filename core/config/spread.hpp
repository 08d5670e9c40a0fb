// A distribution in TOML: which of its keys go together, both ways. Thread-safe: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/toml.hpp"
#include "config/schema.hpp"

namespace serveloop::config {

inline constexpr const char* kDistributions = "fixed|lognormal|exponential|uniform";

// What a table states of a Spread.
struct StatedSpread {
  std::string distribution;  // "" = told by the others
  std::optional<double> mean, cv, min, max;

  std::optional<double>* find(std::string_view key);  // or null
  static const std::vector<std::string>& keys();
  // Ends that are not stated are the key's bounds. `named` opens errors.
  Result<Spread> whole(const Key& key, const std::string& named) const;
};

// A number where it is fixed, else a table of what the distribution reads.
toml::Value to_value(const Spread& spread);

}  // namespace serveloop::config
