#include "rig/settings.hpp"

#include <algorithm>

#include "base/suggest.hpp"

namespace serveloop::rig {

namespace {

engine::KvReservation kv_reservation(const std::string& name) {
  using engine::KvReservation;
  return name == "contiguous_max"            ? KvReservation::contiguous_max
         : name == "contiguous_power_of_two" ? KvReservation::contiguous_power_of_two
         : name == "contiguous_exact"        ? KvReservation::contiguous_exact
                                             : KvReservation::paged;
}

}  // namespace

engine::Options engine_options(const config::Config& config, const DeviceFacts& facts) {
  const config::Engine& e = config.engine;
  engine::Options o;
  o.token_budget = e.token_budget;
  o.max_sequences = e.max_sequences;
  o.block_tokens = e.block_tokens;
  o.prefix_cache = e.prefix_cache;
  o.kv_reservation = kv_reservation(e.kv_reservation);
  o.lag = e.lag;
  o.deterministic = e.deterministic;
  o.max_waiting = e.max_waiting;
  o.bypass_steps = e.bypass_steps;
  o.seed = e.seed;
  o.kv_blocks = facts.kv_blocks;
  o.host_kv_blocks = facts.host_kv_blocks;
  o.context_tokens = facts.context_tokens;
  o.vocabulary = facts.vocabulary;
  o.numerics = facts.numerics;
  o.cost = facts.cost;
  return o;
}

requests::Labeler labeler(const config::Config& config) {
  std::vector<requests::Tenant> tenants;
  for (const auto& [name, tenant] : config.tenants) tenants.push_back({name, tenant.keys, tenant.weight});
  std::vector<requests::PriorityRule> rules;
  for (const config::PriorityRule& r : config.rules)
    rules.push_back({r.name, r.key, r.tenant, r.category, r.min_prompt_tokens, r.max_prompt_tokens,
                     r.priority, r.service_class});
  return {std::move(tenants), std::move(rules)};
}

policy::Host plugin_host(const config::Config& config) {
  policy::SearchOptions options;
  options.folders = config.policy.search;
  options.allow_unsigned = config.policy.allow_unsigned;
  return policy::Host(options);
}

policy::Limits limits(const engine::Options& o) {
  const requests::Options sizes{o.max_waiting, o.max_sequences};
  return {o.seed,         sizes.slots(),  {o.kv_blocks, o.host_kv_blocks},
          o.block_tokens, o.token_budget, o.max_sequences,
          o.lag,          o.cost};
}

policy::Choice choice_of(const config::PluginChoice& choice) { return {choice.plugin, choice.options}; }

Result<std::shared_ptr<policy::Precision>> load_precision(const config::Config& config,
                                                          const policy::Host& host, const sl_cost& cost) {
  engine::Options options = engine_options(config, {});
  options.cost = cost;
  auto loaded = host.load_precision(choice_of(config.policy.precision), limits(options));
  if (!loaded) return config.places.under("policy.precision", loaded.error());
  return loaded;
}

namespace {

// Tables of gates that policy.gates does not name, and that name no plugin of their own: one that does is of a gate that is
// switched off.
std::vector<std::string> unused_tables(const config::Policy& policy) {
  std::vector<std::string> out;
  for (const auto& [id, choice] : policy.gate)
    if (choice.plugin == id && std::find(policy.gates.begin(), policy.gates.end(), id) == policy.gates.end())
      out.push_back(id);
  return out;
}

// A gate and a table whose names differ by a slip of the hand: the one that names no plugin is wrong; where the gate
// does, the table, whose options would do nothing.
Result<std::shared_ptr<policy::Scheduler>> load_gate(const config::Config& config, const std::string& id,
                                                     const policy::Host& host, const policy::Limits& limits) {
  const std::string table = "policy.gate." + id;
  const bool has_table = config.places.states(table);
  auto gate = host.load_gate(choice_of(config.policy.gate.at(id)), limits);
  const std::string near = has_table ? "" : nearest(id, unused_tables(config.policy));
  if (!gate && !near.empty())
    return fail(config.places.named("policy.gates"), "gates that are plugins or have a table", "'" + id + "'",
                "did you mean '" + near + "', as in [policy.gate." + near + "]?");
  if (!gate) return config.places.under(has_table ? table : "policy.gates", gate.error());
  if (!near.empty())
    return fail(config.places.named("policy.gate." + near), "the id of a gate in policy.gates",
                "'" + near + "'", "did you mean '" + id + "'?");
  return gate;
}

}  // namespace

Result<engine::Policies> load_policies(const config::Config& config, const policy::Host& host,
                                       const engine::Options& options,
                                       std::shared_ptr<policy::Precision> precision) {
  const policy::Limits l = limits(options);
  engine::Policies p;
  for (const std::string& id : config.policy.gates) {
    auto gate = load_gate(config, id, host, l);
    if (!gate) return tl::unexpected(gate.error());
    p.gates.push_back(*gate);
  }
  auto scheduler = host.load_scheduler(choice_of(config.policy.scheduler), l);
  if (!scheduler) return config.places.under("policy.scheduler", scheduler.error());
  auto eviction = host.load_eviction(choice_of(config.policy.eviction), l);
  if (!eviction) return config.places.under("policy.eviction", eviction.error());
  auto preemption = host.load_preemption(choice_of(config.policy.preemption), l);
  if (!preemption) return config.places.under("policy.preemption", preemption.error());
  p.scheduler = *scheduler;
  p.eviction = *eviction;
  p.preemption = *preemption;
  p.precision = std::move(precision);
  return p;
}

}  // namespace serveloop::rig
