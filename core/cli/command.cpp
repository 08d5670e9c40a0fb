#include "cli/command.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options/parsers.hpp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <sstream>

#include "base/joined.hpp"

namespace serveloop::cli {

namespace {

// "serveloop replay", off the front of a usage text.
std::string command_of(const std::string& usage) {
  return usage.substr(0, usage.find(' ', usage.find(' ') + 1));
}

// What was given for an option that wants a number, and is none or not one of its type.
Error not_a_number(const po::validation_error& error, const po::parsed_options& given,
                   const po::options_description& described, const std::string& usage) {
  const std::string name = error.get_option_name();  // "--rounds"
  Error out{name, "a whole number of at most 9 digits", "", "try `" + command_of(usage) + " --help`"};
  const std::size_t word = name.find_first_not_of('-');
  const po::option_description* of =
      word == std::string::npos ? nullptr : described.find_nothrow(name.substr(word), false);
  if (of == nullptr) return {error.what(), "", "", out.hint};
  if (const auto* typed = dynamic_cast<const po::typed_value_base*>(of->semantic().get())) {
    if (typed->value_type() == typeid(float) || typed->value_type() == typeid(double))
      out.expected = "a number";
    if (typed->value_type() == typeid(std::uint64_t)) out.expected = "a whole number of at most 19 digits";
  }
  for (const po::option& option : given.options)
    if ("--" + option.string_key == name) out.found = "'" + joined(option.value) + "'";
  return out;
}

}  // namespace

std::optional<po::variables_map> parse(const Arguments& arguments, const po::options_description& options,
                                       const po::positional_options_description& positional, const Help& help,
                                       int& status) {
  po::options_description all;
  all.add(options);
  if (all.find_nothrow("help", false) == nullptr) all.add_options()("help,h", "this text");
  po::parsed_options given(&all);
  try {
    po::variables_map values;
    given = po::command_line_parser(arguments).options(all).positional(positional).run();
    po::store(given, values);
    if (values.count("help") > 0) {
      std::ostringstream described;
      described << all;
      fmt::print("usage: {}\n\n{}\n\n{}\n{}", help.usage, help.what, described.str(), help.examples);
      status = kOk;
      return std::nullopt;
    }
    po::notify(values);
    return values;
  } catch (const po::validation_error& error) {
    status = bad_input(not_a_number(error, given, all, help.usage));
    return std::nullopt;
  } catch (const po::error& error) {
    fmt::print(stderr, "serveloop: {}; try `{} --help`\n", error.what(), command_of(help.usage));
    status = kBadInput;
    return std::nullopt;
  }
}

int bad_input(const Error& error) {
  end_progress();
  fmt::print(stderr, "serveloop: {}\n", error.message());
  return kBadInput;
}

void set_log_level(const std::string& level) {
  static const auto logger = spdlog::stderr_color_mt("serveloop");
  spdlog::set_default_logger(logger);
  spdlog::set_pattern("%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_level(spdlog::level::from_str(level));
}

namespace {
bool shown = false;
volatile std::sig_atomic_t caught = 0;
}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  // From then on either of them ends the process, as it would without a handler.
  action.sa_handler = [](int signal) {
    caught = signal;
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
  };
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

int interrupted() { return caught; }

std::size_t terminal_width(int fd) {
  if (::isatty(fd) == 0) return 0;
  struct winsize size {};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void progress_bar(const std::string& label, double share, const std::string& detail) {
  const std::size_t width = terminal_width(STDERR_FILENO);
  if (width == 0) return;
  constexpr std::size_t kBar = 16;
  const auto full = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * kBar + 0.5);
  const std::string end = fmt::format(" [{}{}] {:3.0f} %  {}", std::string(full, '#'),
                                      std::string(kBar - full, ' '), share * 100, detail);
  // The last column stays empty, so that no terminal wraps.
  const std::size_t room = width - 1 > end.size() ? width - 1 - end.size() : 0;
  fmt::print(stderr, "\r{}\x1b[K", (label.substr(0, room) + end).substr(0, width - 1));
  std::fflush(stderr);
  shown = true;
}

void end_progress() {
  if (shown) fmt::print(stderr, "\r\x1b[K");
  shown = false;
}

}  // namespace serveloop::cli
