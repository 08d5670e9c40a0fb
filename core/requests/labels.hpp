// Names to numbers: tenants (by key or by name), categories, and the priority rules. Set up once, then read
// by intake. Categories and unknown tenants are numbered in order of first sight, so a replay numbers them
// alike. Clients choose these names, so kMostNames of each are kept, and all further ones share a number. The loop
// thread's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "requests/spec.hpp"

namespace serveloop::requests {

// A key's one-way mark, "key:" and 16 hex digits: what the loop, the step log and reports see in its place.
// "" stays "".
std::string mask_key(const std::string& key);
// The same for a key that may be a mark already (one that comes from a step log), which stays.
std::string masked(const std::string& key);

struct Tenant {
  std::string name;
  std::vector<std::string> keys;
  double weight = 1.0;
};

// The first rule whose every stated condition holds gives priority and class. A request's own `priority` wins
// over both.
struct PriorityRule {
  std::string name;  // for the log
  std::optional<std::string> key, tenant, category;
  std::optional<std::uint32_t> min_prompt_tokens, max_prompt_tokens;
  std::optional<std::int32_t> priority;
  std::optional<std::uint32_t> service_class;

  bool matches(const RequestSpec& spec, const std::string& tenant_name) const;
};

// What rules and tables of names made of a spec's texts.
struct Labels {
  std::uint32_t tenant = 0, tenant_weight_milli = 1000, category = 0, service_class = 0;
  std::int32_t priority = 0;
  std::int32_t rule = -1;  // index of the priority rule that fired; -1 = none
};

// Holds marks of keys only, and takes keys and marks alike.
class Labeler {
 public:
  static constexpr std::uint32_t kMostNames = 65536;
  Labeler(std::vector<Tenant> tenants, std::vector<PriorityRule> rules);
  Labels label(const RequestSpec& spec);
  const std::string& tenant_name(std::uint32_t tenant) const { return tenants_[tenant].name; }
  // [any thread] The name that salts a request's part of the prefix cache. Reads only what the constructor
  // set up.
  std::string tenant_name_of(const RequestSpec& spec) const;
  const PriorityRule& rule(std::int32_t index) const { return rules_[static_cast<std::size_t>(index)]; }

 private:
  std::uint32_t tenant_of(const RequestSpec& spec);
  std::uint32_t category_of(const RequestSpec& spec);
  std::vector<Tenant> tenants_;  // 0 is the default tenant
  std::vector<PriorityRule> rules_;
  std::map<std::string, std::uint32_t> by_key_;    // fixed after the constructor
  std::map<std::string, std::string> key_tenant_;  // likewise
  std::map<std::string, std::uint32_t> by_name_, categories_;
  std::uint32_t unknown_tenants_ = 0;
  std::optional<std::uint32_t> other_tenants_;
};

}  // namespace serveloop::requests
