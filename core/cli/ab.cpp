// serveloop ab: arms over one workload, run by run, with what is done kept beside the file.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options/value_semantic.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "base/joined.hpp"
#include "cli/command.hpp"
#include "cli/model_options.hpp"
#include "cli/output.hpp"
#include "experiment/ab/compare.hpp"
#include "experiment/ab/plan.hpp"
#include "experiment/ab/report.hpp"

namespace serveloop::cli {

namespace {

namespace ab_ = experiment::ab;
namespace fs = std::filesystem;

const Help kHelp{
    "serveloop ab FILE.toml [options]",
    "Runs each arm of an experiment over one workload, repeat by repeat in changing order, pairs their "
    "requests and "
    "prints, metric\n"
    "by metric, how far an arm is from the baseline, an interval for that by a bootstrap over blocks of "
    "time, and a "
    "verdict:\n"
    "better, worse, no difference found, too little data. docs/AB.md tells what the file holds and how to "
    "read the "
    "table.\n\n"
    "Each run's results are kept as they come, in the folder FILE.ab beside FILE.toml. The same command goes "
    "on where "
    "an earlier\n"
    "one was interrupted, and takes what is there as long as configuration, trace, plugins and program are "
    "the same.",
    "examples\n"
    "  serveloop ab configs/ab_schedulers.toml\n"
    "  serveloop ab configs/ab_schedulers.toml --set workload.rate_scale=6 --out busy.ab --json busy.json\n\n"
    "Exit code 0: all was done; 1: requests stayed unfinished or a policy was ejected; 2: bad input; 130: "
    "interrupted "
    "(what was\n"
    "done is kept).\n"};

struct Asked {
  std::string file, out, json;
  std::vector<std::string> overrides;
  ModelOptions model;

  std::string folder() const { return out.empty() ? fs::path(file).replace_extension(".ab").string() : out; }
};

bool read_options(const Arguments& arguments, Asked& asked, int& status) {
  po::options_description described("options");
  described.add_options()("file", po::value(&asked.file)->required(), "the experiment (TOML; docs/AB.md)")(
      "out", po::value(&asked.out), "keep the results in this folder")(
      "set", po::value(&asked.overrides)->composing(),
      "of the base, for all arms: as in `serveloop simulate`")(
      "json", po::value(&asked.json),
      "write the comparison as JSON here; -: on standard output, without the table");
  add_model_options(described, asked.model);
  po::positional_options_description positional;
  positional.add("file", 1);
  return parse(arguments, described, positional, kHelp, status).has_value();
}

Result<ab_::Plan> plan_for(const Asked& asked) {
  const Result<config::AbFile> file = config::load_ab(asked.file);
  if (!file) return tl::unexpected(file.error());
  std::vector<config::Override> common(asked.overrides.begin(), asked.overrides.end());
  add_overrides(asked.model, common);
  return ab_::make_plan(*file, common,
                        [](const std::string& what) { fmt::print(stderr, "serveloop: {}\n", what); });
}

Status check_files(const Asked& asked, const ab_::Plan& plan) {
  std::vector<NamedPath> inputs{{"the experiment", asked.file}, {"its base", plan.file.base}};
  for (const ab_::PlannedRun& run : plan.runs) {
    inputs.push_back({"the trace", run.config.workload.trace});
    inputs.push_back({"a calibration", run.config.simulated.calibration});
  }
  return check_distinct(inputs, {{"--json", asked.json == "-" ? "" : asked.json}});
}

// The folder of the results: reads what is there, adds what comes.
class Results {
 public:
  explicit Results(std::string folder) : folder_(std::move(folder)) {}

  Status make() const {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (!error && fs::is_directory(folder_)) return {};
    return fail(fmt::format("cannot make the folder '{}'", folder_), "a folder",
                error ? error.message() : "a file", "pass another --out");
  }
  // The run's results, if they are there and would come out again.
  std::optional<ab_::RunResult> find(const ab_::Plan& plan, const ab_::PlannedRun& run) {
    const std::string name = name_of(plan, run);
    std::ifstream file(path(name), std::ios::binary);
    if (!file) return {};
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    Result<ab_::RunResult> result = ab_::parse_run(text, path(name));
    if (!result || result->fingerprint != run.fingerprint) {
      outdated_.push_back(name);
      return {};
    }
    reused_.push_back(name);
    return std::move(*result);
  }
  Status keep(const ab_::Plan& plan, const ab_::PlannedRun& run, const ab_::RunResult& result) const {
    return write(name_of(plan, run), ab_::to_text(result));
  }
  Status write(const std::string& name, const std::string& content) const {
    Result<OutputFile> file = OutputFile::create("--out", path(name));
    return file ? file->commit(content) : tl::unexpected(file.error());
  }
  // What of the folder was taken and what was not.
  void tell() const {
    const auto few = [](const std::vector<std::string>& names) {
      constexpr std::size_t kNamed = 8;
      if (names.size() <= kNamed) return joined(names);
      return joined({names.begin(), names.begin() + kNamed}) +
             fmt::format(" and {} more", names.size() - kNamed);
    };
    if (!reused_.empty()) fmt::print(stderr, "serveloop: reused of {}: {}\n", folder_, few(reused_));
    if (!outdated_.empty())
      fmt::print(stderr, "serveloop: run again, since configuration, trace, plugins or program changed: {}\n",
                 few(outdated_));
  }
  const std::string& folder() const { return folder_; }

 private:
  static std::string name_of(const ab_::Plan& plan, const ab_::PlannedRun& run) {
    return ab_::file_of(plan.file.arms[run.arm].name, run.repeat + 1);
  }
  std::string path(const std::string& name) const { return (fs::path(folder_) / name).string(); }

  std::string folder_;
  std::vector<std::string> reused_, outdated_;
};

experiment::RunOptions options_for(const std::string& name, bool real_time) {
  experiment::RunOptions options;
  options.name = name;
  options.stop = [] { return interrupted() != 0; };
  options.progress = [name, seconds = real_time ? "s" : "s simulated",
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

using Arms = std::vector<std::vector<ab_::RunResult>>;  // a run each repeat

// With another seed nothing changed: what is left would be more of the same.
bool only_one_repeat(const ab_::Plan& plan, const Arms& arms) {
  const auto two = [](const std::vector<ab_::RunResult>& runs) { return runs.size() == 2; };
  return !plan.real_time && plan.file.windows.empty() && std::all_of(arms.begin(), arms.end(), two) &&
         ab_::same_as_first(arms);
}

// False: interrupted. Takes what the folder has, runs the others. Shortens the plan where repeats add nothing.
Result<bool> run_all(ab_::Plan& plan, Results& results, Arms& arms) {
  arms.resize(plan.file.arms.size());
  for (std::size_t i = 0; i < plan.runs.size(); ++i) {
    const ab_::PlannedRun& run = plan.runs[i];
    std::optional<ab_::RunResult> result = results.find(plan, run);
    if (!result) {
      const std::string name = fmt::format("{} {} ({} of {})", plan.file.arms[run.arm].name, run.repeat + 1,
                                           i + 1, plan.runs.size());
      Result<std::optional<ab_::RunResult>> ran = ab_::run_one(plan, run, options_for(name, plan.real_time));
      if (!ran) return tl::unexpected(ran.error());
      end_progress();
      if (!*ran) return false;
      if (Status kept = results.keep(plan, run, **ran); !kept) return tl::unexpected(kept.error());
      result = std::move(*ran);
    }
    arms[run.arm].push_back(std::move(*result));
    if (!only_one_repeat(plan, arms)) continue;
    for (std::vector<ab_::RunResult>& runs : arms) runs.resize(1);
    plan.repeats.resize(1);
    break;
  }
  return true;
}

ab_::CompareOptions compare_options(const ab_::Plan& plan) {
  ab_::CompareOptions options;
  options.confidence = plan.file.confidence;
  options.resamples = plan.file.resamples;
  options.warmup_s = plan.file.warmup_s;
  options.block_s = plan.file.block_s;
  options.metrics = plan.file.metrics;
  options.real_time = plan.real_time;
  return options;
}

// Writes the comparison, prints it. `asked_repeats`: before those that add nothing went.
Status show(const ab_::Plan& plan, Arms arms, std::size_t asked_repeats, const Results& results,
            std::optional<OutputFile> json, bool json_on_stdout) {
  std::vector<ab_::ArmRuns> runs;
  for (std::size_t i = 0; i < arms.size(); ++i) runs.push_back({plan.file.arms[i].name, std::move(arms[i])});
  const Result<ab_::Comparison> comparison = ab_::compare(runs, plan.baseline, compare_options(plan));
  if (!comparison) return about(plan.file.source, comparison.error());
  std::vector<std::string> notes = ab_::notes_of(*comparison, runs);
  if (plan.repeats.size() < asked_repeats)
    notes.push_back(
        fmt::format("1 of {} repeats counts: with another seed every request came out the same, to the "
                    "nanosecond; parts of a trace are repeats, too: windows = [[0, 600], [600, 1200]]",
                    asked_repeats));
  const std::string text = ab_::to_json(*comparison, notes, plan, runs);
  if (Status written = results.write("comparison.json", text); !written) return written;
  if (json)
    if (Status written = json->commit(text); !written) return written;
  fmt::print("{}", json_on_stdout ? text : ab_::table(*comparison, notes, terminal_width(STDOUT_FILENO)));
  return {};
}

bool all_went_well(const Arms& arms) {
  for (const std::vector<ab_::RunResult>& runs : arms)
    for (const ab_::RunResult& run : runs)
      for (const char* figure : {"unfinished", "ejected"})
        if (const auto found = run.figures.find(figure); found != run.figures.end() && found->second > 0)
          return false;
  return true;
}

}  // namespace

int ab(const Arguments& arguments) {
  Asked asked;
  int status = kOk;
  if (!read_options(arguments, asked, status)) return status;
  Result<ab_::Plan> plan = plan_for(asked);
  if (!plan) return bad_input(plan.error());
  if (Status distinct = check_files(asked, *plan); !distinct) return bad_input(distinct.error());
  std::optional<OutputFile> json;
  if (!asked.json.empty() && asked.json != "-") {
    Result<OutputFile> created = OutputFile::create("--json", asked.json);
    if (!created) return bad_input(created.error());
    json.emplace(std::move(*created));
  }
  Results results(asked.folder());
  if (Status made = results.make(); !made) return bad_input(made.error());
  set_log_level(plan->runs.front().config.observe.log_level);
  catch_interrupts();
  const std::size_t repeats = plan->repeats.size(), runs = plan->runs.size();
  Arms arms;
  const Result<bool> all = run_all(*plan, results, arms);
  if (!all) return bad_input(all.error());
  results.tell();
  if (!*all) {
    std::size_t done = 0;
    for (const auto& of_arm : arms) done += of_arm.size();
    fmt::print(stderr,
               "serveloop: interrupted: {} of {} runs are kept in {}; the same command goes on from there\n",
               done, runs, results.folder());
    return 128 + interrupted();
  }
  const int code = all_went_well(arms) ? kOk : kNegative;
  if (Status shown = show(*plan, std::move(arms), repeats, results, std::move(json), asked.json == "-");
      !shown)
    return bad_input(shown.error());
  return code;
}

}  // namespace serveloop::cli
