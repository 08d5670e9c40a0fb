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
#include "rig/model_file.hpp"

namespace serveloop::cli {

namespace {

// What is run: a configuration, with one of the overrides that --vary names.
struct Column {
  std::string config, varied;  // empty: as it stands
  std::string heading;
};

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

// "scheduler=sarathi" of "policy.scheduler=sarathi"; whole where the key alone does not say whose it is.
std::string short_name(const std::string& assignment) {
  if (assignment.starts_with("tenants.") || assignment.starts_with("policy.gate.")) return assignment;
  const std::size_t equals = std::min(assignment.find('='), assignment.size());
  return assignment.substr(equals == 0 ? 0 : assignment.rfind('.', equals - 1) + 1);
}

// Each configuration as often as --vary was given, or once.
std::vector<Column> columns_of(const std::vector<std::string>& configs, std::vector<std::string> varied) {
  std::vector<Column> columns;
  const std::vector<std::string> names = headings(configs);
  if (varied.empty()) varied.emplace_back();
  for (std::size_t i = 0; i < configs.size(); ++i)
    for (const std::string& one : varied) {
      const std::string file = one.empty() || configs.size() > 1 ? names[i] : "";
      columns.push_back({configs[i], one, file + (file.empty() || one.empty() ? "" : " ") + short_name(one)});
    }
  return columns;
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
Status check_files(const std::vector<Column>& columns, const std::vector<config::Config>& configs,
                   const std::string& json) {
  std::vector<NamedPath> inputs, outputs{{"--json", json}};
  for (std::size_t i = 0; i < configs.size(); ++i) {
    const std::string what =
        columns[i].config + (columns[i].varied.empty() ? "" : " with " + columns[i].varied);
    inputs.push_back({"a configuration", columns[i].config});
    inputs.push_back({"the trace of " + what, configs[i].workload.trace});
    inputs.push_back({"the calibration of " + what, configs[i].simulated.calibration});
    outputs.push_back({"the step log of " + what, configs[i].observe.log});
  }
  return check_distinct(inputs, outputs);
}

// NAME.slog in the current folder, or the first of NAME-2.slog, NAME-3.slog, ... that is not there.
std::string unused_log(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '/' || c == ' ' || c == '='; }, '-');
  std::filesystem::path path = std::filesystem::absolute(name + ".slog");
  for (int i = 2; std::filesystem::exists(std::filesystem::symlink_status(path)); ++i)
    path.replace_filename(fmt::format("{}-{}.slog", name, i));
  return path.string();
}

// A run in real time cannot be had again, so it always leaves its step log, and never in place of an earlier one
// that nobody named.
void name_logs(const std::vector<Column>& columns, std::vector<config::Config>& configs) {
  for (std::size_t i = 0; i < configs.size(); ++i)
    if (configs[i].observe.log.empty()) configs[i].observe.log = unused_log(columns[i].heading);
}

// Virtual time for devices that are modelled, real time for those that compute.
Status check_executor(const RunKind& kind, const config::Config& config) {
  if (rig::is_real(config) == kind.real) return {};
  return fail(config.places.named("engine.executor"), kind.real ? "cpu or cuda" : "simulated, hash or null",
              "'" + config.engine.executor + "'",
              kind.real ? "`serveloop simulate` runs this one" : "`serveloop bench` runs this one");
}

struct Asked {
  std::vector<std::string> configs, overrides, varied, swaps;
  std::string log, json;
  ModelOptions model;
};

// False: `status` is the exit code.
bool read_options(const Arguments& arguments, const RunKind& kind, Asked& asked, int& status) {
  po::options_description described("options");
  described.add_options()("config", po::value(&asked.configs)->required()->composing(),
                          "configuration to run (TOML; docs/CONFIG.md); repeat to compare")(
      "set", po::value(&asked.overrides)->composing(), kSetHelp)(
      "vary", po::value(&asked.varied)->composing(),
      "run each configuration with this override, in a column of its own: a.b=c; repeat to compare")(
      "swap", po::value(&asked.swaps)->composing(),
      "change a policy between two steps, in this order: at=STEP,scheduler=NAME (or eviction=, preemption=, "
      "gate=INDEX:NAME, where INDEX counts policy.gates from 0), then any options: ,OPTION=VALUE or "
      ",options={OPTION=VALUE}; without, those that the "
      "configuration gives that plugin in that place")(
      "log", po::value(&asked.log),
      kind.real ? "write the step log here (as [observe] log; with one configuration); without either to "
                  "NAME.slog of the configuration NAME.toml, or NAME-2.slog, ... where that is taken"
                : "write the step log here (as [observe] log; with one configuration)")(
      "json", po::value(&asked.json), "write the table as JSON here");
  if (kind.real) add_model_options(described, asked.model);
  po::positional_options_description positional;
  positional.add("config", -1);
  return parse(arguments, described, positional, kind.help, status).has_value();
}

std::vector<config::Override> overrides_of(const Asked& asked, const Column& column) {
  std::vector<config::Override> overrides(asked.overrides.begin(), asked.overrides.end());
  if (!column.varied.empty()) overrides.emplace_back(column.varied, "--vary " + column.varied);
  add_overrides(asked.model, overrides);
  if (!asked.log.empty())
    overrides.emplace_back(
        "observe.log=" + toml::to_inline(toml::Value(std::filesystem::absolute(asked.log).string())),
        "--log " + asked.log);
  return overrides;
}

Result<config::Config> load_one(const Asked& asked, const RunKind& kind, const Column& column) {
  Result<config::Config> config = config::load(column.config, overrides_of(asked, column));
  if (!config) return config;
  if (Status found = rig::resolve_calibration(*config, config::folder_of(column.config)); !found)
    return tl::unexpected(config->places.placed(found.error()));
  if (Status right = check_executor(kind, *config); !right) return tl::unexpected(right.error());
  if (kind.real)  // before what is to be written
    if (const auto model = rig::model_file(config->model); !model)
      return tl::unexpected(config->places.placed(model.error()));
  return config;
}

// All are read and checked before one runs.
Result<std::vector<config::Config>> load_all(const Asked& asked, const RunKind& kind,
                                             const std::vector<Column>& columns,
                                             const std::vector<rig::PlannedSwap>& swaps) {
  if (!asked.log.empty() && columns.size() > 1)
    return fail("--log", "one run", fmt::format("{}", columns.size()),
                "set [observe] log in each configuration");
  std::vector<config::Config> loaded;
  for (const Column& column : columns) {
    Result<config::Config> config = load_one(asked, kind, column);
    if (!config) return tl::unexpected(config.error());
    loaded.push_back(std::move(*config));
  }
  if (kind.real) name_logs(columns, loaded);
  if (Status distinct = check_files(columns, loaded, asked.json); !distinct)
    return tl::unexpected(distinct.error());
  if (!kind.real && (loaded.size() > 1 || !asked.json.empty()))  // a model is not read twice
    for (const config::Config& config : loaded)
      if (Status good = experiment::check(config, swaps); !good)
        return tl::unexpected(config.places.placed(good.error()));
  return loaded;
}

Result<std::vector<rig::PlannedSwap>> parse_swaps(const std::vector<std::string>& texts) {
  std::vector<rig::PlannedSwap> swaps;
  for (const std::string& text : texts) {
    Result<rig::PlannedSwap> swap = rig::parse_swap(text);
    if (!swap) return tl::unexpected(swap.error());
    swaps.push_back(std::move(*swap));
  }
  return swaps;
}

// The table, where the logs are, and what did not happen.
void print(const std::vector<experiment::Summary>& runs, const std::vector<config::Config>& configs,
           const RunKind& kind) {
  fmt::print("{}", runs.empty() ? "" : experiment::table(runs, terminal_width(STDOUT_FILENO)));
  if (kind.real)
    for (std::size_t i = 0; i < runs.size(); ++i) fmt::print("step log: {}\n", configs[i].observe.log);
  stdout_arrived();  // what follows on standard error stands below
  for (const experiment::Summary& run : runs)
    for (const std::string& line : run.missed)
      fmt::print(stderr, "serveloop: warning: {}: {}\n", run.name, line);
}

int exit_code(const std::vector<experiment::Summary>& runs, std::size_t asked) {
  const bool cut = !runs.empty() && runs.back().interrupted;
  if (runs.size() < asked || cut) {
    fmt::print(stderr, "serveloop: interrupted: {} of {} configurations ran whole\n",
               runs.size() - (cut ? 1 : 0), asked);
    return 128 + interrupted();
  }
  const bool as_asked = std::all_of(runs.begin(), runs.end(), [](const experiment::Summary& run) {
    return run.unfinished == 0 && run.missed.empty() && run.counters.ejected == 0;
  });
  return as_asked ? kOk : kNegative;
}

}  // namespace

int run_configurations(const Arguments& arguments, const RunKind& kind) {
  Asked asked;
  int status = kOk;
  if (!read_options(arguments, kind, asked, status)) return status;
  const auto swaps = parse_swaps(asked.swaps);
  if (!swaps) return bad_input(swaps.error());
  const std::vector<Column> columns = columns_of(asked.configs, asked.varied);
  const auto configs = load_all(asked, kind, columns, *swaps);
  if (!configs) return bad_input(configs.error());
  std::optional<OutputFile> json;
  if (!asked.json.empty()) {
    Result<OutputFile> created = OutputFile::create("--json", asked.json);
    if (!created) return bad_input(created.error());
    json.emplace(std::move(*created));
  }
  std::vector<experiment::Summary> runs;
  catch_interrupts();
  for (std::size_t i = 0; i < configs->size() && interrupted() == 0; ++i) {
    set_log_level((*configs)[i].observe.log_level);
    Result<experiment::Summary> run =
        experiment::run((*configs)[i], options_for(kind, columns[i].heading, *swaps));
    if (!run) return bad_input((*configs)[i].places.placed(run.error()));
    end_progress();
    runs.push_back(std::move(*run));
  }
  print(runs, *configs, kind);
  if (json && !runs.empty())
    if (Status written = json->commit(experiment::to_json(runs)); !written) return bad_input(written.error());
  return exit_code(runs, configs->size());
}

}  // namespace serveloop::cli
