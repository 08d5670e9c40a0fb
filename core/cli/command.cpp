#include "cli/command.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/program_options/parsers.hpp>
#include <cstdio>
#include <iostream>
#include <sstream>

namespace serveloop::cli {

std::optional<po::variables_map> parse(const Arguments& arguments, const po::options_description& options,
                                       const po::positional_options_description& positional, const Help& help,
                                       int& status) {
  po::options_description all;
  all.add(options);
  if (all.find_nothrow("help", false) == nullptr) all.add_options()("help,h", "this text");
  try {
    po::variables_map values;
    po::store(po::command_line_parser(arguments).options(all).positional(positional).run(), values);
    if (values.count("help") > 0) {
      std::ostringstream described;
      described << all;
      fmt::print("usage: {}\n\n{}\n\n{}\n{}", help.usage, help.what, described.str(), help.examples);
      status = kOk;
      return std::nullopt;
    }
    po::notify(values);
    return values;
  } catch (const po::error& error) {
    fmt::print(stderr, "serveloop: {}; try `{} --help`\n", error.what(),
               help.usage.substr(0, help.usage.find(" -")));
    status = kBadInput;
    return std::nullopt;
  }
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
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
}

void progress_bar(const std::string& label, double share, const std::string& detail) {
  if (::isatty(STDERR_FILENO) == 0) return;
  constexpr int kWidth = 30;
  const int full = static_cast<int>(share * kWidth + 0.5);
  fmt::print(stderr, "\r{} [{:<{}}] {:3.0f} %  {}\x1b[K", label,
             std::string(static_cast<std::size_t>(full), '#'), kWidth, share * 100, detail);
  std::fflush(stderr);
  shown = true;
}

void end_progress() {
  if (shown) fmt::print(stderr, "\r\x1b[K");
  shown = false;
}

}  // namespace serveloop::cli
