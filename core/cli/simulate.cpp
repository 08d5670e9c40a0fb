// serveloop simulate: under virtual time, one column a configuration.
#include "cli/runs.hpp"

namespace serveloop::cli {

namespace {

const Help kHelp{
    "serveloop simulate --config FILE [--config FILE ...] [options]",
    "Runs the [workload] of each configuration on its executor under virtual time and prints one table: "
    "latencies,\n"
    "throughput, decisions, and where the requests' time went. The same policies, as the same shared "
    "objects, run in the\n"
    "engine; device time comes from the calibration that [simulated] names.",
    "examples\n"
    "  serveloop simulate --config configs/simulate_fcfs.toml --config configs/simulate_sarathi.toml\n"
    "  serveloop simulate --config configs/simulate_fcfs.toml --set workload.rate_scale=2 --log run.slog\n"
    "  serveloop simulate --config configs/simulate_fcfs.toml --vary policy.scheduler=fcfs --vary "
    "policy.scheduler=sarathi\n"
    "  serveloop simulate --config configs/simulate_fcfs.toml --swap at=1000,scheduler=sarathi\n"
    "  serveloop simulate --config configs/simulate_fcfs.toml --swap "
    "at=1000,scheduler=sarathi,chunk_budget=256\n\n"
    "Exit code 0: all was done; 1: requests stayed unfinished, a policy was ejected, or a swap did not "
    "happen; "
    "2: bad input;\n130: interrupted (the table is of what came before).\n"};

}  // namespace

int simulate(const Arguments& arguments) {
  return run_configurations(arguments, {kHelp, false, "s simulated"});
}

}  // namespace serveloop::cli
