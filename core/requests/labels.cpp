#include "requests/labels.hpp"

#include <sodium/crypto_hash_sha256.h>

#include <algorithm>
#include <cmath>

namespace serveloop::requests {

namespace {
constexpr std::string_view kMark = "key:";
constexpr std::size_t kMarkBytes = 8;
constexpr char kHex[] = "0123456789abcdef";
}  // namespace

std::string mask_key(const std::string& key) {
  if (key.empty()) return key;
  unsigned char hash[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(hash, reinterpret_cast<const unsigned char*>(key.data()), key.size());
  std::string mark(kMark);
  for (std::size_t i = 0; i < kMarkBytes; ++i) mark += {kHex[hash[i] >> 4], kHex[hash[i] & 15]};
  return mark;
}

std::string masked(const std::string& key) {
  const bool is_mark = key.size() == kMark.size() + 2 * kMarkBytes && key.starts_with(kMark) &&
                       key.find_first_not_of(kHex, kMark.size()) == std::string::npos;
  return is_mark ? key : mask_key(key);
}

bool PriorityRule::matches(const RequestSpec& spec, const std::string& tenant_name) const {
  const std::uint32_t prompt = spec.prompt_tokens();
  return (!key || *key == masked(spec.key)) && (!tenant || *tenant == tenant_name) &&
         (!category || *category == spec.category) && (!min_prompt_tokens || prompt >= *min_prompt_tokens) &&
         (!max_prompt_tokens || prompt <= *max_prompt_tokens);
}

Labeler::Labeler(std::vector<Tenant> tenants, std::vector<PriorityRule> rules) : rules_(std::move(rules)) {
  tenants_.push_back({"default", {}, 1.0});
  by_name_["default"] = 0;
  for (Tenant& tenant : tenants) {
    const auto [at, added] = by_name_.try_emplace(tenant.name, static_cast<std::uint32_t>(tenants_.size()));
    if (added) tenants_.push_back({});
    for (std::string& key : tenant.keys) key = masked(key);
    for (const std::string& key : tenant.keys) by_key_[key] = at->second, key_tenant_[key] = tenant.name;
    tenants_[at->second] = std::move(tenant);
  }
  for (PriorityRule& rule : rules_)
    if (rule.key) rule.key = masked(*rule.key);
}

// A key names its tenant; else the request may name one; else it is the default tenant's.
std::uint32_t Labeler::tenant_of(const RequestSpec& spec) {
  if (const auto found = by_key_.find(masked(spec.key)); !spec.key.empty() && found != by_key_.end())
    return found->second;
  if (spec.tenant.empty()) return 0;
  if (const auto known = by_name_.find(spec.tenant); known != by_name_.end()) return known->second;
  const auto add = [this](const std::string& name) {
    tenants_.push_back({name, {}, 1.0});
    return static_cast<std::uint32_t>(tenants_.size() - 1);
  };
  if (unknown_tenants_ < kMostNames) {
    ++unknown_tenants_;
    return by_name_[spec.tenant] = add(spec.tenant);
  }
  if (!other_tenants_) other_tenants_ = add("(other tenants)");
  return *other_tenants_;
}

std::string Labeler::tenant_name_of(const RequestSpec& spec) const {
  if (const auto found = by_key_.find(masked(spec.key)); !spec.key.empty() && found != by_key_.end())
    return key_tenant_.at(found->first);
  return spec.tenant.empty() ? "default" : spec.tenant;
}

std::uint32_t Labeler::category_of(const RequestSpec& spec) {
  if (spec.category.empty()) return 0;
  if (const auto known = categories_.find(spec.category); known != categories_.end()) return known->second;
  const auto next = static_cast<std::uint32_t>(categories_.size() + 1);
  if (categories_.size() < kMostNames) categories_[spec.category] = next;
  return next;
}

Labels Labeler::label(const RequestSpec& spec) {
  Labels labels;
  labels.tenant = tenant_of(spec);
  labels.tenant_weight_milli =
      static_cast<std::uint32_t>(std::lround(tenants_[labels.tenant].weight * 1000.0));
  labels.category = category_of(spec);
  const std::string tenant = rules_.empty() ? std::string() : tenant_name_of(spec);
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (!rules_[i].matches(spec, tenant)) continue;
    labels.rule = static_cast<std::int32_t>(i);
    labels.priority = rules_[i].priority.value_or(0);
    labels.service_class = rules_[i].service_class.value_or(0);
    break;
  }
  if (spec.priority) labels.priority = *spec.priority;
  return labels;
}

}  // namespace serveloop::requests
