#include "requests/labels.hpp"

#include <cmath>

namespace serveloop::requests {

bool PriorityRule::matches(const RequestSpec& spec, const std::string& tenant_name) const {
  const std::uint32_t prompt = spec.prompt_tokens();
  return (!key || *key == spec.key) && (!tenant || *tenant == tenant_name) &&
         (!category || *category == spec.category) && (!min_prompt_tokens || prompt >= *min_prompt_tokens) &&
         (!max_prompt_tokens || prompt <= *max_prompt_tokens);
}

Labeler::Labeler(std::vector<Tenant> tenants, std::vector<PriorityRule> rules) : rules_(std::move(rules)) {
  tenants_.push_back({"default", {}, 1.0});
  by_name_["default"] = 0;
  for (Tenant& tenant : tenants) {
    const auto [at, added] = by_name_.try_emplace(tenant.name, static_cast<std::uint32_t>(tenants_.size()));
    if (added) tenants_.push_back({});
    for (const std::string& key : tenant.keys) by_key_[key] = at->second, key_tenant_[key] = tenant.name;
    tenants_[at->second] = std::move(tenant);
  }
}

// A key names its tenant; else the request may name one; else it is the default tenant's.
std::uint32_t Labeler::tenant_of(const RequestSpec& spec) {
  if (const auto found = by_key_.find(spec.key); !spec.key.empty() && found != by_key_.end()) return found->second;
  if (spec.tenant.empty()) return 0;
  const auto [at, added] = by_name_.try_emplace(spec.tenant, static_cast<std::uint32_t>(tenants_.size()));
  if (added) tenants_.push_back({spec.tenant, {}, 1.0});
  return at->second;
}

std::string Labeler::tenant_name_of(const RequestSpec& spec) const {
  if (const auto found = by_key_.find(spec.key); !spec.key.empty() && found != by_key_.end()) return key_tenant_.at(spec.key);
  return spec.tenant.empty() ? "default" : spec.tenant;
}

Labels Labeler::label(const RequestSpec& spec) {
  Labels labels;
  labels.tenant = tenant_of(spec);
  labels.tenant_weight_milli = static_cast<std::uint32_t>(std::lround(tenants_[labels.tenant].weight * 1000.0));
  if (!spec.category.empty())
    labels.category = categories_.try_emplace(spec.category, static_cast<std::uint32_t>(categories_.size() + 1)).first->second;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (!rules_[i].matches(spec, tenants_[labels.tenant].name)) continue;
    labels.rule = static_cast<std::int32_t>(i);
    labels.priority = rules_[i].priority.value_or(0);
    labels.service_class = rules_[i].service_class.value_or(0);
    break;
  }
  if (spec.priority) labels.priority = *spec.priority;
  return labels;
}

}  // namespace serveloop::requests
