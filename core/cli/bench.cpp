// serveloop bench: on a real executor, one column a configuration.
#include <algorithm>

#include "cli/runs.hpp"

namespace serveloop::cli {

namespace {

const Help kHelp{
    "serveloop bench --config FILE [--config FILE ...] [options]\n"
    "       serveloop bench --calibrate --config FILE [options]\n"
    "       serveloop bench --kernels --config FILE [options]",
    "Runs the [workload] of each configuration on its executor in real time and prints the table that "
    "`simulate`\n"
    "prints. Prompts are seeded tokens; the model computes them as it would any other. `bench --calibrate` "
    "fits "
    "the\n"
    "simulator's cost model instead: `serveloop bench --calibrate --help`; `bench --kernels` times the "
    "kernels of "
    "a GPU\n"
    "by themselves: `serveloop bench --kernels --help`.",
    "examples\n"
    "  serveloop bench --config configs/bench_cpu.toml\n"
    "  serveloop bench --config configs/bench_cpu.toml --set engine.threads=1 --log run.slog --json "
    "run.json\n"
    "  serveloop bench --config configs/bench_cpu.toml --model tiny/config.json --random-weights 1\n\n"
    "Exit code 0: all was done; 1: requests stayed unfinished, a policy was ejected, or a swap did not "
    "happen; 2: bad\n"
    "input; 130: interrupted (the table is of what came before).\n"};

}  // namespace

int bench(const Arguments& arguments) {
  const auto asked = [&](const char* what) {
    return std::find(arguments.begin(), arguments.end(), what) != arguments.end();
  };
  if (asked("--calibrate")) return calibrate(arguments);
  if (asked("--kernels")) return kernels(arguments);
  return run_configurations(arguments, {kHelp, true, "s"});
}

}  // namespace serveloop::cli
