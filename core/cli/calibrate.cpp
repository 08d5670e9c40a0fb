// serveloop bench --calibrate: the cost model of this machine and a model, from real steps.
#include "experiment/calibrate.hpp"

#include <fmt/format.h>

#include <boost/program_options/value_semantic.hpp>
#include <chrono>
#include <filesystem>
#include <optional>

#include "base/joined.hpp"
#include "cli/command.hpp"
#include "cli/model_options.hpp"
#include "cli/output.hpp"
#include "experiment/log_check.hpp"
#include "rig/model_file.hpp"

namespace serveloop::cli {

namespace {

namespace fs = std::filesystem;

const Help kHelp{
    "serveloop bench --calibrate --config FILE [options]",
    "Times steps of all kinds on the configuration's executor and fits the cost model to them: a "
    "calibration,\n"
    "which `simulate` runs on. Prints the coefficients and how far steps are from them. With --from, runs "
    "nothing:\n"
    "fits to the steps of logs, that is to the load that they are of, and takes all other figures over from "
    "the\n"
    "configuration's calibration.",
    "examples\n"
    "  serveloop bench --calibrate --config configs/bench_cpu.toml\n"
    "  serveloop bench --calibrate --config configs/bench_cpu.toml --out my-machine.toml --steps steps.csv\n"
    "  serveloop simulate --config configs/simulate_fcfs.toml --set "
    "simulated.calibration=./my-machine.toml\n"
    "  serveloop bench --calibrate --config my.toml --from run.slog --out under-load.toml\n\n"
    "Keep the machine quiet meanwhile: `spread` says how quiet it was. Exit code 0: done; 2: bad input; 130: "
    "interrupted,\n"
    "and nothing was written.\n"};

constexpr std::int64_t kMostRounds = 1000;

struct Options {
  std::string config, out, steps;
  std::vector<std::string> set, from;
  std::int64_t rounds = 5;
  bool force = false;
  ModelOptions model;
};

Status check_new(const std::string& path, bool force) {
  std::error_code ignored;
  if (force || !fs::is_regular_file(path, ignored)) return {};
  return fail(fmt::format("'{}'", path), "no such file yet", "one that is there",
              "--force replaces it, --out names another");
}

// The files that a calibration goes to: they appear whole, or not at all.
class Outputs {
 public:
  explicit Outputs(const Options& options) : options_(options), path_(options.out) {
    inputs_ = {{"the configuration", options.config}};
    for (const std::string& log : options.from) inputs_.push_back({"--from", log});
  }
  // What is named, before minutes have passed.
  Status open(const std::string& model_path) {
    inputs_.push_back({"the model", model_path});
    if (!options_.out.empty())
      if (Status created = create(options_.out); !created) return created;
    if (options_.steps.empty()) return {};
    Result<OutputFile> created = OutputFile::create("--steps", options_.steps);
    if (!created) return tl::unexpected(created.error());
    steps_.emplace(std::move(*created));
    return {};
  }
  // Where none is named.
  Status open_default(const std::string& path) {
    if (calibration_) return {};
    path_ = path;
    return create(path);
  }
  std::string name() const { return fs::path(path_).stem().string(); }
  Status write(const experiment::Calibrated& done) {
    if (Status written = calibration_->commit(done.text); !written || !steps_) return written;
    return steps_->commit(experiment::steps_csv(done.fit.cost, done.steps));
  }
  const std::string& path() const { return path_; }

 private:
  Status create(const std::string& path) {
    if (Status distinct = check_distinct(inputs_, {{"the calibration", path}, {"--steps", options_.steps}});
        !distinct)
      return distinct;
    if (Status fresh = check_new(path, options_.force); !fresh) return fresh;
    Result<OutputFile> created = OutputFile::create("--out", path);
    if (!created) return tl::unexpected(created.error());
    calibration_.emplace(std::move(*created));
    return {};
  }

  const Options& options_;
  std::string path_;
  std::vector<NamedPath> inputs_;
  std::optional<OutputFile> calibration_, steps_;
};

// Where configurations of that folder look for names.
fs::path default_folder(const std::string& config_path) {
  return fs::path(config_path).parent_path() / "calibrations";
}

experiment::StepRunOptions run_options(const Options& o) {
  experiment::StepRunOptions options;
  options.rounds = static_cast<std::uint32_t>(o.rounds);
  options.go_on = [last = std::chrono::steady_clock::time_point{}](double share) mutable {
    const auto now = std::chrono::steady_clock::now();
    if (now - last >= std::chrono::milliseconds(100)) {
      last = now;
      progress_bar("calibrating", share, "");
    }
    return interrupted() == 0;
  };
  return options;
}

void print(const experiment::Calibrated& done) {
  const config::Calibration& c = done.calibration;
  fmt::print("{}\n", c.device);
  const auto line = [](const char* name, double value) { fmt::print("{:<20}{:>14}\n", name, value); };
  line("step_fixed_us", c.step_fixed_us);
  line("decode_sequence_us", c.decode_sequence_us);
  line("decode_context_ns", c.decode_context_ns);
  line("prefill_token_us", c.prefill_token_us);
  line("prefill_context_ns", c.prefill_context_ns);
  line("prefill_step_us", c.prefill_step_us);
  line("decode_token_us", c.decode_token_us);
  line("overlap", c.overlap);
  line("swap_gb_per_s", c.swap_gb_per_s);
  fmt::print("\n{}", experiment::residual_table(done.fit, ""));
}

// "serveloop bench --calibrate ...", as it was typed, but for quotes.
std::string command_line(const Arguments& arguments) {
  std::string out = "serveloop bench";
  for (const std::string& argument : arguments) out += " " + argument;
  return out;
}

// Fills in `o`; no value: `status` is the exit code.
bool parse_options(const Arguments& arguments, Options& o, int& status) {
  po::options_description described("options");
  described.add_options()("calibrate", "fit the cost model in place of running a workload")(
      "config", po::value(&o.config)->required(), "whose model, executor and sizes are measured (TOML)")(
      "set", po::value(&o.set)->composing(), kSetHelp)(
      "out", po::value(&o.out),
      "write the calibration here; without, into calibrations/ beside the configuration, under the names of "
      "processor or GPU, model, format and threads")(
      "force", po::bool_switch(&o.force), "replace a file that is there")("steps", po::value(&o.steps),
                                                                          "write all steps here, too (CSV)")(
      "rounds", po::value(&o.rounds), "how often each kind of step is taken (5)")(
      "from", po::value(&o.from)->composing(), "fit to the steps of this log; may be given several times");
  add_model_options(described, o.model);
  po::positional_options_description positional;
  positional.add("config", 1);
  const auto given = parse(arguments, described, positional, kHelp, status);
  if (!given) return false;
  if (o.from.empty()) return true;
  if (given->count("rounds") > 0)
    status = bad_input(Error{"--rounds", "no --from beside it, which runs nothing", "both", "leave one out"});
  else if (o.out.empty())
    status = bad_input(Error{"--out", "a file for what is fitted to --from", "none", "name one"});
  return status == kOk;
}

Result<config::Config> configuration(const Options& o) {
  if (o.rounds < 1 || o.rounds > kMostRounds)
    return fail("--rounds", fmt::format("1 to {}", kMostRounds), std::to_string(o.rounds));
  std::vector<config::Override> overrides(o.set.begin(), o.set.end());
  add_overrides(o.model, overrides);
  Result<config::Config> config = config::load(o.config, overrides);
  if (!config) return config;
  if (o.from.empty() && !rig::is_real(*config))
    return fail(config->places.named("engine.executor"),
                "cpu or cuda: a calibration is fitted to steps of a model in real time",
                "'" + config->engine.executor + "'");
  if (o.from.empty())  // before what is to be written
    if (const auto model = rig::model_file(config->model); !model)
      return tl::unexpected(config->places.placed(model.error()));
  std::error_code ignored;
  if (const fs::path folder = default_folder(o.config); o.out.empty() && !fs::is_directory(folder, ignored))
    return fail("--out", fmt::format("a file, or a folder '{}'", folder.string()), "neither",
                "make the folder, or pass --out FILE");
  if (Status found = rig::resolve_calibration(*config, config::folder_of(o.config)); !found)
    return tl::unexpected(config->places.placed(found.error()));
  return config;
}

int finish(const experiment::Calibrated& done, Outputs& outputs) {
  print(done);
  if (Status written = outputs.write(done); !written) return bad_input(written.error());
  fmt::print("\ncalibration: {}\n", outputs.path());
  return kOk;
}

// Those of all logs, each of which is of the configuration's device and model. `doubts`: lines for the user.
Result<std::vector<experiment::MeasuredStep>> steps_of_logs(const std::vector<std::string>& paths,
                                                            const config::Config& config,
                                                            std::vector<std::string>& doubts) {
  std::vector<experiment::MeasuredStep> steps;
  const auto note = [&doubts](const std::string& logs,
                              const Result<std::vector<std::string>>& checked) -> Status {
    if (!checked) return about("--from " + logs, checked.error());
    for (const std::string& line : *checked) doubts.push_back("--from " + logs + ": " + line);
    return {};
  };
  for (const std::string& path : paths) {
    const Result<experiment::LogSteps> log = experiment::steps_of_log(path);
    if (!log) return about("--from " + path, log.error());
    if (Status good = note(path, experiment::check_log(*log, config)); !good)
      return tl::unexpected(good.error());
    steps.insert(steps.end(), log->steps.begin(), log->steps.end());
  }
  if (Status enough = note(joined(paths), experiment::check_kinds(steps)); !enough)
    return tl::unexpected(enough.error());
  experiment::group_alike(steps);
  return steps;
}

int refit(const Options& o, const config::Config& config, const std::string& command, Outputs& outputs) {
  const Result<config::Calibration> base = config::load_calibration(config.simulated.calibration);
  if (!base) return bad_input(base.error());
  std::vector<std::string> doubts;
  Result<std::vector<experiment::MeasuredStep>> steps = steps_of_logs(o.from, config, doubts);
  for (const std::string& doubt : doubts) fmt::print(stderr, "serveloop: warning: {}\n", doubt);
  if (!steps) return bad_input(steps.error());
  const Result<experiment::Calibrated> done =
      experiment::refit(*base, outputs.name(), std::move(*steps), command);
  if (!done) {
    Error error = done.error();
    if (error.hint.empty())
      error.hint =
          "log a run with more kinds of steps: prompts of other lengths, more or fewer requests at once";
    return bad_input(about("--from " + joined(o.from), error).value());
  }
  return finish(*done, outputs);
}

int run_steps(const Options& o, const config::Config& config, const std::string& command, Outputs& outputs) {
  Result<experiment::Calibrator> calibrator = experiment::Calibrator::load(
      config, command, [](const std::string& what) { fmt::print(stderr, "serveloop: {}\n", what); });
  if (!calibrator) return bad_input(config.places.placed(calibrator.error()));
  const fs::path path = default_folder(o.config) / (calibrator->name() + ".toml");
  if (Status opened = outputs.open_default(path.string()); !opened) return bad_input(opened.error());
  const Result<experiment::Calibrated> done = calibrator->run(outputs.name(), run_options(o));
  end_progress();
  if (interrupted() != 0) {
    fmt::print(stderr, "serveloop: interrupted: nothing was written\n");
    return 128 + interrupted();
  }
  return done ? finish(*done, outputs) : bad_input(done.error());
}

}  // namespace

int calibrate(const Arguments& arguments) {
  Options o;
  int status = kOk;
  if (!parse_options(arguments, o, status)) return status;
  const Result<config::Config> config = configuration(o);
  if (!config) return bad_input(config.error());
  set_log_level(config->observe.log_level);
  catch_interrupts();  // else a file's beginning would stay
  Outputs outputs(o);
  if (Status opened = outputs.open(config->model.path); !opened) return bad_input(opened.error());
  const std::string command = command_line(arguments);
  return o.from.empty() ? run_steps(o, *config, command, outputs) : refit(o, *config, command, outputs);
}

}  // namespace serveloop::cli
