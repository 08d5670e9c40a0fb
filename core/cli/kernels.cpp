// serveloop bench --kernels: the GPU's kernels by themselves, beside what it can do at most.
#include <fmt/format.h>

#include <boost/program_options/value_semantic.hpp>
#include <optional>

#include "cli/command.hpp"
#include "cli/model_options.hpp"
#include "cli/output.hpp"
#include "experiment/kernel_table.hpp"

namespace serveloop::cli {

namespace {

const Help kHelp{
    "serveloop bench --kernels --config FILE [options]",
    "Times each kernel of the CUDA executor by itself, at the sizes of the configuration's model: decode "
    "steps of 1, 8, "
    "32,\n"
    "128 and engine.max_sequences sequences, chunks of engine.token_budget tokens. Beside it: what it moves "
    "and "
    "computes a\n"
    "second, the least time by the best read or copy and by a large product of the same run (the roofline), "
    "and the "
    "share\n"
    "of it that is reached. Needs a GPU, and of the model only its shapes.",
    "examples\n"
    "  serveloop bench --kernels --config configs/bench_cuda.toml\n"
    "  serveloop bench --kernels --config configs/bench_cuda.toml --model llama/config.json --keys 4096 "
    "--json "
    "kernels.json\n\n"
    "Exit code 0: done; 2: bad input, or no GPU; 130: interrupted (the table is of what came before).\n"};

constexpr std::int64_t kMostKeys = 1 << 20;

struct Options {
  std::string config, json;
  std::vector<std::string> set;
  std::int64_t keys = 1024;
  ModelOptions model;
};

// Fills in `o`; false: `status` is the exit code.
bool parse_options(const Arguments& arguments, Options& o, int& status) {
  po::options_description described("options");
  described.add_options()("kernels", "time kernels in place of running a workload")(
      "config", po::value(&o.config)->required(), "whose model and sizes are measured (TOML)")(
      "set", po::value(&o.set)->composing(), kSetHelp)(
      "keys", po::value(&o.keys), "of each sequence that decodes, and before a later chunk (1024)")(
      "json", po::value(&o.json), "write the table as JSON here");
  add_model_options(described, o.model);
  po::positional_options_description positional;
  positional.add("config", 1);
  return parse(arguments, described, positional, kHelp, status).has_value();
}

Result<config::Config> configuration(const Options& o) {
  if (o.keys < 1 || o.keys > kMostKeys)
    return fail("--keys", fmt::format("1 to {}", kMostKeys), std::to_string(o.keys));
  std::vector<config::Override> overrides(o.set.begin(), o.set.end());
  add_overrides(o.model, overrides);
  return config::load(o.config, overrides);
}

}  // namespace

int kernels(const Arguments& arguments) {
  Options o;
  int status = kOk;
  if (!parse_options(arguments, o, status)) return status;
  const Result<config::Config> config = configuration(o);
  if (!config) return bad_input(config.error());
  if (Status distinct = check_distinct({{"the configuration", o.config}, {"the model", config->model.path}},
                                       {{"--json", o.json}});
      !distinct)
    return bad_input(distinct.error());
  std::optional<OutputFile> json;
  if (!o.json.empty()) {
    Result<OutputFile> created = OutputFile::create("--json", o.json);
    if (!created) return bad_input(created.error());
    json.emplace(std::move(*created));
  }
  catch_interrupts();
  const Result<rig::KernelBench> bench =
      rig::bench_kernels(*config, static_cast<std::uint32_t>(o.keys), [](double share) {
        progress_bar("kernels", share, "");
        return interrupted() == 0;
      });
  end_progress();
  if (!bench) return bad_input(config->places.placed(bench.error()));
  if (!bench->report.note.empty()) fmt::print(stderr, "serveloop: {}\n", bench->report.note);
  fmt::print("{}", experiment::kernel_table(*bench));
  stdout_arrived();
  if (json)
    if (Status written = json->commit(experiment::kernel_json(*bench)); !written)
      return bad_input(written.error());
  if (bench->report.whole) return kOk;
  fmt::print(stderr, "serveloop: interrupted: not all kernels were measured\n");
  return 128 + interrupted();
}

}  // namespace serveloop::cli
