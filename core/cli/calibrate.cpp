// serveloop bench --calibrate: the cost model of this machine and a model, from real steps.
#include "experiment/calibrate.hpp"

#include <fmt/format.h>

#include <boost/program_options/value_semantic.hpp>
#include <chrono>
#include <filesystem>
#include <optional>

#include "cli/command.hpp"
#include "cli/model_options.hpp"
#include "cli/output.hpp"

namespace serveloop::cli {

namespace {

namespace fs = std::filesystem;

const Help kHelp{
    "serveloop bench --calibrate --config FILE [options]",
    "Times steps of all kinds on the configuration's executor and fits the cost model to them: a "
    "calibration,\n"
    "which `simulate` runs on. Prints the coefficients and how far steps are from them.",
    "examples\n"
    "  serveloop bench --calibrate --config configs/bench_cpu.toml\n"
    "  serveloop bench --calibrate --config configs/bench_cpu.toml --out my-machine.toml --steps steps.csv\n"
    "  serveloop simulate --config configs/simulate_fcfs.toml --set "
    "simulated.calibration=./my-machine.toml\n\n"
    "Keep the machine quiet meanwhile: `spread` says how quiet it was. Exit code 0: done; 2: bad input; 130: "
    "interrupted,\n"
    "and nothing was written.\n"};

constexpr std::int64_t kMostRounds = 1000;

struct Options {
  std::string config, out, steps;
  std::vector<std::string> set;
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
      "rounds", po::value(&o.rounds), "how often each kind of step is taken (5)");
  add_model_options(described, o.model);
  po::positional_options_description positional;
  positional.add("config", 1);
  if (!parse(arguments, described, positional, kHelp, status)) return false;
  return true;
}

Result<config::Config> configuration(const Options& o) {
  if (o.rounds < 1 || o.rounds > kMostRounds)
    return fail("--rounds", fmt::format("1 to {}", kMostRounds), std::to_string(o.rounds));
  std::vector<config::Override> overrides(o.set.begin(), o.set.end());
  add_overrides(o.model, overrides);
  Result<config::Config> config = config::load(o.config, overrides);
  if (!config) return config;
  if (!rig::is_real(*config))
    return fail(config->places.named("engine.executor"),
                "cpu or cuda: a calibration is fitted to steps of a model in real time",
                "'" + config->engine.executor + "'");
  std::error_code ignored;
  if (const fs::path folder = default_folder(o.config); o.out.empty() && !fs::is_directory(folder, ignored))
    return fail("--out", fmt::format("a file, or a folder '{}'", folder.string()), "neither");
  if (Status found = rig::resolve_calibration(*config, config::folder_of(o.config)); !found)
    return tl::unexpected(config->places.placed(found.error()));
  return config;
}

}  // namespace

int calibrate(const Arguments& arguments) {
  Options o;
  int status = kOk;
  if (!parse_options(arguments, o, status)) return status;
  const Result<config::Config> config = configuration(o);
  if (!config) return bad_input(config.error());
  set_log_level(config->observe.log_level);
  const std::vector<NamedPath> inputs{{"the configuration", o.config}, {"the model", config->model.path}};
  // What can be wrong is said before minutes have passed: what --out says even before the model is read.
  const auto create = [&](const std::string& path) -> Result<OutputFile> {
    if (Status distinct = check_distinct(inputs, {{"the calibration", path}, {"--steps", o.steps}});
        !distinct)
      return tl::unexpected(distinct.error());
    if (Status fresh = check_new(path, o.force); !fresh) return tl::unexpected(fresh.error());
    return OutputFile::create(path);
  };
  catch_interrupts();  // else a file's beginning would stay
  std::optional<OutputFile> out, steps;
  if (!o.out.empty()) {
    Result<OutputFile> created = create(o.out);
    if (!created) return bad_input(created.error());
    out.emplace(std::move(*created));
  }
  if (!o.steps.empty()) {
    Result<OutputFile> created = OutputFile::create(o.steps);
    if (!created) return bad_input(created.error());
    steps.emplace(std::move(*created));
  }
  Result<experiment::Calibrator> calibrator = experiment::Calibrator::load(
      *config, command_line(arguments),
      [](const std::string& what) { fmt::print(stderr, "serveloop: {}\n", what); });
  if (!calibrator) return bad_input(config->places.placed(calibrator.error()));
  const std::string path =
      o.out.empty() ? (default_folder(o.config) / (calibrator->name() + ".toml")).string() : o.out;
  if (!out) {
    Result<OutputFile> created = create(path);
    if (!created) return bad_input(created.error());
    out.emplace(std::move(*created));
  }

  Result<experiment::Calibrated> done = calibrator->run(fs::path(path).stem().string(), run_options(o));
  end_progress();
  if (interrupted() != 0) {
    fmt::print(stderr, "serveloop: interrupted: nothing was written\n");
    return 128 + interrupted();
  }
  if (!done) return bad_input(done.error());
  print(*done);
  if (Status written = out->commit(done->text); !written) return bad_input(written.error());
  if (steps)
    if (Status written = steps->commit(experiment::steps_csv(done->fit.cost, done->steps)); !written)
      return bad_input(written.error());
  fmt::print("\ncalibration: {}\n", path);
  return kOk;
}

}  // namespace serveloop::cli
