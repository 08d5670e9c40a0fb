#include "rig/log_header.hpp"

#include <fmt/format.h>

namespace serveloop::rig {

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

LogHeader log_header(const config::Config& config, const DeviceFacts& facts, const engine::Policies& policies,
                     std::span<const sl_op_key> op_keys) {
  config::Config shown = config;  // a log travels: it holds marks of keys
  for (auto& [name, tenant] : shown.tenants)
    for (std::string& key : tenant.keys) key = requests::masked(key);
  for (config::PriorityRule& rule : shown.rules)
    if (rule.key) rule.key = requests::masked(*rule.key);
  LogHeader header{config::to_toml(shown), fmt::format("{:016x}", SL_ABI_STAMP), facts, {}, {}};
  each(policies, [&](const policy::Instance& i) { header.plugins.push_back(mark_of(i)); });
  header.op_keys.assign(op_keys.begin(), op_keys.end());
  return header;
}

void encode(const LogHeader& header, observe::Writer& out) {
  out.text(header.config_toml);
  out.text(header.abi_stamp);
  encode(header.facts, out);
  out.u64(header.plugins.size());
  for (const PluginMark& p : header.plugins)
    for (const std::string* text : {&p.kind, &p.id, &p.version, &p.sha256}) out.text(*text);
  static_assert(std::has_unique_object_representations_v<sl_op_key>);
  out.u64(header.op_keys.size());
  out.raw(header.op_keys.data(), header.op_keys.size() * sizeof(sl_op_key));
}

Result<LogHeader> decode_log_header(std::span<const std::uint8_t> bytes) {
  observe::Reader in(bytes);
  LogHeader header;
  header.config_toml = in.text();
  header.abi_stamp = in.text();
  Result<DeviceFacts> facts = decode_facts(in);
  if (!facts) return tl::unexpected(facts.error());
  header.facts = *facts;
  for (std::uint64_t n = in.u64(); n > 0 && in.ok(); --n) {
    PluginMark p;
    for (std::string* text : {&p.kind, &p.id, &p.version, &p.sha256}) *text = in.text();
    header.plugins.push_back(std::move(p));
  }
  const std::uint64_t keys = in.u64();
  if (keys <= in.left() / sizeof(sl_op_key)) {
    header.op_keys.resize(keys);
    in.raw(header.op_keys.data(), keys * sizeof(sl_op_key));
  }
  if (!in.ok() || !in.done())
    return fail("damaged step log", "a whole header", in.ok() ? "bytes behind it" : "its end");
  return header;
}

}  // namespace serveloop::rig
