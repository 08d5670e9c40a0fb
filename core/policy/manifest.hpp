// A plugin's manifest, `plugin.toml`: everything the host must know before it opens the object, since an
// object's constructors run at load. Thread safety: plain values; parsing is pure.
#pragma once

#include <serveloop/plugin.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/toml.hpp"

namespace serveloop::policy {

// What a plugin, a reason and a gauge may be called: 1 to 64 letters, digits, '-', '_' and '.', the first no '.'.
bool is_name(std::string_view text);

enum class Kind : std::uint32_t {
  scheduler = SL_KIND_SCHEDULER,
  eviction = SL_KIND_EVICTION,
  preemption = SL_KIND_PREEMPTION,
  precision = SL_KIND_PRECISION,
};
const char* name_of(Kind kind);  // "scheduler"
std::optional<Kind> kind_named(std::string_view name);

// How a running instance hands over to its successor.
enum class SwapClass : std::uint8_t {
  events,  // the successor rebuilds its state from live sequences and blocks
  state,   // by saved state where schemas match, else by events
  none,    // it cannot be swapped in while the engine runs
};
const char* name_of(SwapClass swap);

enum class OptionType : std::uint32_t {
  boolean = SL_OPTION_BOOLEAN,
  integer = SL_OPTION_INTEGER,
  number = SL_OPTION_NUMBER,
  text = SL_OPTION_TEXT,
  list = SL_OPTION_LIST,  // of texts
};
const char* name_of(OptionType type);

// One [options.<name>] table. An option without a default must be set.
struct OptionSpec {
  std::string name;
  OptionType type = OptionType::text;
  std::optional<toml::Value> fallback;  // `default`; of the type, within the bounds
  std::optional<double> min, max;       // both inclusive; of integers and numbers
  std::vector<std::string> choices;     // of texts and of a list's items; empty = any
  std::string unit, help;
};

struct Manifest {
  std::string file;    // where it was read from
  std::string folder;  // of that file: the object lies in it
  std::string id;      // is_name()
  Kind kind = Kind::scheduler;
  std::string version, license, summary;
  std::string library;  // the object's file name; `<id>.so` where not stated
  std::string sha256;   // of the object, 64 hex digits; empty = unsigned
  std::uint32_t abi_major = 0;
  std::uint32_t abi_minor_min = 0;  // the least minor of a host that it runs on
  SwapClass swap = SwapClass::events;
  bool gate = false;                 // a scheduler that may stand in front of another
  std::vector<std::string> reasons;  // SL_REASON_PLUGIN + index
  std::vector<std::string> gauges;   // by sl_gauge.name
  std::vector<OptionSpec> options;   // in the order of the file

  const OptionSpec* option(std::string_view name) const;
  std::string library_path() const { return folder + "/" + library; }
};

// Reads and checks a manifest. Errors are one line: file, key, expected, found; an unknown key names the
// nearest known.
Result<Manifest> read_manifest(const std::string& file);
// The same from text; `file` names it in errors and gives the folder.
Result<Manifest> parse_manifest(std::string_view text, const std::string& file);

// Does `value` fit the option? An error names the value's place, `what`, expected and found.
Status check_option(const OptionSpec& spec, const toml::Value& value, std::string_view what);

}  // namespace serveloop::policy
