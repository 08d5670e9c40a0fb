// The plugin host: from a name in a TOML file to an instance that the engine can call. It moves messages and
// knows no type of the engine's. The linked-in fallbacks are the engine's, not here. Thread safety: all of it
// may be called from any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/toml.hpp"
#include "policy/kinds.hpp"
#include "policy/search.hpp"

namespace serveloop::policy {

// `plugin = "sarathi"` or a path, and `options = {...}`.
struct Choice {
  std::string plugin;
  toml::Value options = {};
};

class Host {
 public:
  explicit Host(SearchOptions options = {}) : search_(std::move(options)) {}

  // Finds, checks, opens and creates. Each error is one line; nothing half started stays behind.
  Result<std::shared_ptr<Scheduler>> load_scheduler(const Choice& choice, const Limits& limits) const;
  // A gate is a scheduler whose manifest says `gate = true`.
  Result<std::shared_ptr<Scheduler>> load_gate(const Choice& choice, const Limits& limits) const;
  Result<std::shared_ptr<Eviction>> load_eviction(const Choice& choice, const Limits& limits) const;
  Result<std::shared_ptr<Preemption>> load_preemption(const Choice& choice, const Limits& limits) const;
  Result<std::shared_ptr<Precision>> load_precision(const Choice& choice, const Limits& limits) const;

  // Everything on the search path, broken manifests too; each is checked as far as it can be without opening
  // its object.
  std::vector<Listed> list() const;
  // Opens one plugin of any kind, by id or path, with all checks but its options; makes no instance.
  Result<std::shared_ptr<const Library>> open(const std::string& plugin) const;
  const Search& search() const { return search_; }

 private:
  template <class Of>
  Result<std::shared_ptr<Of>> load(const Choice& choice, const Limits& limits, Kind kind, bool as_gate) const;
  // Whoever writes a path vouches for what lies there.
  bool needs_hash(bool by_path) const { return !by_path && !search_.allow_unsigned(); }

  Search search_;
};

}  // namespace serveloop::policy
