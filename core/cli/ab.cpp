// serveloop ab: arms over one workload, run by run, with what is done kept beside the file.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options/value_semantic.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "cli/command.hpp"
#include "cli/kept_runs.hpp"
#include "cli/model_options.hpp"
#include "cli/output.hpp"
#include "experiment/ab/compare.hpp"
#include "experiment/ab/plan.hpp"
#include "experiment/ab/report.hpp"
#include "experiment/rows.hpp"

namespace serveloop::cli {

namespace {

namespace ab_ = experiment::ab;
namespace fs = std::filesystem;

const Help kHelp{
    "serveloop ab FILE.toml [options]",
    "Runs each arm of an experiment over a workload, or several, repeat by repeat in changing order, pairs "
    "their "
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

// Of all workloads, before the first of them runs.
Result<std::vector<ab_::Plan>> plans_for(const Asked& asked) {
  const Result<config::AbFile> file = config::load_ab(asked.file);
  if (!file) return tl::unexpected(file.error());
  std::vector<config::Override> common(asked.overrides.begin(), asked.overrides.end());
  add_overrides(asked.model, common);
  std::vector<ab_::Plan> plans;
  for (const config::AbWorkload& workload : file->workloads) {
    Result<ab_::Plan> plan = ab_::make_plan(*file, workload, common, [](const std::string& what) {
      fmt::print(stderr, "serveloop: {}\n", what);
    });
    if (!plan) return tl::unexpected(plan.error());
    plans.push_back(std::move(*plan));
  }
  return plans;
}

Status check_files(const Asked& asked, const std::vector<ab_::Plan>& plans) {
  std::vector<NamedPath> inputs{{"the experiment", asked.file}};
  for (const ab_::Plan& plan : plans) {
    inputs.push_back({"a base", plan.workload.base});
    for (const ab_::PlannedRun& run : plan.runs) {
      inputs.push_back({"the trace", run.config.workload.trace});
      inputs.push_back({"a calibration", run.config.simulated.calibration});
    }
  }
  return check_distinct(inputs, {{"--json", asked.json == "-" ? "" : asked.json}});
}

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
  return !plan.real_time && plan.workload.windows.empty() && std::all_of(arms.begin(), arms.end(), two) &&
         ab_::same_as_first(arms);
}

// False: interrupted. Takes what the folder has, runs the others. Shortens the plan where repeats add nothing.
Result<bool> run_all(ab_::Plan& plan, KeptRuns& kept, Arms& arms) {
  arms.resize(plan.file.arms.size());
  for (std::size_t i = 0; i < plan.runs.size(); ++i) {
    const ab_::PlannedRun& run = plan.runs[i];
    std::optional<ab_::RunResult> result = kept.find(plan, run);
    if (!result) {
      const std::string& workload = plan.workload.name;
      const std::string name =
          fmt::format("{}{}{} {} ({} of {})", workload, workload.empty() ? "" : ": ",
                      plan.file.arms[run.arm].name, run.repeat + 1, i + 1, plan.runs.size());
      Result<std::optional<ab_::RunResult>> ran = ab_::run_one(plan, run, options_for(name, plan.real_time));
      if (!ran) return tl::unexpected(ran.error());
      end_progress();
      if (!*ran) return false;
      if (Status done = kept.keep(plan, run, **ran); !done) return tl::unexpected(done.error());
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
  options.warmup_s = plan.workload.warmup_s.value_or(0);
  options.block_s = plan.workload.block_s;
  options.metrics = plan.file.metrics;
  options.real_time = plan.real_time;
  return options;
}

bool all_went_well(const Arms& arms) {
  for (const std::vector<ab_::RunResult>& runs : arms)
    for (const ab_::RunResult& run : runs)
      for (const char* figure : {"unfinished", "ejected"})
        if (const auto found = run.figures.find(figure); found != run.figures.end() && found->second > 0)
          return false;
  return true;
}

// What one workload came to.
struct Shown {
  std::string name, table, json;
  bool well = true;  // all requests ended, and no policy was ejected
};

// Compares the arms, and writes the comparison. `asked_repeats`: before those that add nothing went.
Result<Shown> compared(const ab_::Plan& plan, Arms arms, std::size_t asked_repeats, const KeptRuns& kept) {
  Shown shown{plan.workload.name, "", "", all_went_well(arms)};
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
  shown.json = ab_::to_json(*comparison, notes, plan, runs);
  shown.table = ab_::table(*comparison, notes, terminal_width(STDOUT_FILENO));
  if (Status written = kept.write("comparison.json", shown.json); !written)
    return tl::unexpected(written.error());
  return shown;
}

// One comparison as it is, several by the names of their workloads.
std::string joined_json(const std::vector<Shown>& all) {
  if (all.front().name.empty()) return all.front().json;
  std::string out;
  for (const Shown& one : all)
    out += fmt::format("{}{}: {}", out.empty() ? "{" : ",\n", experiment::json_text(one.name), one.json);
  return out + "}\n";
}

Status print(const std::vector<Shown>& all, std::optional<OutputFile> json, bool json_on_stdout) {
  if (json)
    if (Status written = json->commit(joined_json(all)); !written) return written;
  if (json_on_stdout) {
    fmt::print("{}", joined_json(all));
    return {};
  }
  for (const Shown& one : all)
    fmt::print("{}{}{}", one.name.empty() ? "" : "== " + one.name + "\n\n", one.table,
               &one == &all.back() ? "" : "\n");
  return {};
}

}  // namespace

int ab(const Arguments& arguments) {
  Asked asked;
  int status = kOk;
  if (!read_options(arguments, asked, status)) return status;
  Result<std::vector<ab_::Plan>> plans = plans_for(asked);
  if (!plans) return bad_input(plans.error());
  if (Status distinct = check_files(asked, *plans); !distinct) return bad_input(distinct.error());
  std::optional<OutputFile> json;
  if (!asked.json.empty() && asked.json != "-") {
    Result<OutputFile> created = OutputFile::create("--json", asked.json);
    if (!created) return bad_input(created.error());
    json.emplace(std::move(*created));
  }
  if (Status made = KeptRuns(asked.folder()).make(); !made) return bad_input(made.error());
  set_log_level(plans->front().runs.front().config.observe.log_level);
  catch_interrupts();
  std::size_t runs = 0, done = 0;
  for (const ab_::Plan& plan : *plans) runs += plan.runs.size();
  std::vector<Shown> shown;
  for (ab_::Plan& plan : *plans) {
    KeptRuns kept((fs::path(asked.folder()) / plan.workload.name).string());
    if (Status made = kept.make(); !made) return bad_input(made.error());
    const std::size_t repeats = plan.repeats.size(), planned = plan.runs.size();
    Arms arms;
    const Result<bool> all = run_all(plan, kept, arms);
    if (!all) return bad_input(all.error());
    kept.tell();
    if (!*all) {
      for (const auto& of_arm : arms) done += of_arm.size();
      fmt::print(
          stderr,
          "serveloop: interrupted: {} of {} runs are kept in {}; the same command goes on from there\n", done,
          runs, asked.folder());
      return 128 + interrupted();
    }
    done += planned;
    Result<Shown> one = compared(plan, std::move(arms), repeats, kept);
    if (!one) return bad_input(one.error());
    shown.push_back(std::move(*one));
  }
  if (Status printed = print(shown, std::move(json), asked.json == "-"); !printed)
    return bad_input(printed.error());
  return std::all_of(shown.begin(), shown.end(), [](const Shown& one) { return one.well; }) ? kOk : kNegative;
}

}  // namespace serveloop::cli
