#include "config/ab.hpp"

#include <algorithm>
#include <set>

#include "base/joined.hpp"
#include "base/suggest.hpp"
#include "config/schema.hpp"

namespace serveloop::config {
namespace {

using toml::Value;

constexpr std::size_t kLongestName = 40;

// The key whose value stands under a full name: "plugin" for "policy.gate.shed.plugin" and, with `by_shorthand`, for
// "policy.gate.shed", too.
const Key* key_of(const std::string& name, bool by_shorthand) {
  for (const Section& section : config_schema()) {
    std::string table = section.path;
    if (!name.starts_with(table)) continue;
    if (section.repeat != Repeat::once) {  // behind an id or a number
      if (name.size() <= table.size() + 1) continue;
      table = name.substr(0, name.find('.', table.size() + 1));
    }
    std::string word = section.shorthand;
    if (name.size() > table.size()) {
      if (name[table.size()] != '.') continue;
      word = name.substr(table.size() + 1);
    } else if (!by_shorthand) {
      continue;
    }
    for (const Key& key : section.keys)
      if (word == key.name) return &key;
  }
  return nullptr;
}

bool is_path(const Key* key, const std::string& text) {
  return key != nullptr &&
         (key->kind == Kind::path || (key->kind == Kind::named && text.find('/') != std::string::npos));
}

std::string stem_of(const std::string& path) {
  const std::string file = path.substr(path.rfind('/') + 1);
  return file.substr(0, file.rfind(".toml"));
}

// The value of `name` with its paths made absolute.
Value resolved(const std::string& name, const Value& value, const std::string& folder) {
  if (value.is_string()) {
    const std::string text = *value.as_string();
    return is_path(key_of(name, true), text) ? Value(resolve(text, folder)) : value;
  }
  if (value.is_array()) {
    toml::Array out;
    for (const Value& item : value.items()) out.push_back(resolved(name, item, folder));
    return out;
  }
  if (!value.is_table()) return value;
  Value out;
  for (const toml::Entry& entry : value.entries())
    out[entry.key] = resolved(name + "." + entry.key, entry.value, folder);
  return out;
}

std::string path_below(const std::string& path, const std::string& key) {
  if (path.empty()) return key;  // as --set takes it, with its dots
  const bool plain = key.find_first_of(".'\"") == std::string::npos && !key.empty();
  return path + "." + (plain ? key : "'" + key + "'");
}

// `policy.scheduler = "x"` and `"policy.scheduler" = "x"` say the same: tables stand for the keys in them. One that names a
// plugin is taken whole, with its options; so is one that is a key's own value.
bool is_whole(const std::string& path, const Value& value) {
  return !value.is_table() || value.entries().empty() || value.find("plugin") != nullptr ||
         key_of(path, false) != nullptr;
}

// Each key of `table` that stands for a key of the configuration.
template <class Visit>
Status each_key(const std::string& path, const Value& table, Visit&& visit) {
  for (const toml::Entry& entry : table.entries()) {
    const std::string name = path_below(path, entry.key);
    Status seen = is_whole(name, entry.value) ? visit(name, entry.value) : each_key(name, entry.value, visit);
    if (!seen) return seen;
  }
  return {};
}

class Checker {
 public:
  Checker(AbFile& file, const Value& document, const std::string& folder)
      : file_(file), document_(document), folder_(folder) {}

  Status run() {
    for (const auto check : {&Checker::workloads, &Checker::arms, &Checker::baseline})
      if (Status good = (this->*check)(); !good) return good;
    return {};
  }

 private:
  std::string at(const std::string& key) const {
    const Value* value = document_.at(key);
    return value != nullptr ? value->named(key) : file_.source + ": " + key;
  }

  Status workloads() {
    const bool one = file_.workloads.empty();
    if (one)
      file_.workloads.push_back(file_.stated);
    else
      for (const char* key : {"ab.base", "ab.seeds", "ab.repeats", "ab.windows"})
        if (document_.at(key) != nullptr)
          return fail(at(key), "none beside [[workload]]", "one", "state it in each [[workload]]");
    std::set<std::string> names;
    for (std::size_t i = 0; i < file_.workloads.size(); ++i) {
      const std::string place = one ? "ab" : "workload." + std::to_string(i);
      AbWorkload& workload = file_.workloads[i];
      if (workload.base.empty()) return fail(at(place + ".base"), "the path of a configuration", "none");
      if (Status good = repeats(workload, place); !good) return good;
      if (one) break;
      if (!workload.warmup_s) workload.warmup_s = file_.stated.warmup_s;
      if (!workload.block_s) workload.block_s = file_.stated.block_s;
      if (workload.name.empty()) workload.name = stem_of(workload.base);
      if (Status good = name(workload.name, place + ".name"); !good) return good;
      if (!names.insert(workload.name).second)
        return fail(at(place + ".name"), "a name of its own", "'" + workload.name + "' twice");
    }
    return {};
  }

  Status repeats(const AbWorkload& workload, const std::string& place) {
    std::vector<std::string> stated;
    for (const char* key : {".seeds", ".repeats", ".windows"})
      if (document_.at(place + key) != nullptr) stated.push_back(place + key);
    if (stated.size() > 1)
      return fail(at(stated[1]),
                  "one of " + place + ".seeds, " + place + ".repeats and " + place + ".windows",
                  joined(stated), "remove one of them");
    std::set<std::uint64_t> seeds;
    for (const std::uint64_t seed : workload.seeds)
      if (!seeds.insert(seed).second)
        return fail(at(place + ".seeds"), "each seed once", std::to_string(seed) + " twice");
    return {};
  }

  Status arms() {
    if (file_.arms.size() < 2)
      return fail(at("arm"), "two arms or more, as in [[arm]] name = \"NAME\"",
                  std::to_string(file_.arms.size()));
    const toml::Array& tables = document_.at("arm")->items();
    std::set<std::string> names;
    for (std::size_t i = 0; i < file_.arms.size(); ++i) {
      Arm& arm = file_.arms[i];
      arm.place = tables[i].place();
      if (Status good = name(arm.name, "arm." + std::to_string(i) + ".name"); !good) return good;
      if (!names.insert(arm.name).second)
        return fail(at("arm." + std::to_string(i) + ".name"), "a name of its own",
                    "'" + arm.name + "' twice");
      if (Status good = set(arm); !good) return good;
    }
    return {};
  }

  // It is a part of a file's name.
  Status name(const std::string& name, const std::string& key) const {
    const bool good = !name.empty() && name.size() <= kLongestName && name[0] != '.' &&
                      std::all_of(name.begin(), name.end(), [](char c) {
                        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                               c == '-' || c == '_' || c == '.';
                      });
    if (good) return {};
    return fail(at(key), "up to " + std::to_string(kLongestName) + " of a-z, A-Z, 0-9, '-', '_' and '.'",
                name.empty() ? "none" : "'" + name + "'");
  }

  Status set(Arm& arm) const {
    return each_key("", arm.set, [&](const std::string& path, const Value& value) -> Status {
      const std::string first = path.substr(0, path.find('.'));
      const std::string where = value.named("arm '" + arm.name + "' sets " + path);
      if (first == "workload")
        return fail(
            where, "the base's workload", "another",
            "arms are compared request by request: change the base, or state seeds or windows in [ab]");
      if (path == "observe.log")
        return fail(where, "no step log", "one",
                    "`serveloop simulate` and `bench` write it, with the same --set");
      arm.overrides.emplace_back(path + "=" + toml::to_inline(resolved(path, value, folder_)));
      return {};
    });
  }

  Status baseline() {
    std::vector<std::string> names;
    for (const Arm& arm : file_.arms) names.push_back(arm.name);
    if (file_.baseline.empty()) file_.baseline = names.front();
    if (std::find(names.begin(), names.end(), file_.baseline) != names.end()) return {};
    return fail(at("ab.baseline"), "the name of an arm", "'" + file_.baseline + "'",
                did_you_mean(file_.baseline, names));
  }

  AbFile& file_;
  const Value& document_;
  const std::string& folder_;
};

Result<AbFile> build(const Result<Value>& document, const std::string& folder) {
  if (!document) return tl::unexpected(document.error());
  AbFile file;
  file.source = document->source();
  if (Status filled = fill(ab_schema(), &file, *document, folder); !filled)
    return tl::unexpected(filled.error());
  if (Status good = Checker(file, *document, folder).run(); !good) return tl::unexpected(good.error());
  return file;
}

}  // namespace

Result<AbFile> load_ab(const std::string& path) { return build(toml::parse_file(path), folder_of(path)); }

Result<AbFile> parse_ab(std::string_view text, std::string_view source_name, const std::string& folder) {
  return build(toml::parse(text, source_name), folder);
}

}  // namespace serveloop::config
