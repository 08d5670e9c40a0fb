#include "experiment/ab/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "experiment/ab/metrics.hpp"
#include "policy/object_file.hpp"
#include "rig/rig.hpp"

namespace serveloop::experiment::ab {

namespace {

using config::AbFile;
using config::AbWorkload;
using config::Arm;
using config::Config;

// An error about an arm, with its place.
tl::unexpected<Error> of_arm(const AbFile& file, const Arm& arm, Error error) {
  const std::string place = arm.place.empty() ? file.source : arm.place;
  return about(fmt::format("{}: arm '{}'", place, arm.name), std::move(error));
}

Result<Config> load_config(const AbWorkload& workload, const std::vector<config::Override>& overrides) {
  Result<Config> config = config::load(workload.base, overrides);
  if (!config) return config;
  if (Status found = rig::resolve_calibration(*config, config::folder_of(workload.base)); !found)
    return tl::unexpected(config->places.placed(found.error()));
  config->observe.log.clear();
  return config;
}

std::vector<Repeat> repeats_of(const AbWorkload& asked, const config::Workload& base) {
  std::vector<Repeat> out;
  for (const std::uint64_t seed : asked.seeds) out.push_back({seed, base.window});
  for (const config::Window& window : asked.windows) out.push_back({base.seed, window});
  if (out.empty())
    for (std::uint32_t i = 0; i < asked.repeats.value_or(1); ++i) out.push_back({base.seed + i, base.window});
  return out;
}

bool in_chains(const config::Workload& workload) {
  return workload.source == "sessions" || workload.source == "programs";
}

std::string hash_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return policy::sha256_hex({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

// What is read of an arm before it runs.
struct Checked {
  Config config;
  std::string identity;  // of device, model, policies
  engine::Options options;
};

std::string identity_of(const rig::Rig& rig) {
  observe::Writer facts;
  encode(rig.device.facts, facts);
  std::string out = rig.header.abi_stamp + "\n" + policy::sha256_hex(facts.bytes()) + "\n";
  for (const rig::PluginMark& p : rig.header.plugins)
    out += fmt::format("{} {} {} {}\n", p.kind, p.id, p.version, p.sha256);
  if (rig.device.model) out += rig.device.model->description + "\n" + rig.device.model->processor + "\n";
  return out;
}

// Loads all that the arm needs, and the requests of each repeat.
Result<Checked> check_arm(const Config& config, const std::vector<Repeat>& repeats,
                          const rig::Progress& progress) {
  Result<std::unique_ptr<rig::Rig>> rig = rig::Rig::load(config, progress);
  if (!rig) return tl::unexpected(rig.error());
  for (const Repeat& repeat : repeats) {
    config::Workload workload = config.workload;
    workload.seed = repeat.seed, workload.window = repeat.window;
    if (const Result<Workload> made = workload_for(workload, (*rig)->options); !made)
      return tl::unexpected(made.error());
  }
  Checked checked{config, identity_of(**rig), (*rig)->options};
  engine::Output nobody;
  if (Status started = (*rig)->start(nobody); !started) return tl::unexpected(started.error());
  return checked;
}

// How many requests are dropped, by repeat: another number, and requests would not be those of the other arms. Not of
// sessions and programs, in whose prompts answers stand.
std::vector<std::uint64_t> dropped(const Checked& arm, const std::vector<Repeat>& repeats) {
  std::vector<std::uint64_t> out;
  for (const Repeat& repeat : repeats) {
    config::Workload config = arm.config.workload;
    config.seed = repeat.seed, config.window = repeat.window;
    Result<Workload> workload = Workload::make(config, arm.options.context_tokens);
    while (workload && workload->peek() != nullptr) {
      const Issue issue = workload->next();
      workload->on_end(issue.index, issue.spec.arrival_ns);
    }
    out.push_back(workload ? workload->dropped_total() : 0);
  }
  return out;
}

Status check_alike(const AbFile& file, const std::vector<Checked>& arms, const std::vector<Repeat>& repeats) {
  const Checked& first = arms.front();
  for (std::size_t i = 1; i < arms.size(); ++i) {
    const bool real = rig::is_real(arms[i].config);
    if (real != rig::is_real(first.config))
      return of_arm(
          file, file.arms[i],
          {"engine.executor", real ? "virtual time, as in the first arm" : "real time, as in the first arm",
           "'" + arms[i].config.engine.executor + "'", ""});
    if (arms[i].options.context_tokens == first.options.context_tokens) continue;
    const bool chains = in_chains(first.config.workload);
    if (chains || dropped(arms[i], repeats) != dropped(first, repeats))
      return of_arm(file, file.arms[i],
                    {"engine.context_tokens",
                     chains ? std::to_string(first.options.context_tokens) + ", as in the first arm"
                            : "one that drops the same requests as the first arm's",
                     std::to_string(arms[i].options.context_tokens), "arms are compared request by request"});
  }
  return {};
}

std::string fingerprint_of(const Config& config, const std::string& identity, const std::string& files) {
  const std::string all = "1\n" + files + identity + config::to_toml(config);
  return policy::sha256_hex({reinterpret_cast<const std::uint8_t*>(all.data()), all.size()});
}

void add_runs(const std::vector<Checked>& arms, Plan& plan) {
  const std::string& trace = arms.front().config.workload.trace;
  const std::string files =
      hash_of_file("/proc/self/exe") + "\n" + (trace.empty() ? "" : hash_of_file(trace)) + "\n";
  for (std::size_t repeat = 0; repeat < plan.repeats.size(); ++repeat)
    for (const std::size_t arm : order_of(arms.size(), repeat)) {
      PlannedRun run{arm, repeat, arms[arm].config, ""};
      run.config.workload.seed = plan.repeats[repeat].seed;
      run.config.workload.window = plan.repeats[repeat].window;
      run.fingerprint = fingerprint_of(run.config, arms[arm].identity, files);
      plan.runs.push_back(std::move(run));
    }
}

// The base by itself: so its own mistakes are not blamed on an arm.
Result<Config> load_base(const AbFile& file, const AbWorkload& workload,
                         const std::vector<config::Override>& common) {
  Result<Config> base = load_config(workload, common);
  if (!base) return base;
  if (base->workload.source.empty())
    return fail(base->places.named("workload"), "trace = \"PATH\" or source = \"synthetic\"", "neither");
  if (!workload.windows.empty() && base->workload.source != "trace")
    return fail(fmt::format("{}: {}.windows", file.source, workload.name.empty() ? "ab" : workload.name),
                "a base with a trace", "workload.source = \"" + base->workload.source + "\"",
                "state repeats or seeds");
  return base;
}

}  // namespace

Result<Plan> make_plan(const AbFile& file, const AbWorkload& workload,
                       const std::vector<config::Override>& common, const rig::Progress& progress) {
  if (Status known = check_metrics(file.metrics); !known) return about(file.source, known.error());
  const Result<Config> base = load_base(file, workload, common);
  if (!base) return tl::unexpected(base.error());
  Plan plan;
  plan.file = file;
  plan.workload = workload;
  plan.repeats = repeats_of(workload, base->workload);
  std::vector<Checked> arms;
  for (const Arm& arm : file.arms) {
    if (arm.name == file.baseline) plan.baseline = arms.size();
    std::vector<config::Override> overrides = common;
    overrides.insert(overrides.end(), arm.overrides.begin(), arm.overrides.end());
    const Result<Config> config = load_config(workload, overrides);
    if (!config) return of_arm(file, arm, config.error());
    Result<Checked> checked = check_arm(*config, plan.repeats, progress);
    if (!checked) return of_arm(file, arm, config->places.placed(checked.error()));
    arms.push_back(std::move(*checked));
  }
  if (Status alike = check_alike(file, arms, plan.repeats); !alike) return tl::unexpected(alike.error());
  plan.real_time = rig::is_real(arms.front().config);
  add_runs(arms, plan);
  return plan;
}

std::vector<std::size_t> order_of(std::size_t arms, std::size_t repeat) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < arms; ++i) order.push_back((i + repeat / 2) % arms);
  if (repeat % 2 == 1) std::reverse(order.begin(), order.end());
  return order;
}

Result<std::optional<RunResult>> run_one(const Plan& plan, const PlannedRun& planned, RunOptions options) {
  std::vector<SequenceResult> sequences;
  options.ended = [&](const SequenceEnd& end) { sequences.push_back(result_of(end)); };
  const Arm& arm = plan.file.arms[planned.arm];
  Result<Summary> summary = run(planned.config, options);
  if (!summary) return of_arm(plan.file, arm, planned.config.places.placed(summary.error()));
  if (summary->interrupted) return std::optional<RunResult>();
  RunResult result = result_of(*summary, std::move(sequences));
  result.fingerprint = planned.fingerprint;
  result.arm = arm.name;
  result.repeat = planned.repeat + 1;
  return std::optional<RunResult>(std::move(result));
}

bool same_as_first(const std::vector<std::vector<RunResult>>& arms) {
  return std::all_of(arms.begin(), arms.end(), [](const std::vector<RunResult>& runs) {
    return runs.back().sequences == runs.front().sequences;
  });
}

}  // namespace serveloop::experiment::ab
