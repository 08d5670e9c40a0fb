// What the subcommands share: exit codes, help, common options, logging. One file a subcommand.
#pragma once

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/positional_options.hpp>
#include <boost/program_options/variables_map.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace serveloop::cli {

namespace po = boost::program_options;

inline constexpr int kOk = 0;        // ran, and the result is what was hoped for
inline constexpr int kNegative = 1;  // ran, and it is not
inline constexpr int kBadInput = 2;  // did not run

using Arguments = std::vector<std::string>;

inline constexpr const char* kSetHelp =
    "override a key: a.b=c. Another policy drops the options that the file states for its own; set new ones "
    "behind it: policy.scheduler.options.a=c";

int ab(const Arguments& arguments);
int simulate(const Arguments& arguments);
int bench(const Arguments& arguments);
int calibrate(const Arguments& arguments);  // bench --calibrate
int kernels(const Arguments& arguments);    // bench --kernels
int generate(const Arguments& arguments);
int serve(const Arguments& arguments);
int replay(const Arguments& arguments);
int plugin(const Arguments& arguments);

struct Help {
  std::string usage;     // "serveloop simulate --config FILE [options]"
  std::string what;      // a paragraph
  std::string examples;  // lines
};
// Parses. No value: help was printed, or one line said what is wrong; `status` is the exit code then.
std::optional<po::variables_map> parse(const Arguments& arguments, const po::options_description& options,
                                       const po::positional_options_description& positional, const Help& help,
                                       int& status);
int bad_input(const Error& error);
void set_log_level(const std::string& level);
// From now on SIGINT and SIGTERM are noted, the first of them; a second ends the program at once.
void catch_interrupts();
int interrupted();  // the signal that came, or 0
// Columns of the terminal at that file descriptor; 0 where it is none.
std::size_t terminal_width(int fd);
// A progress bar on standard error, one line; silent where that is no terminal.
void progress_bar(const std::string& label, double share, const std::string& detail);
void end_progress();

}  // namespace serveloop::cli
