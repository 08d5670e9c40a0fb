#include "experiment/rig.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "execute/factory.hpp"

namespace serveloop::experiment {

Result<Model> load_model(const config::Config& config) {
  const Result<config::Calibration> c = config::load_calibration(config.simulated.calibration);
  if (!c) return tl::unexpected(c.error());
  return Model{cost_of(*c, config.engine.block_tokens), host_of(*c),
               static_cast<double>(c->kv_bytes_per_token), c->kv_memory_bytes};
}

Status resolve_calibration(config::Config& config, const std::string& folder) {
  const Result<std::string> path =
      config::find_calibration(config.simulated.calibration, config::calibration_folders(folder));
  if (!path) return tl::unexpected(path.error());
  config.simulated.calibration = *path;
  return {};
}

Result<engine::Options> engine_options(const config::Config& config, const Model& model) {
  const config::Engine& e = config.engine;
  engine::Options o;
  o.token_budget = e.token_budget;
  o.max_sequences = e.max_sequences;
  o.block_tokens = e.block_tokens;
  o.prefix_cache = e.prefix_cache;
  o.lag = e.lag;
  o.deterministic = e.deterministic;
  o.max_waiting = e.max_waiting;
  o.bypass_steps = e.bypass_steps;
  o.context_tokens = e.context_tokens;
  o.seed = e.seed;
  o.cost = model.cost;
  const double block_bytes = model.kv_bytes_per_token * e.block_tokens;
  const std::uint64_t memory = e.kv_memory_bytes.value_or(model.kv_memory_bytes);
  const double blocks = e.kv_blocks       ? *e.kv_blocks
                        : block_bytes > 0 ? static_cast<double>(memory) / block_bytes
                                          : 0;
  if (blocks < 1 || blocks > 1e8)
    return fail("the KV pool is out of range", "1 to 100,000,000 blocks",
                fmt::format("{} bytes at {} bytes a block", memory, block_bytes),
                "set engine.kv_blocks or engine.kv_memory");
  o.kv_blocks = static_cast<std::uint32_t>(blocks);
  if (config.engine.host_kv_memory_bytes > 0)
    return fail("engine.host_kv_memory", "0 (there is no host tier yet)",
                std::to_string(config.engine.host_kv_memory_bytes));
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

Result<engine::Policies> load_policies(const config::Config& config, const policy::Host& host,
                                       const engine::Options& options) {
  const policy::Limits l = limits(options);
  engine::Policies p;
  const auto choice = [](const config::PluginChoice& c) { return policy::Choice{c.plugin, c.options}; };
  for (const std::string& id : config.policy.gates) {
    auto gate = host.load_gate(choice(config.policy.gate.at(id)), l);
    if (!gate) return tl::unexpected(gate.error());
    p.gates.push_back(*gate);
  }
  auto scheduler = host.load_scheduler(choice(config.policy.scheduler), l);
  if (!scheduler) return tl::unexpected(scheduler.error());
  auto eviction = host.load_eviction(choice(config.policy.eviction), l);
  if (!eviction) return tl::unexpected(eviction.error());
  auto preemption = host.load_preemption(choice(config.policy.preemption), l);
  if (!preemption) return tl::unexpected(preemption.error());
  auto precision = host.load_precision(choice(config.policy.precision), l);
  if (!precision) return tl::unexpected(precision.error());
  p.scheduler = *scheduler;
  p.eviction = *eviction;
  p.preemption = *preemption;
  p.precision = *precision;
  return p;
}

namespace {

template <class Visit>
void each(const engine::Policies& p, Visit&& visit) {
  for (const auto& gate : p.gates)
    if (gate != nullptr) visit(*gate);
  if (p.scheduler != nullptr) visit(*p.scheduler);
  if (p.eviction != nullptr) visit(*p.eviction);
  if (p.preemption != nullptr) visit(*p.preemption);
  if (p.precision != nullptr) visit(*p.precision);
}

}  // namespace

PluginMark mark_of(const policy::Instance& i) {
  return {policy::name_of(i.kind()), i.id(), i.manifest().version, i.library().sha256()};
}

LogHeader log_header(const config::Config& config, const Model& model, const engine::Policies& policies) {
  config::Config shown = config;  // a log travels: it holds marks of keys
  for (auto& [name, tenant] : shown.tenants)
    for (std::string& key : tenant.keys) key = requests::masked(key);
  for (config::PriorityRule& rule : shown.rules)
    if (rule.key) rule.key = requests::masked(*rule.key);
  LogHeader header{config::to_toml(shown), fmt::format("{:016x}", SL_ABI_STAMP), model, {}};
  each(policies, [&](const policy::Instance& i) { header.plugins.push_back(mark_of(i)); });
  return header;
}

void encode(const LogHeader& header, observe::Writer& out) {
  static_assert(std::is_trivially_copyable_v<Model>);
  out.text(header.config_toml);
  out.text(header.abi_stamp);
  out.raw(&header.model, sizeof(Model));
  out.u64(header.plugins.size());
  for (const PluginMark& p : header.plugins)
    for (const std::string* text : {&p.kind, &p.id, &p.version, &p.sha256}) out.text(*text);
}

Result<LogHeader> decode_log_header(std::span<const std::uint8_t> bytes) {
  observe::Reader in(bytes);
  LogHeader header;
  header.config_toml = in.text();
  header.abi_stamp = in.text();
  in.raw(&header.model, sizeof(Model));
  for (std::uint64_t n = in.u64(); n > 0 && in.ok(); --n) {
    PluginMark p;
    for (std::string* text : {&p.kind, &p.id, &p.version, &p.sha256}) *text = in.text();
    header.plugins.push_back(std::move(p));
  }
  if (!in.ok() || !in.done())
    return fail("damaged step log", "a whole header", in.ok() ? "bytes behind it" : "its end");
  const sl_cost& c = header.model.cost;
  const HostModel& h = header.model.host;
  for (const double v :
       {c.step_fixed_ns, c.decode_sequence_ns, c.decode_context_ns, c.prefill_token_ns, c.prefill_context_ns,
        c.swap_fixed_ns, c.swap_block_ns, h.tokens.fixed_ns, h.tokens.row_ns, h.policy.fixed_ns,
        h.policy.row_ns, h.other.fixed_ns, h.other.row_ns, header.model.kv_bytes_per_token})
    if (!(v >= 0 && v < 1e15)) return fail("damaged step log", "costs of 0 to 1e15 ns", fmt::format("{}", v));
  return header;
}

void encode(const execute::Collected& done, observe::Writer& out) {
  out.u64(done.step);
  out.u64(done.device_start_ns);
  out.u64(done.device_end_ns - done.device_start_ns);
  out.u64(done.decode_ns);
  out.u8(done.failed);
  out.text(done.why);
  out.u64(done.tokens.size());
  for (const std::uint32_t token : done.tokens) out.u64(token);
}

execute::Collected decode_collected(observe::Reader& in, std::vector<std::uint32_t>& tokens) {
  execute::Collected done;
  done.step = in.u64();
  done.device_start_ns = in.u64();
  done.device_end_ns = done.device_start_ns + in.u64();
  done.decode_ns = in.u64();
  done.failed = in.u8() != 0;
  done.why = in.text();
  tokens.clear();
  for (std::uint64_t n = in.u64(); n > 0 && in.ok(); --n) tokens.push_back(in.u32());
  done.tokens = tokens;
  return done;
}

execute::Collected RecordingExecutor::collect() {
  execute::Collected done = inner_.collect();
  scratch_.clear();
  encode(done, scratch_);
  log_.item(observe::Item::collected, scratch_.bytes());
  return done;
}

Result<std::unique_ptr<Rig>> assemble(const config::Config& config) {
  auto rig = std::make_unique<Rig>();
  rig->config = config;
  Result<Model> model = load_model(config);
  if (!model) return tl::unexpected(model.error());
  Result<engine::Options> options = engine_options(config, *model);
  if (!options) return tl::unexpected(options.error());
  rig->options = *options;
  rig->clock = std::make_unique<VirtualClock>(model->host);
  Result<std::unique_ptr<execute::Executor>> executor = execute::make_executor(
      config.engine.executor, {*rig->clock, model->cost, options->lag, options->max_sequences,
                               options->block_tokens, options->kv_blocks});
  if (!executor) return tl::unexpected(executor.error());
  rig->executor = std::move(*executor);
  rig->host = plugin_host(config);
  Result<engine::Policies> policies = load_policies(config, rig->host, rig->options);
  if (!policies) return tl::unexpected(policies.error());
  rig->header = log_header(config, *model, *policies);
  Clock* clock = rig->clock.get();
  execute::Executor* runs = rig->executor.get();
  if (!config.observe.log.empty()) {
    observe::Writer header;
    encode(rig->header, header);
    Result<std::unique_ptr<observe::LogWriter>> log =
        observe::LogWriter::create(config.observe.log, header.bytes());
    if (!log) return tl::unexpected(log.error());
    rig->log = std::move(*log);
    rig->recording_clock = std::make_unique<observe::RecordingClock>(*clock, *rig->log);
    rig->recording_executor = std::make_unique<RecordingExecutor>(*runs, *rig->log);
    clock = rig->recording_clock.get();
    runs = rig->recording_executor.get();
  }
  Result<std::unique_ptr<engine::Engine>> engine = engine::Engine::create(
      rig->options, labeler(config), std::move(*policies), *clock, *runs, rig->recorder, rig->log.get());
  if (!engine) {
    if (rig->log != nullptr) std::remove(config.observe.log.c_str());
    return tl::unexpected(engine.error());
  }
  rig->engine = std::move(*engine);
  return rig;
}

}  // namespace serveloop::experiment
