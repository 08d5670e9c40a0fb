#include "cli/runs.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options/value_semantic.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "cli/model_options.hpp"
#include "cli/output.hpp"
#include "experiment/run.hpp"

namespace serveloop::cli {

namespace {

// Headings: the files' names; with their folders where two would be equal, and a number where they still are.
std::vector<std::string> headings(const std::vector<std::string>& paths) {
  const auto stem = [](const std::string& path) { return std::filesystem::path(path).stem().string(); };
  std::vector<std::string> out;
  for (const std::string& path : paths) {
    const bool alone = std::count_if(paths.begin(), paths.end(), [&](const std::string& other) {
                         return stem(other) == stem(path);
                       }) == 1;
    const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
    out.push_back(alone ? stem(path) : whole.parent_path().filename().string() + "/" + stem(path));
  }
  const std::vector<std::string> before = out;
  for (std::size_t i = 0; i < out.size(); ++i)
    if (const auto equal =
            std::count(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(i), out[i]);
        equal > 0)
      out[i] += fmt::format(" ({})", equal + 1);
  return out;
}

experiment::RunOptions options_for(const RunKind& kind, const std::string& name,
                                   const std::vector<rig::PlannedSwap>& swaps) {
  experiment::RunOptions options;
  options.name = name;
  options.stop = [] { return interrupted() != 0; };
  options.swaps = swaps;
  options.loading = [](const std::string& what) { fmt::print(stderr, "serveloop: {}\n", what); };
  options.progress = [name = options.name, seconds = kind.seconds,
                      last = std::chrono::steady_clock::time_point{}](const experiment::Progress& p) mutable {
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(100)) return;
    last = now;
    const double share = p.total == 0 ? 0 : static_cast<double>(p.ended) / static_cast<double>(p.total);
    progress_bar(name, share,
                 fmt::format("{} of {} requests, {:.0f} {}", p.ended, p.total, p.seconds, seconds));
  };
  return options;
}

// What is written must be nothing else that is written or read.
Status check_files(const std::vector<std::string>& paths, const std::vector<config::Config>& configs,
                   const std::string& json) {
  std::vector<NamedPath> inputs, outputs{{"--json", json}};
  for (std::size_t i = 0; i < configs.size(); ++i) {
    inputs.push_back({"a configuration", paths[i]});
    inputs.push_back({"the trace of " + paths[i], configs[i].workload.trace});
    inputs.push_back({"the calibration of " + paths[i], configs[i].simulated.calibration});
    outputs.push_back({fmt::format("the step log of {}", paths[i]), configs[i].observe.log});
  }
  return check_distinct(inputs, outputs);
}

// A run in real time cannot be had again, so it always leaves its step log: NAME.slog where none is named.
void name_logs(const std::vector<std::string>& names, std::vector<config::Config>& configs) {
  for (std::size_t i = 0; i < configs.size(); ++i) {
    if (!configs[i].observe.log.empty()) continue;
    std::string name = names[i] + ".slog";
    std::replace(name.begin(), name.end(), '/', '-');
    configs[i].observe.log = std::filesystem::absolute(name).string();
  }
}

// Virtual time for devices that are modelled, real time for those that compute.
Status check_executor(const RunKind& kind, const std::string& path, const config::Config& config) {
  if (rig::is_real(config) == kind.real) return {};
  return fail(path + ": engine.executor", kind.real ? "cpu" : "simulated, hash or null",
              "'" + config.engine.executor + "'",
              kind.real ? "`serveloop simulate` runs this one" : "`serveloop bench` runs this one");
}

}  // namespace

int run_configurations(const Arguments& arguments, const RunKind& kind) {
  std::vector<std::string> configs, overrides, swap_texts;
  std::string log, json;
  ModelOptions model;
  po::options_description described("options");
  described.add_options()("config", po::value(&configs)->required()->composing(),
                          "configuration to run (TOML; docs/CONFIG.md); repeat to compare")(
      "set", po::value(&overrides)->composing(), "override a key, in all configurations: a.b=c")(
      "swap", po::value(&swap_texts)->composing(),
      "change a policy between two steps: at=STEP,scheduler=NAME (or eviction=, preemption=, "
      "gate=INDEX:NAME), then any options: ,OPTION=VALUE or ,options={OPTION=VALUE}; without, those that the "
      "configuration gives that plugin in that place")(
      "log", po::value(&log), "write the step log here (as [observe] log; with one configuration)")(
      "json", po::value(&json), "write the table as JSON here");
  if (kind.real) add_model_options(described, model);
  po::positional_options_description positional;
  positional.add("config", -1);
  int status = kOk;
  if (!parse(arguments, described, positional, kind.help, status)) return status;
  add_overrides(model, overrides);
  if (!log.empty() && configs.size() > 1)
    return bad_input(
        {"--log", "one configuration", fmt::format("{}", configs.size()), "set [observe] log in each"});
  if (!log.empty())
    overrides.push_back("observe.log=" +
                        toml::to_inline(toml::Value(std::filesystem::absolute(log).string())));

  std::vector<rig::PlannedSwap> swaps;
  for (const std::string& text : swap_texts) {
    Result<rig::PlannedSwap> swap = rig::parse_swap(text);
    if (!swap) return bad_input(swap.error());
    swaps.push_back(*swap);
  }
  std::vector<config::Config> loaded;
  for (const std::string& path : configs) {  // all are checked before one runs
    Result<config::Config> config = config::load(path, overrides);
    if (!config) return bad_input(config.error());
    if (Status found = rig::resolve_calibration(*config, config::folder_of(path)); !found)
      return bad_input(found.error());
    if (Status right = check_executor(kind, path, *config); !right) return bad_input(right.error());
    loaded.push_back(std::move(*config));
  }
  const std::vector<std::string> names = headings(configs);
  if (kind.real) name_logs(names, loaded);
  if (Status distinct = check_files(configs, loaded, json); !distinct) return bad_input(distinct.error());
  if (!kind.real && (loaded.size() > 1 || !json.empty()))  // a model is not read twice
    for (const config::Config& config : loaded)
      if (Status good = experiment::check(config, swaps); !good) return bad_input(good.error());
  std::optional<OutputFile> json_out;
  if (!json.empty()) {
    Result<OutputFile> created = OutputFile::create(json);
    if (!created) return bad_input(created.error());
    json_out.emplace(std::move(*created));
  }
  std::vector<experiment::Summary> runs;
  bool as_asked = true;
  catch_interrupts();
  for (std::size_t i = 0; i < loaded.size() && interrupted() == 0; ++i) {
    set_log_level(loaded[i].observe.log_level);
    Result<experiment::Summary> run = experiment::run(loaded[i], options_for(kind, names[i], swaps));
    if (!run) return bad_input(run.error());
    end_progress();
    as_asked = as_asked && run->unfinished == 0 && run->missed.empty() && run->counters.ejected == 0;
    runs.push_back(std::move(*run));
  }
  const bool whole = runs.size() == loaded.size() && !runs.back().interrupted;
  fmt::print("{}", runs.empty() ? "" : experiment::table(runs, terminal_width(STDOUT_FILENO)));
  if (kind.real)
    for (std::size_t i = 0; i < runs.size(); ++i) fmt::print("step log: {}\n", loaded[i].observe.log);
  stdout_arrived();  // what follows on standard error stands below
  for (const experiment::Summary& run : runs)
    for (const std::string& line : run.missed)
      fmt::print(stderr, "serveloop: warning: {}: {}\n", run.name, line);
  if (json_out && !runs.empty())
    if (Status written = json_out->commit(experiment::to_json(runs)); !written)
      return bad_input(written.error());
  if (!whole) {
    fmt::print(stderr, "serveloop: interrupted: {} of {} configurations ran whole\n",
               runs.size() - (!runs.empty() && runs.back().interrupted ? 1 : 0), loaded.size());
    return 128 + interrupted();
  }
  return as_asked ? kOk : kNegative;
}

}  // namespace serveloop::cli
