#include "experiment/run.hpp"

#include <fmt/format.h>
#include <serveloop/events.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <unordered_map>

#include "experiment/by_label.hpp"
#include "experiment/trail.hpp"

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
  Result<Workload> workload = workload_for(config.workload, rig.options);
  if (!workload) return tl::unexpected(workload.error());
  Swaps swaps;
  for (const PlannedSwap& asked : planned) {
    const PlannedSwap swap = rig::with_configured_options(asked, config.policy);
    if (swap.is_gate && swap.gate >= config.policy.gates.size())
      return fail("--swap",
                  fmt::format("a gate below {}, the number of policy.gates", config.policy.gates.size()),
                  std::to_string(swap.gate));
    auto order = rig::load_swap(swap, rig.host, rig::limits(rig.options));
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
        trail_(rig.engine->policies()),
        used_since_ns_(rig.clock().now_ns()) {
    if (workload_.wants_generated()) recorder_.keep_generated();
  }

  Status run() {
    engine::Engine& engine = *rig_.engine;
    while (true) {
      if (options_.stop && options_.stop()) {
        interrupted_ = true;
        break;
      }
      if (Status ok = feed(); !ok) return ok;
      const bool worked = timed_step();
      watch_pool();
      note_changes();
      if (options_.stepped) options_.stepped(engine);
      for (const engine::Finished& end : recorder_.take_new()) ended(end);
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
  const PoolUse& pool() const { return pool_; }
  // Of this machine, in steps that did work; kNone where they wait for a device.
  double host_seconds() const {
    return rig_.device.virtual_clock == nullptr ? kNone : std::chrono::duration<double>(in_steps_).count();
  }
  const std::vector<std::string>& policies() const { return trail_.texts(); }
  std::uint64_t rejected() const { return rejected_; }
  const ByLabel& by_label() const { return by_label_; }
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
  struct UnderWay {
    std::uint64_t index = 0, identity = 0, begun_ns = 0;  // of its issue
    std::uint32_t sequences = 0;                          // to end
    ByLabel::Labelled labelled;
    bool whole = true;  // all that ended came whole
  };
  bool timed_step() {
    const auto begun = std::chrono::steady_clock::now();
    const bool worked = rig_.engine->step();
    if (worked) in_steps_ += std::chrono::steady_clock::now() - begun;
    return worked;
  }
  // In real time in short naps, so that a signal is heard.
  void wait_until(std::uint64_t at_ns) {
    constexpr std::uint64_t kNap = 50'000'000;
    Clock& clock = rig_.clock();
    clock.wait_until(rig_.device.virtual_clock != nullptr ? at_ns : std::min(at_ns, clock.now_ns() + kNap));
  }
  // What a step left is so until the next one has ended.
  void watch_pool() {
    const std::uint64_t now_ns = rig_.clock().now_ns();
    pool_.add(use_, now_ns - used_since_ns_);
    use_ = rig_.engine->kv_use();
    used_since_ns_ = now_ns;
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
      const std::uint64_t arrival_ns = issue.spec.arrival_ns;
      const UnderWay way{issue.index,  issue.identity,         issue.begun_ns,
                         issue.spec.n, by_label_.begin(issue), true};
      if (issue.parent) issue.spec.parent = ids_[*issue.parent];
      Result<std::shared_ptr<engine::Arrival>> arrival = engine.prepare(std::move(issue.spec));
      if (!arrival) return tl::unexpected(arrival.error());
      ids_.push_back((*arrival)->id);  // by the issue's index
      engine::Message message;
      message.what = engine::Message::What::arrive;
      message.arrival = *arrival;
      if (engine.post(std::move(message))) {
        under_way_[(*arrival)->id] = way;
      } else {
        ++rejected_;  // bounded intake: as a client would see it
        by_label_.refused(way.labelled, way.sequences);
        tell_refused(way, arrival_ns);
        workload_.on_end(way.index, rig_.clock().now_ns(), {false, {}});
      }
    }
    return {};
  }
  // A request ends with its last sequence, or whole where it was refused.
  void ended(const engine::Finished& end) {
    const auto found = under_way_.find(end.request);
    if (found == under_way_.end()) return;
    UnderWay& request = found->second;
    tell(request, end);
    by_label_.ended(request.labelled, end);
    request.whole = request.whole && is_complete(end);
    if (--request.sequences > 0) return;
    const std::vector<requests::Token> generated = recorder_.take_generated(end.request);
    workload_.on_end(request.index, end.end_ns, {request.whole, generated});
    under_way_.erase(found);
  }
  void tell(const UnderWay& way, const engine::Finished& end) const {
    if (options_.ended) options_.ended({way.identity, way.begun_ns, way.labelled.stated, end});
  }
  void tell_refused(const UnderWay& way, std::uint64_t arrival_ns) const {
    engine::Finished end;
    end.finish = SL_FINISH_REJECTED;
    end.arrival_ns = arrival_ns;
    for (; end.fork < way.sequences; ++end.fork) tell(way, end);
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
  std::unordered_map<std::uint64_t, UnderWay> under_way_;  // by the engine's request id
  std::vector<std::uint64_t> ids_;                         // the engine's, of the issues so far
  std::uint64_t rejected_ = 0;
  ByLabel by_label_;
  PolicyTrail trail_;
  std::uint64_t changes_ = 0;  // of policies
  bool interrupted_ = false;
  PoolUse pool_;
  engine::KvUse use_;
  std::uint64_t used_since_ns_ = 0;
  std::chrono::steady_clock::duration in_steps_{};
};

std::optional<ChainFigures> figures_of(const Chains* chains, bool programs) {
  if (chains == nullptr) return std::nullopt;
  const std::vector<std::uint64_t>& ns = chains->completed_ns();
  ChainFigures out{programs, ns.size(), chains->broken(), percentiles(ns), kNone};
  double sum = 0;
  for (const std::uint64_t one : ns) sum += static_cast<double>(one) * 1e-6;
  if (!ns.empty()) out.mean_ms = sum / static_cast<double>(ns.size());
  return out;
}

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

Result<Workload> workload_for(const config::Workload& config, const engine::Options& options) {
  if (config.n > options.max_waiting)
    return fail("workload.n", fmt::format("at most engine.max_waiting = {}", options.max_waiting),
                std::to_string(config.n), "raise engine.max_waiting");
  Result<Workload> workload = Workload::make(config, options.context_tokens, options.vocabulary);
  if (!workload) return workload;
  if (Status held = workload->check_pool(options.kv_blocks, options.block_tokens); !held)
    return tl::unexpected(held.error());
  return workload;
}

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
  driver.by_label().summarise(summary);
  summary.chains = figures_of(parts->workload.chains(), config.workload.source == "programs");
  summary.pool = driver.pool();
  summary.host_seconds = driver.host_seconds();
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
