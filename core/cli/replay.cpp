// serveloop replay: does the log's every decision come out again?
#include "experiment/replay.hpp"

#include <fmt/format.h>

#include <boost/program_options/value_semantic.hpp>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "experiment/log_trace.hpp"
#include "experiment/workload_file.hpp"

namespace serveloop::cli {

namespace {

const Help kHelp{
    "serveloop replay LOG [--scheduler NAME] [--set KEY=VALUE ...] [options]\n"
    "       serveloop replay LOG --workload FILE",
    "Runs a step log again: messages, times and tokens come from the log, decisions from the "
    "plugins that the log names, and\n"
    "each is compared byte for byte. The first difference is shown with its context. Exit code "
    "0: all equal; 1: a difference.",
    "examples\n"
    "  serveloop replay run.slog\n"
    "  serveloop replay run.slog --scheduler ./mine     where does my scheduler part ways with "
    "the recorded one?\n"
    "  serveloop replay run.slog --scheduler sarathi --set "
    "policy.scheduler.options.chunk_budget=256\n"
    "  serveloop replay run.slog --workload run.jsonl   its requests, prompts stripped, to share and "
    "to run again:\n"
    "                                                   docs/WORKLOADS.md\n"};

// Compares nothing, and so needs no plugin.
int write_workload(const std::string& log, const std::string& path) {
  if (Status distinct = check_distinct({{"the step log", log}}, {{"--workload", path}}); !distinct)
    return bad_input(distinct.error());
  const Result<experiment::Trace> trace = experiment::trace_of_log(log);
  if (!trace) return bad_input(trace.error());
  Result<OutputFile> file = OutputFile::create("--workload", path);
  if (!file) return bad_input(file.error());
  if (Status written = file->commit(experiment::workload_file(*trace)); !written)
    return bad_input(written.error());
  fmt::print("{} requests without their prompts{}: {}\n", trace->rows.size(),
             trace->unanswered == 0 ? "" : fmt::format(", {} that got no token left out", trace->unanswered),
             path);
  return kOk;
}

}  // namespace

int replay(const Arguments& arguments) {
  std::string log, scheduler, eviction, preemption, workload;
  experiment::ReplayOptions options;
  po::options_description described("options");
  described.add_options()("log", po::value(&log)->required(), "the step log")(
      "any-build", po::bool_switch(&options.any_build),
      "compare though a plugin's object differs from the recorded one")(
      "scheduler", po::value(&scheduler),
      "ask this scheduler in place of the recorded one (id or path), with the defaults of its options")(
      "eviction", po::value(&eviction), "ask this eviction policy")("preemption", po::value(&preemption),
                                                                    "ask this preemption policy")(
      "set", po::value(&options.overrides)->composing(),
      "change what the log says of policy.scheduler, policy.eviction, policy.preemption or policy.search, "
      "after the "
      "options above: policy.scheduler.options.a=c")(
      "workload", po::value(&workload),
      "replay nothing: write what arrived to this file, for `workload.format = \"serveloop\"`");
  po::positional_options_description positional;
  positional.add("log", 1);
  int status = kOk;
  if (!parse(arguments, described, positional, kHelp, status)) return status;
  if (!workload.empty()) {
    if (scheduler.empty() && eviction.empty() && preemption.empty() && options.overrides.empty() &&
        !options.any_build)
      return write_workload(log, workload);
    return bad_input({"--workload", "none of the other options beside it", "some", "it replays nothing"});
  }
  if (!scheduler.empty()) options.scheduler = scheduler;
  if (!eviction.empty()) options.eviction = eviction;
  if (!preemption.empty()) options.preemption = preemption;
  Result<experiment::ReplayResult> result = experiment::replay(log, options);
  if (!result) return bad_input(result.error());
  for (const std::string& what : result->replaced) fmt::print("{}\n", what);
  if (result->difference) {
    fmt::print("{}\n", result->difference->text());
    return kNegative;
  }
  fmt::print("{} steps{} and {} decisions equal, in {:.2f} s{}\n", result->steps,
             result->idle == 0 ? "" : fmt::format(" ({} of them idle)", result->idle), result->decisions,
             result->wall_seconds,
             result->complete ? "" : " (the log has no end record: its writer was cut off)");
  return kOk;
}

}  // namespace serveloop::cli
