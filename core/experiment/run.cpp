#include "experiment/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <unordered_map>

#include "experiment/trail.hpp"
#include "experiment/workload.hpp"

namespace serveloop::experiment {

namespace {

using rig::PlannedSwap;
using rig::Rig;

struct LoadedSwap {
  PlannedSwap planned;
  std::shared_ptr<engine::SwapOrder> order;
};
using Swaps = std::vector<LoadedSwap>;  // by step

// What can be wrong with a run before it starts, but for its policies.
struct Parts {
  Workload workload;
  Swaps swaps;
};

Result<Parts> load_parts(const Rig& rig, const std::vector<PlannedSwap>& planned) {
  const config::Config& config = rig.config;
  const engine::Options* o = &rig.options;
  if (config.workload.n > o->max_waiting)
    return fail("workload.n", fmt::format("at most engine.max_waiting = {}", o->max_waiting),
                std::to_string(config.workload.n), "raise engine.max_waiting");
  Result<Workload> workload = Workload::make(config.workload, o->context_tokens);
  if (!workload) return tl::unexpected(workload.error());
  if (Status held = workload->check_pool(o->kv_blocks, o->block_tokens); !held)
    return tl::unexpected(held.error());
  Swaps swaps;
  for (const PlannedSwap& asked : planned) {
    const PlannedSwap swap = rig::with_configured_options(asked, config.policy);
    if (swap.is_gate && swap.gate >= config.policy.gates.size())
      return fail("--swap",
                  fmt::format("a gate below {}, the number of policy.gates", config.policy.gates.size()),
                  std::to_string(swap.gate));
    auto order = rig::load_swap(swap, rig.host, rig::limits(*o));
    if (!order) return config.places.under("--swap " + asked.text, order.error());
    swaps.push_back({swap, *order});
  }
  std::stable_sort(swaps.begin(), swaps.end(),
                   [](const auto& a, const auto& b) { return a.planned.at_step < b.planned.at_step; });
  return Parts{std::move(*workload), std::move(swaps)};
}

// The loop around the loop: arrivals in, time on.
class Driver {
 public:
  Driver(Rig& rig, Recorder& recorder, Workload& workload, Swaps swaps, const RunOptions& options)
      : rig_(rig),
        recorder_(recorder),
        workload_(workload),
        swaps_(std::move(swaps)),
        planned_swaps_(swaps_.size()),
        options_(options),
        trail_(rig.engine->policies()) {}

  Status run() {
    engine::Engine& engine = *rig_.engine;
    while (true) {
      if (options_.stop && options_.stop()) {
        interrupted_ = true;
        break;
      }
      if (Status ok = feed(); !ok) return ok;
      const bool worked = engine.step();
      note_changes();
      for (const engine::Finished& end : recorder_.take_new()) ended(end.request, end.end_ns);
      if (options_.progress && engine.steps() % 512 == 0) report();
      if (worked) continue;
      const Issue* next = workload_.peek();
      const std::uint64_t at =
          std::min(next == nullptr ? SL_NEVER : next->spec.arrival_ns, engine.next_wake_ns());
      if (at == SL_NEVER) break;
      wait_until(at);
    }
    report();
    return {};
  }
  bool interrupted() const { return interrupted_; }
  const std::vector<std::string>& policies() const { return trail_.texts(); }
  std::uint64_t rejected() const { return rejected_; }
  // What was planned and did not happen, a line each.
  std::vector<std::string> missed() const {
    std::vector<std::string> lines;
    const std::uint64_t happened = rig_.engine->counters().swaps;
    if (const std::uint64_t failed = planned_swaps_ - swaps_.size() - happened; failed > 0)
      lines.push_back(
          fmt::format("of {} planned swaps {} failed or were under way at the end", planned_swaps_, failed));
    for (const LoadedSwap& swap : swaps_)
      lines.push_back(fmt::format("--swap {} did not happen: the run ended before that step, after {}",
                                  swap.planned.text, rig_.engine->steps()));
    return lines;
  }

 private:
  // In real time in short naps, so that a signal is heard.
  void wait_until(std::uint64_t at_ns) {
    constexpr std::uint64_t kNap = 50'000'000;
    Clock& clock = rig_.clock();
    clock.wait_until(rig_.device.virtual_clock != nullptr ? at_ns : std::min(at_ns, clock.now_ns() + kNap));
  }
  void note_changes() {
    const engine::Counters& c = rig_.engine->counters();
    if (const std::uint64_t now = c.swaps + c.ejected; now != changes_) {
      changes_ = now;
      trail_.note(rig_.engine->policies());
    }
  }
  Status feed() {
    engine::Engine& engine = *rig_.engine;
    while (!swaps_.empty() && swaps_.front().planned.at_step <= engine.steps()) {
      engine::Message message;
      message.what = engine::Message::What::swap;
      message.swap = swaps_.front().order;
      swaps_.erase(swaps_.begin());
      if (Status posted = engine.post(std::move(message)); !posted) return posted;
    }
    for (const Issue* next = workload_.peek();
         next != nullptr && next->spec.arrival_ns <= rig_.clock().now_ns(); next = workload_.peek()) {
      Issue issue = workload_.next();
      const std::uint32_t sequences = issue.spec.n;
      Result<std::shared_ptr<engine::Arrival>> arrival = engine.prepare(std::move(issue.spec));
      if (!arrival) return tl::unexpected(arrival.error());
      engine::Message message;
      message.what = engine::Message::What::arrive;
      message.arrival = *arrival;
      if (engine.post(std::move(message))) {
        under_way_[(*arrival)->id] = {issue.index, sequences};
      } else {
        ++rejected_;  // bounded intake: as a client would see it
        workload_.on_end(issue.index, rig_.clock().now_ns());
      }
    }
    return {};
  }
  // A request ends with its last sequence, or whole where it was refused.
  void ended(std::uint64_t request, std::uint64_t at_ns) {
    const auto found = under_way_.find(request);
    if (found == under_way_.end() || --found->second.sequences > 0) return;
    workload_.on_end(found->second.index, at_ns);
    under_way_.erase(found);
  }
  void report() const {
    if (options_.progress)
      options_.progress(
          {recorder_.ends().size(), workload_.total(), static_cast<double>(rig_.clock().now_ns()) * 1e-9});
  }

  Rig& rig_;
  Recorder& recorder_;
  Workload& workload_;
  Swaps swaps_;  // to come
  std::size_t planned_swaps_;
  const RunOptions& options_;
  struct UnderWay {
    std::uint64_t index;
    std::uint32_t sequences;
  };
  std::unordered_map<std::uint64_t, UnderWay> under_way_;  // by the engine's request id
  std::uint64_t rejected_ = 0;
  PolicyTrail trail_;
  std::uint64_t changes_ = 0;  // of policies
  bool interrupted_ = false;
};

Origin origin_of(const config::Config& config, const rig::LogHeader& header, const Swaps& swaps) {
  Origin from{header.config_toml, config.workload.seed, config.engine.seed, header.plugins, {}};
  for (const LoadedSwap& swap : swaps) {
    const engine::SwapOrder& order = *swap.order;
    from.swaps.push_back(swap.planned.text);
    from.plugins.push_back(order.eviction != nullptr     ? rig::mark_of(*order.eviction)
                           : order.preemption != nullptr ? rig::mark_of(*order.preemption)
                                                         : rig::mark_of(*order.scheduler));
  }
  return from;
}

}  // namespace

Status check(const config::Config& config, const std::vector<PlannedSwap>& swaps) {
  const Result<std::unique_ptr<Rig>> rig = Rig::load(config);
  if (!rig) return tl::unexpected(rig.error());
  if (const Result<Parts> parts = load_parts(**rig, swaps); !parts) return tl::unexpected(parts.error());
  (*rig)->config.observe.log.clear();
  engine::Output nobody;
  return (*rig)->start(nobody);
}

Result<Summary> run(const config::Config& config, const RunOptions& options) {
  const auto begun = std::chrono::steady_clock::now();
  Recorder recorder;
  Result<std::unique_ptr<Rig>> loaded = Rig::load(config, options.loading);
  if (!loaded) return tl::unexpected(loaded.error());
  Rig& rig = **loaded;
  Result<Parts> parts = load_parts(rig, options.swaps);
  if (!parts) return tl::unexpected(parts.error());
  Origin origin = origin_of(config, rig.header, parts->swaps);
  if (Status started = rig.start(recorder); !started) return tl::unexpected(started.error());
  const std::uint64_t start_ns = rig.clock().now_ns();
  Driver driver(rig, recorder, parts->workload, std::move(parts->swaps), options);
  if (Status ran = driver.run(); !ran) {
    if (rig.log != nullptr) std::remove(config.observe.log.c_str());
    return tl::unexpected(ran.error());
  }
  Summary summary;
  summary.name = options.name;
  summary.policies = driver.policies();
  summary.origin = std::move(origin);
  summary.interrupted = driver.interrupted();
  recorder.summarise(summary);
  summary.counters = rig.engine->counters();
  summary.decisions = rig.engine->decisions().list();
  summary.rejected += driver.rejected();
  summary.dropped = parts->workload.dropped_total();
  summary.first_dropped = parts->workload.first_dropped();
  summary.unfinished = rig.engine->requests().live_count();
  summary.incidents = rig.engine->incidents();
  summary.missed = driver.missed();
  summary.seconds = static_cast<double>(rig.clock().now_ns() - start_ns) * 1e-9;
  if (rig.log != nullptr)
    if (Status written = rig.log->finish({}); !written) return tl::unexpected(written.error());
  summary.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return summary;
}

}  // namespace serveloop::experiment
