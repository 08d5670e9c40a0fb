#include "experiment/simulate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <unordered_map>

#include "experiment/workload.hpp"

namespace serveloop::experiment {

namespace {

constexpr const char* kSwapForm = "at=STEP,scheduler=NAME (or eviction=, preemption=, gate=INDEX:NAME)";

bool number(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

Result<PlannedSwap> parse_swap(const std::string& text) {
  const auto bad = [&] { return fail("--swap", kSwapForm, "'" + text + "'"); };
  const std::size_t comma = text.find(',');
  if (comma == std::string::npos || text.rfind("at=", 0) != 0) return bad();
  PlannedSwap swap;
  if (!number(std::string_view(text).substr(3, comma - 3), swap.at_step)) return bad();
  const std::string rest = text.substr(comma + 1);
  const std::size_t equals = rest.find('=');
  if (equals == std::string::npos || equals + 1 == rest.size()) return bad();
  const std::string kind = rest.substr(0, equals);
  swap.plugin =
      rest.substr(equals + 1);  // a path is made absolute below, so that a replay finds it from anywhere
  if (kind == "scheduler")
    swap.kind = policy::Kind::scheduler;
  else if (kind == "eviction")
    swap.kind = policy::Kind::eviction;
  else if (kind == "preemption")
    swap.kind = policy::Kind::preemption;
  else if (kind == "gate") {
    swap.kind = policy::Kind::scheduler;
    swap.is_gate = true;
    const std::size_t colon = swap.plugin.find(':');
    std::uint64_t index = 0;
    if (colon == std::string::npos || !number(std::string_view(swap.plugin).substr(0, colon), index))
      return bad();
    swap.gate = static_cast<std::uint32_t>(index);
    swap.plugin.erase(0, colon + 1);
  } else if (kind == "precision") {
    return fail("--swap", "a scheduler, gate, eviction or preemption plugin", "precision",
                "precision is fixed when weights are loaded; start another engine");
  } else {
    return bad();
  }
  if (policy::Search::is_path(swap.plugin)) swap.plugin = std::filesystem::absolute(swap.plugin).string();
  return swap;
}

Result<std::shared_ptr<engine::SwapOrder>> load_swap(const PlannedSwap& swap, const policy::Host& host,
                                                     const policy::Limits& limits) {
  auto order = std::make_shared<engine::SwapOrder>();
  order->kind = swap.kind;
  order->is_gate = swap.is_gate;
  order->gate = swap.gate;
  order->plugin = swap.plugin;
  const policy::Choice choice{swap.plugin, {}};
  const auto take = [](auto loaded, auto& into) -> Status {
    if (!loaded) return tl::unexpected(loaded.error());
    into = *loaded;
    if (into->manifest().swap == policy::SwapClass::none)
      return fail(fmt::format("'{}' cannot be swapped in", into->id()),
                  "swap = \"events\" or \"state\" in its manifest", "\"none\"",
                  "start an engine with it instead");
    return {};
  };
  Status loaded;
  switch (swap.kind) {
    case policy::Kind::eviction: loaded = take(host.load_eviction(choice, limits), order->eviction); break;
    case policy::Kind::preemption:
      loaded = take(host.load_preemption(choice, limits), order->preemption);
      break;
    default:
      loaded = take(swap.is_gate ? host.load_gate(choice, limits) : host.load_scheduler(choice, limits),
                    order->scheduler);
  }
  if (!loaded) return tl::unexpected(loaded.error());
  return order;
}

namespace {

using Swaps = std::vector<std::pair<std::uint64_t, std::shared_ptr<engine::SwapOrder>>>;  // by step

// What can be wrong with a run before it starts, but for its policies.
struct Parts {
  Workload workload;
  Swaps swaps;
};

Result<Parts> load_parts(const config::Config& config, const std::vector<PlannedSwap>& planned) {
  const Result<Model> model = load_model(config);
  if (!model) return tl::unexpected(model.error());
  const Result<engine::Options> o = engine_options(config, *model);
  if (!o) return tl::unexpected(o.error());
  const std::uint64_t pool_tokens = std::uint64_t{o->kv_blocks} * o->block_tokens + 1;
  Result<Workload> workload = Workload::make(
      config.workload, static_cast<std::uint32_t>(std::min<std::uint64_t>(pool_tokens, o->context_tokens)));
  if (!workload) return tl::unexpected(workload.error());
  Swaps swaps;
  const policy::Host host = plugin_host(config);
  for (const PlannedSwap& swap : planned) {
    if (swap.is_gate && swap.gate >= config.policy.gates.size())
      return fail("--swap",
                  fmt::format("a gate below {}, the number of policy.gates", config.policy.gates.size()),
                  std::to_string(swap.gate));
    auto order = load_swap(swap, host, limits(*o));
    if (!order) return tl::unexpected(order.error());
    swaps.emplace_back(swap.at_step, *order);
  }
  std::stable_sort(swaps.begin(), swaps.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return Parts{std::move(*workload), std::move(swaps)};
}

// The loop around the loop: arrivals in, time on.
class Driver {
 public:
  Driver(Rig& rig, Workload& workload, Swaps swaps, const SimulateOptions& options)
      : rig_(rig), workload_(workload), swaps_(std::move(swaps)), options_(options) {}

  Status run() {
    engine::Engine& engine = *rig_.engine;
    while (true) {
      if (Status ok = feed(); !ok) return ok;
      const bool worked = engine.step();
      for (const engine::Finished& end : rig_.recorder.take_new()) ended(end.request, end.end_ns);
      if (options_.progress && engine.steps() % 512 == 0) report();
      if (worked) continue;
      const Issue* next = workload_.peek();
      const std::uint64_t at =
          std::min(next == nullptr ? SL_NEVER : next->spec.arrival_ns, engine.next_wake_ns());
      if (at == SL_NEVER) break;
      rig_.clock->wait_until(at);
    }
    report();
    return {};
  }
  std::uint64_t rejected() const { return rejected_; }

 private:
  Status feed() {
    engine::Engine& engine = *rig_.engine;
    while (!swaps_.empty() && swaps_.front().first <= engine.steps()) {
      engine::Message message;
      message.what = engine::Message::What::swap;
      message.swap = swaps_.front().second;
      swaps_.erase(swaps_.begin());
      if (Status posted = engine.post(std::move(message)); !posted) return posted;
    }
    for (const Issue* next = workload_.peek();
         next != nullptr && next->spec.arrival_ns <= rig_.clock->now_ns(); next = workload_.peek()) {
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
        workload_.on_end(issue.index, rig_.clock->now_ns());
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
          {rig_.recorder.ends().size(), workload_.total(), static_cast<double>(rig_.clock->now_ns()) * 1e-9});
  }

  Rig& rig_;
  Workload& workload_;
  Swaps swaps_;
  const SimulateOptions& options_;
  struct UnderWay {
    std::uint64_t index;
    std::uint32_t sequences;
  };
  std::unordered_map<std::uint64_t, UnderWay> under_way_;  // by the engine's request id
  std::uint64_t rejected_ = 0;
};

}  // namespace

Status check(const config::Config& config, const std::vector<PlannedSwap>& swaps) {
  if (const Result<Parts> parts = load_parts(config, swaps); !parts) return tl::unexpected(parts.error());
  config::Config quiet = config;
  quiet.observe.log.clear();
  if (const Result<std::unique_ptr<Rig>> rig = assemble(quiet); !rig) return tl::unexpected(rig.error());
  return {};
}

Result<Summary> simulate(const config::Config& config, const SimulateOptions& options) {
  const auto begun = std::chrono::steady_clock::now();
  Result<Parts> parts = load_parts(config, options.swaps);  // before the rig, which opens the step log
  if (!parts) return tl::unexpected(parts.error());
  Result<std::unique_ptr<Rig>> rig = assemble(config);
  if (!rig) return tl::unexpected(rig.error());
  Driver driver(**rig, parts->workload, std::move(parts->swaps), options);
  if (Status ran = driver.run(); !ran) {
    if ((*rig)->log != nullptr) std::remove(config.observe.log.c_str());
    return tl::unexpected(ran.error());
  }
  Summary summary;
  summary.name = options.name;
  summary.policies = (*rig)->policies;
  (*rig)->recorder.summarise(summary);
  summary.counters = (*rig)->engine->counters();
  summary.rejected += driver.rejected();
  summary.dropped = parts->workload.dropped_total();
  summary.unfinished = (*rig)->engine->requests().live_count();
  summary.incidents = (*rig)->engine->incidents();
  summary.seconds = static_cast<double>((*rig)->clock->now_ns()) * 1e-9;
  if ((*rig)->log != nullptr)
    if (Status written = (*rig)->log->finish({}); !written) return tl::unexpected(written.error());
  summary.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return summary;
}

}  // namespace serveloop::experiment
