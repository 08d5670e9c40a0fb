#include "stage.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "../need.hpp"
#include "base/hash.hpp"
#include "config/calibration.hpp"
#include "execute/hash.hpp"
#include "execute/simulated.hpp"
#include "rig/planned_swap.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint32_t kKvBytesPerToken = 16;

std::string write_calibration(const Scene& scene, const TempFolder& folder) {
  config::Calibration c;
  c.name = c.device = c.source = "test";
  c.step_fixed_us = 1000;
  c.decode_sequence_us = 10;
  c.decode_context_ns = 10;
  c.prefill_token_us = 10;
  c.prefill_context_ns = 1;
  c.kv_bytes_per_token = kKvBytesPerToken;
  c.kv_memory_bytes = 1 << 20;
  c.swap_gb_per_s = 1;
  c.policy_us = scene.host_us;
  c.host_sequence_us = 2 * scene.host_us;
  c.host_step_us = 3 * scene.host_us;
  const std::string path = folder.path("calibration.toml");
  std::ofstream(path) << config::to_toml(c);
  return path;
}

}  // namespace

TempFolder::TempFolder() {
  std::string path = (std::filesystem::temp_directory_path() / "serveloop-test-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = path;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

config::Config config_of(const Scene& s, const TempFolder& folder) {
  config::Config c;
  c.engine.executor = s.executor;
  c.engine.kv_blocks = s.blocks;
  c.engine.host_kv_memory_bytes = std::uint64_t{s.host_blocks} * s.block_tokens * kKvBytesPerToken;
  c.engine.block_tokens = s.block_tokens;
  c.engine.token_budget = s.token_budget;
  c.engine.max_sequences = s.max_sequences;
  c.engine.max_waiting = s.max_waiting;
  c.engine.lag = s.lag;
  c.engine.prefix_cache = s.prefix_cache;
  c.policy.search = {SERVELOOP_BUILD_PLUGINS, SERVELOOP_TEST_PLUGINS};
  c.policy.scheduler = {s.scheduler, s.scheduler_options};
  c.policy.eviction = {s.eviction, s.eviction_options};
  c.policy.preemption = {s.preemption};
  c.policy.gates = s.gates;
  for (const std::string& gate : s.gates) c.policy.gate[gate] = {gate, s.gate_options};
  c.simulated.calibration = write_calibration(s, folder);
  if (!s.log.empty()) c.observe.log = folder.path(s.log);
  c.tenants = s.tenants;
  c.rules = s.rules;
  return c;
}

Stage::Stage(const Scene& scene) : rig_(need(rig::Rig::load(config_of(scene, folder_)))) {
  if (Status started = rig_->start(recorder_); !started) throw std::runtime_error(started.error().message());
}

execute::DeviceTime& Stage::device() {
  if (auto* hash = dynamic_cast<execute::HashExecutor*>(rig_->device.executor.get())) return hash->device();
  return dynamic_cast<execute::SimulatedExecutor&>(*rig_->device.executor).device();
}

execute::CopyTime& Stage::copies() {
  if (auto* hash = dynamic_cast<execute::HashExecutor*>(rig_->device.executor.get())) return hash->copies();
  return dynamic_cast<execute::SimulatedExecutor&>(*rig_->device.executor).copies();
}

void Stage::run(std::uint64_t most_steps) {
  for (std::uint64_t i = 0; i < most_steps; ++i) {
    while (!script_.empty() && script_.begin()->first <= engine().steps()) {
      const std::function<void()> act = std::move(script_.begin()->second);
      script_.erase(script_.begin());
      act();
    }
    const bool worked = engine().step();
    if (after_each_) after_each_();
    if (worked || !script_.empty()) continue;
    const std::uint64_t next = engine().next_wake_ns();
    if (next == SL_NEVER) return;
    clock().wait_until(next);
  }
  throw std::runtime_error(
      fmt::format("not done after {} steps: {} live", most_steps, engine().requests().live_count()));
}

void Stage::finish_log() {
  if (Status written = rig_->log->finish({}); !written) throw std::runtime_error(written.error().message());
}

std::uint64_t Stage::request(requests::RequestSpec spec) {
  spec.arrival_ns = clock().now_ns();
  engine::Message message;
  message.what = engine::Message::What::arrive;
  message.arrival = need(engine().prepare(std::move(spec)));
  const std::uint64_t id = message.arrival->id;
  if (Status posted = engine().post(std::move(message)); !posted)
    throw std::runtime_error(posted.error().message());
  return id;
}

void Stage::tell(engine::Message::What what, std::uint64_t request, std::uint64_t a, std::uint64_t b) {
  engine::Message message;
  message.what = what;
  message.request = request;
  message.a = a;
  message.b = b;
  engine().inject(std::move(message));
}

void Stage::swap(policy::Kind kind, const std::string& plugin, int gate) {
  engine::Message message;
  message.what = engine::Message::What::swap;
  message.swap =
      need(rig::load_swap({0, kind, gate >= 0, static_cast<std::uint32_t>(std::max(gate, 0)), plugin},
                          rig_->host, rig::limits(rig_->options)));
  engine().inject(std::move(message));
}

std::vector<std::uint64_t> Stage::live() const {
  const requests::Manager& requests = rig_->engine->requests();
  std::vector<std::uint64_t> ids;
  for (const requests::Slot slot : requests.live_slots()) ids.push_back(requests.request_of(slot).request);
  return ids;
}

const engine::Finished& Stage::end_of(std::uint64_t request) const {
  for (const engine::Finished& end : ends())
    if (end.request == request) return end;
  throw std::runtime_error(fmt::format("request {} has not ended", request));
}

requests::RequestSpec ask(std::uint64_t seed, std::uint32_t prompt_tokens, std::uint32_t max_tokens) {
  requests::RequestSpec spec;
  spec.pieces = {{seed, prompt_tokens}};
  spec.sampling.seed = seed;
  spec.max_tokens = max_tokens;
  return spec;
}

std::uint64_t script_mixed_load(Stage& stage, std::uint64_t seed, std::uint32_t requests, bool disturb) {
  using What = engine::Message::What;
  std::uint64_t sequences = 0, k = 0;
  const auto draw = [&](std::uint64_t n) { return mix(seed, ++k) % n; };
  // Picks a live request, if there is one, when the step has come.
  const auto someone = [&stage](std::uint64_t which, auto&& act) {
    return [&stage, which, act] {
      const std::vector<std::uint64_t> live = stage.live();
      if (!live.empty()) act(live[which % live.size()]);
    };
  };
  for (std::uint32_t i = 0; i < requests; ++i) {
    requests::RequestSpec spec =
        ask(5000 + i, static_cast<std::uint32_t>(1 + draw(40)), static_cast<std::uint32_t>(1 + draw(20)));
    if (draw(2) == 0)
      spec.pieces.insert(spec.pieces.begin(), {100 + draw(3), static_cast<std::uint32_t>(8 + draw(30))});
    if (draw(4) == 0) spec.n = static_cast<std::uint32_t>(2 + draw(2));
    if (draw(4) == 0) spec.sampling.stop_ids = {static_cast<requests::Token>(draw(1000))};
    if (draw(6) == 0) spec.end_deadline_ns = 5'000'000 + draw(60'000'000);
    if (draw(8) == 0) spec.max_tokens.reset(), spec.end_deadline_ns = 30'000'000;
    if (draw(3) == 0) spec.hints = {{7, static_cast<double>(i)}};
    if (draw(5) == 0) spec.retention = {{0, 8, 50, 0, 1000}};
    spec.session = fmt::format("s{}", draw(4));
    spec.category = draw(2) == 0 ? "chat" : "";
    spec.tenant = draw(3) == 0 ? "other" : "";
    spec.priority = static_cast<std::int32_t>(draw(3));
    sequences += spec.n;
    const std::uint64_t step = i / 2 + (i % 20 == 19 ? 40 : 0);
    stage.at(step, [&stage, spec] { stage.request(spec); });
  }
  const std::uint64_t last = requests / 2 + 40;
  for (std::uint64_t i = 0; i < requests / 4; ++i) {
    const std::uint64_t step = 1 + draw(last), later = 1 + draw(12);
    stage.at(step, someone(draw(1000), [&stage](std::uint64_t id) { stage.tell(What::cancel, id); }));
    stage.at(draw(last),
             someone(draw(1000), [&stage](std::uint64_t id) { stage.tell(What::hint, id, 7, 3); }));
    stage.at(draw(last), someone(draw(1000), [&stage](std::uint64_t id) { stage.tell(What::release, id); }));
    stage.at(step, someone(draw(1000), [&stage, step, later](std::uint64_t id) {
               stage.tell(What::pause, id, stage.clock().now_ns() + 1000);
               stage.at(step + later, [&stage, id] { stage.tell(What::resume, id); });
             }));
    if (draw(4) == 0) stage.at(draw(last), [&stage, ns = 1 + draw(20'000'000)] { stage.wait(ns); });
  }
  if (!disturb) return sequences;
  static const std::pair<policy::Kind, const char*> kSwaps[] = {
      {policy::Kind::scheduler, "sarathi"},  {policy::Kind::eviction, "slru"},
      {policy::Kind::scheduler, "priority"}, {policy::Kind::preemption, "recompute"},
      {policy::Kind::eviction, "lru"},       {policy::Kind::scheduler, "fcfs"}};
  for (const auto& [kind, plugin] : kSwaps)
    stage.at(draw(last), [&stage, kind = kind, plugin = plugin] { stage.swap(kind, plugin); });
  for (int i = 0; i < 4; ++i) stage.device().fail_step(1 + draw(last));
  return sequences;
}

}  // namespace serveloop::test
