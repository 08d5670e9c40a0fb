// The configuration of an engine: plain structs that hold a checked TOML file. schema.hpp holds the table of
// keys behind them; docs/CONFIG.md is made from it. Defaults are the members' initial values. Thread safety:
// plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/toml.hpp"
#include "config/places.hpp"
#include "config/workload.hpp"

namespace serveloop::config {

inline constexpr std::uint32_t kMostKvBlocks = 100'000'000;  // of a pool, whoever sizes it

struct Model {
  std::string path;                             // absolute
  std::optional<std::uint64_t> random_weights;  // draws them from this seed; `path` is a config.json
  bool operator==(const Model&) const = default;
};

struct Engine {
  std::string executor = "simulated";  // simulated | hash | null | cpu | cuda
  std::uint32_t threads = 0;           // 0 = one a core
  std::uint32_t token_budget = 2048;   // tokens a step
  std::uint32_t max_sequences = 256;   // running at once
  // Longest prompt plus output of a sequence; unset: the model's.
  std::optional<std::uint32_t> context_tokens;
  std::uint32_t block_tokens = 16;
  std::optional<std::uint64_t> kv_memory_bytes;  // at most one of the two; neither: the executor's choice
  std::optional<std::uint32_t> kv_blocks;
  std::uint64_t host_kv_memory_bytes = 0;
  bool prefix_cache = true;
  std::string kv_reservation =
      "paged";            // paged | contiguous_max | contiguous_power_of_two | contiguous_exact
  std::uint32_t lag = 0;  // steps that the host runs ahead: 0 | 1
  bool deterministic = true;
  std::uint32_t max_waiting = 65536;
  std::uint32_t bypass_steps = 64;
  std::uint64_t seed = 0;  // what policies get as theirs
  bool operator==(const Engine&) const = default;
};

struct PluginChoice {
  std::string plugin;        // a name, or an absolute path
  toml::Value options = {};  // a table; the plugin host checks it against the manifest's schema
  std::string isolation = "inline";
  bool operator==(const PluginChoice&) const = default;
};

struct Policy {
  std::vector<std::string> gates;   // ids, in the order they are asked
  std::vector<std::string> search;  // absolute folders
  bool allow_unsigned = true;
  std::uint64_t deadline_us = 0;  // of a policy call; 0 = none, and nothing else is taken yet
  // Has every id of `gates`; a gate's plugin is its id where none is stated.
  std::map<std::string, PluginChoice> gate;
  PluginChoice scheduler{"fcfs"};
  PluginChoice eviction{"lru"};
  PluginChoice preemption{"recompute"};
  PluginChoice precision{"native"};
  bool operator==(const Policy&) const = default;
};

struct Observe {
  std::string log;  // absolute path of the step log; empty = none
  std::string log_level = "info";
  bool operator==(const Observe&) const = default;
};

struct Server {
  std::string host = "127.0.0.1";
  std::uint32_t port = 8000;
  bool operator==(const Server&) const = default;
};

struct Admin {
  std::string socket;  // absolute path; empty = none
  bool operator==(const Admin&) const = default;
};

struct Simulated {
  std::string calibration;  // a name, or an absolute path; empty: the executor's own
  bool operator==(const Simulated&) const = default;
};

struct Tenant {
  std::vector<std::string> keys;  // API keys; no two tenants share one
  double weight = 1.0;
  bool operator==(const Tenant&) const = default;
};

// The first rule whose every stated condition holds gives its priority and class.
struct PriorityRule {
  std::string name;  // "rule 1" by its place where none is stated
  std::optional<std::string> key, tenant, category;
  std::optional<std::uint32_t> min_prompt_tokens, max_prompt_tokens;  // inclusive
  std::optional<std::int32_t> priority;
  std::optional<std::uint32_t> service_class;  // TOML: `class`
  bool operator==(const PriorityRule&) const = default;
};

struct Config {
  Model model;
  Engine engine;
  Policy policy;
  Server server;
  Admin admin;
  Observe observe;
  Simulated simulated;
  Workload workload;
  std::map<std::string, Tenant> tenants;
  std::vector<PriorityRule> rules;
  Places places;
  bool operator==(const Config&) const = default;
};

// `a.b=c` from the command line.
struct Override {
  std::string assignment;
  std::string option;  // what errors blame: "--set a.b=c", "--port 70000"; never a tenant's keys
  Override(std::string of_set);
  Override(const char* of_set) : Override(std::string(of_set)) {}
  Override(std::string of_another, std::string by)
      : assignment(std::move(of_another)), option(std::move(by)) {}
};

// Reads and checks a TOML file. Overrides are applied in order before anything is checked. Relative paths in the
// file are taken from the file's folder, those in overrides from the working directory. Errors are one line that
// opens with file:line:column or the override's option.
Result<Config> load(const std::string& path, const std::vector<Override>& overrides = {});
// The same from text; relative paths are taken from `folder`.
Result<Config> parse(std::string_view text, std::string_view source_name, const std::string& folder,
                     const std::vector<Override>& overrides = {});

// A document that parse() reads back to an equal Config. It holds the tenants' keys.
std::string to_toml(const Config& config);

// Folder of a config file, absolute: what load() takes relative paths from.
std::string folder_of(const std::string& path);

}  // namespace serveloop::config
