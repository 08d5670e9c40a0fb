// A small engine as `simulate` puts it together, driven by a script: what happens before which step. For
// tests of causes, of the step log and of replay.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "execute/copy_time.hpp"
#include "execute/device_time.hpp"
#include "experiment/summary.hpp"
#include "rig/rig.hpp"

namespace serveloop::test {

// A folder that goes with its owner.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  std::string path(const std::string& inner = {}) const { return path_ + "/" + inner; }

 private:
  std::string path_;
};

struct Scene {
  std::string executor = "hash", scheduler = "fcfs", eviction = "lru", preemption = "recompute";
  toml::Value scheduler_options = {}, eviction_options = {}, gate_options = {};
  std::vector<std::string> gates;
  std::uint32_t blocks = 4096, block_tokens = 8, token_budget = 256, max_sequences = 16, lag = 0,
                max_waiting = 1024, host_blocks = 0;
  bool prefix_cache = true;
  double host_us = 0;  // a policy call, a row's tokens, and three times that for the rest of a step
  std::string log;     // name in the stage's folder; "" = none
  std::map<std::string, config::Tenant> tenants;
  std::vector<config::PriorityRule> rules;
};

class Stage {
 public:
  explicit Stage(const Scene& scene);
  // Before step `step` (or at the next chance after it), do this.
  void at(std::uint64_t step, std::function<void()> act) { script_.emplace(step, std::move(act)); }
  void after_each_step(std::function<void()> act) { after_each_ = std::move(act); }
  // Until nothing is left to do. Throws after `most_steps`.
  void run(std::uint64_t most_steps = 100000);
  void finish_log();

  // ---- What a script does.
  std::uint64_t request(requests::RequestSpec spec);  // arrives now; its id
  void tell(engine::Message::What what, std::uint64_t request, std::uint64_t a = 0, std::uint64_t b = 0);
  void swap(policy::Kind kind, const std::string& plugin, int gate = -1);
  void wait(std::uint64_t ns) { clock().wait_until(clock().now_ns() + ns); }
  std::vector<std::uint64_t> live() const;  // requests

  VirtualClock& clock() { return *rig_->device.virtual_clock; }
  execute::DeviceTime& device();
  execute::CopyTime& copies();
  engine::Engine& engine() { return *rig_->engine; }
  const std::vector<engine::Finished>& ends() const { return recorder_.ends(); }
  const engine::Finished& end_of(std::uint64_t request) const;
  const rig::Rig& rig() const { return *rig_; }
  std::string log_path() const { return rig_->config.observe.log; }
  const TempFolder& folder() const { return folder_; }

 private:
  TempFolder folder_;
  experiment::Recorder recorder_;
  std::unique_ptr<rig::Rig> rig_;
  std::multimap<std::uint64_t, std::function<void()>> script_;
  std::function<void()> after_each_;
};

// The configuration of a scene, its calibration written into `folder`.
config::Config config_of(const Scene& scene, const TempFolder& folder);

requests::RequestSpec ask(std::uint64_t seed, std::uint32_t prompt_tokens, std::uint32_t max_tokens);

// A load of everything: shared prefixes, n > 1, stops, cancellations, deadlines, pauses, releases, hints, hot
// swaps, failed steps and idle gaps, from a seed. `disturb`: with swaps and failed steps. Returns the number
// of sequences that will end.
std::uint64_t script_mixed_load(Stage& stage, std::uint64_t seed, std::uint32_t requests,
                                bool disturb = true);

}  // namespace serveloop::test
