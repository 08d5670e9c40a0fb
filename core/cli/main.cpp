// serveloop: dispatches to its subcommands.
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <exception>

#include "base/joined.hpp"
#include "base/suggest.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"

namespace {

using namespace serveloop;

struct Subcommand {
  const char* name;
  const char* what;
  int (*run)(const cli::Arguments&);
};

constexpr std::array kSubcommands{
    Subcommand{"serve", "answer requests over HTTP, as OpenAI's API does", cli::serve},
    Subcommand{"simulate", "run a configuration's workload under virtual time and print what came of it",
               cli::simulate},
    Subcommand{"bench",
               "run a configuration's workload on a real model in real time and print what came of it",
               cli::bench},
    Subcommand{"ab", "compare policies request by request, with intervals and verdicts", cli::ab},
    Subcommand{"generate", "let a model answer one prompt", cli::generate},
    Subcommand{"replay", "feed a step log to the same plugins and compare every decision", cli::replay},
    Subcommand{"plugin", "list the policies that can be found, or show one", cli::plugin},
};

int usage(std::FILE* to, int status) {
  fmt::print(to,
             "usage: serveloop COMMAND [options]\n\nAn LLM inference engine whose policies are "
             "plugins.\n\ncommands\n");
  for (const Subcommand& s : kSubcommands) fmt::print(to, "  {:<10} {}\n", s.name, s.what);
  fmt::print(to,
             "\n`serveloop COMMAND --help` tells more. Exit codes: 0 well, 1 ran with a negative result, 2 "
             "bad input, 130 interrupted.\n");
  return status;
}

int run(int argc, char** argv) {
  try {
    if (argc < 2) return usage(stderr, cli::kBadInput);
    const std::string name = argv[1];
    if (name == "--help" || name == "-h" || name == "help") return usage(stdout, cli::kOk);
    if (name == "--version") {
      fmt::print("serveloop {}\n", SERVELOOP_VERSION);
      return cli::kOk;
    }
    cli::set_log_level("info");
    for (const Subcommand& s : kSubcommands)
      if (name == s.name) return s.run({argv + 2, argv + argc});
    std::vector<std::string> names;
    for (const Subcommand& s : kSubcommands) names.emplace_back(s.name);
    return cli::bad_input(
        {fmt::format("unknown command '{}'", name), "one of " + joined(names), "", "try `serveloop --help`"});
  } catch (const std::exception& error) {
    cli::end_progress();
    fmt::print(stderr, "serveloop: {}\n", error.what());
    std::clearerr(stdout);  // that was its line
    return cli::kBadInput;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int status = run(argc, argv);
  return cli::stdout_arrived() ? status : cli::kBadInput;
}
