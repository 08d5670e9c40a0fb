// The schema: one table of every TOML key with its type, bounds, unit and help. The parser, the writer and
// docs/CONFIG.md all read it; a key's default is the initial value of the member it is bound to, so none can
// differ from the others. Thread safety: immutable.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "base/toml.hpp"
#include "config/workload.hpp"

namespace serveloop::config {

enum class Kind : std::uint8_t {
  plain,   // what the bound member's type says
  choice,  // a string out of `choices`
  bytes,   // an integer, or a string such as "4GiB"
  path,    // a path (or paths), made absolute
  named,   // a name, or a path where it holds a '/'
};

// The member that a key fills.
using Slot = std::variant<bool*, std::uint32_t*, std::uint64_t*, std::int32_t*, double*, std::string*,
                          std::vector<std::string>*, std::map<std::string, double>*, toml::Value*,
                          std::optional<std::uint32_t>*, std::optional<std::uint64_t>*,
                          std::optional<std::int32_t>*, std::optional<double>*, std::optional<std::string>*,
                          std::optional<Window>*, Spread*, std::vector<std::uint64_t>*, std::vector<Window>*>;

struct Key {
  const char* name;
  Kind kind;
  Slot (*slot)(void* record);
  double min, max;      // of a number, both inclusive; of a list's, map's or distribution's numbers
  const char* unit;     // "" = none
  const char* choices;  // "a|b|c"
  const char* help;
};

enum class Repeat : std::uint8_t { once, by_id, list };  // [x], [x.<id>], [[x]]

struct Section {
  const char* path;  // "engine", "policy.gate" (ids below it), "priority.rule"; "" = the document itself
  Repeat repeat;
  const char* help;
  const char* shorthand;  // the key that a bare string in the table's place sets; "" = none
  void* (*add)(void* root, const std::string& id);                    // the record, made where it is missing
  std::vector<std::pair<std::string, void*>> (*records)(void* root);  // by_id and list: those there are
  std::vector<Key> keys;
};

using Schema = std::vector<Section>;
const Schema& config_schema();             // its root is a Config
const Schema& calibration_schema();        // its root is a Calibration
const Schema& ab_schema();                 // its root is an AbFile
std::vector<Section> workload_sections();  // [workload] and the tables in it: a part of config_schema

// Fills `root` from the document. Unknown keys, wrong types and values out of bounds are errors. Relative
// paths are taken from `folder`, those of overrides from the working directory.
Status fill(const Schema& schema, void* root, const toml::Value& document, const std::string& folder);
// The reverse: every key that has a value.
toml::Value dump(const Schema& schema, void* root);

// What a record's member holds, as TOML; nothing where it is unset.
std::optional<toml::Value> value_of(const Key& key, void* record);

inline constexpr const char* kSizeForm =
    "bytes, at least 0, or a size such as \"4GiB\" (KiB, MiB, GiB, TiB, kB, MB, GB, TB)";
// "4GiB", "512 MiB", "1.5GB", "1024" -> bytes.
Result<std::uint64_t> parse_bytes(const std::string& text);
// In the largest binary unit that divides it: "4GiB"; `space` stands before the unit.
std::string bytes_text(std::uint64_t bytes, const char* space = "");
// Folder and relative path made one; "~/" is the home folder.
std::string resolve(const std::string& path, const std::string& folder);

// docs/CONFIG.md.
std::string reference_markdown();

// ---- Building the table.
inline std::vector<std::pair<std::string, void*>> no_records(void*) {
  return {};
}  // of sections that are there once
inline constexpr double kMost = 9223372036854775807.0;  // of an integer in TOML
template <class T>
struct MemberOf;
template <class C, class T>
struct MemberOf<T C::*> {
  using Class = C;
};
// A member of the record, or of a member of it, and so on.
template <auto Member, auto... Within>
Slot slot_of(void* record) {
  auto& member = static_cast<typename MemberOf<decltype(Member)>::Class*>(record)->*Member;
  if constexpr (sizeof...(Within) == 0)
    return &member;
  else
    return slot_of<Within...>(&member);
}
template <auto... Member>
Key plain(const char* name, const char* help, const char* unit = "") {
  return {name, Kind::plain, slot_of<Member...>, 0, 0, unit, "", help};
}
template <auto... Member>
Key number(const char* name, double min, double max, const char* unit, const char* help) {
  return {name, Kind::plain, slot_of<Member...>, min, max, unit, "", help};
}
template <auto... Member>
Key choice(const char* name, const char* choices, const char* help) {
  return {name, Kind::choice, slot_of<Member...>, 0, 0, "", choices, help};
}
template <auto... Member>
Key special(const char* name, Kind kind, const char* help) {
  return {name, kind, slot_of<Member...>, 0, kMost, kind == Kind::bytes ? "bytes" : "", "", help};
}

}  // namespace serveloop::config
