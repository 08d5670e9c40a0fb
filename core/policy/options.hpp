// A plugin's options: the TOML table checked against its manifest, as rows for its `create`.
// Thread safety: plain values.
#pragma once

#include <serveloop/plugin.h>

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/toml.hpp"
#include "policy/manifest.hpp"

namespace serveloop::policy {

// Every declared option, defaults filled in. The rows point into this object and live as long as it does.
class CheckedOptions {
 public:
  CheckedOptions() = default;
  CheckedOptions(CheckedOptions&&) = default;  // the rows stay valid: what they point to does not move
  CheckedOptions& operator=(CheckedOptions&&) = default;

  sl_table table() const {
    return {rows_.data(), sizeof(sl_option), static_cast<std::uint32_t>(rows_.size())};
  }
  const std::vector<sl_option>& rows() const { return rows_; }
  // The same as a TOML table: what a log records, so that a replay needs no default of a later manifest.
  const toml::Value& effective() const { return effective_; }

 private:
  friend Result<CheckedOptions> check_options(const Manifest& manifest, const toml::Value& options);
  void add(const OptionSpec& spec, const toml::Value& value);
  sl_text keep(std::string_view text);

  std::deque<std::string> texts_;
  std::vector<sl_option> rows_;
  toml::Value effective_;
};

// `options` is a table. Refuses an option that the manifest doesn't declare (names the nearest), a wrong
// type, a value out of bounds or not among the choices, and the lack of an option that has no default.
Result<CheckedOptions> check_options(const Manifest& manifest, const toml::Value& options);

}  // namespace serveloop::policy
