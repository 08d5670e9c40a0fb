// serveloop plugin list | info: what can be found, and what one is.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/program_options/value_semantic.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/joined.hpp"
#include "cli/command.hpp"
#include "rig/settings.hpp"

namespace serveloop::cli {

namespace {

const Help kHelp{
    "serveloop plugin list | info NAME [options]",
    "list shows every policy on the search path and checks its manifest and hash; info opens one, checks "
    "it as a run does, and shows\n"
    "its manifest with its options. NAME is an id or a path, which holds a '/'. Exit code 0: can be "
    "loaded; info: 2 if not; list: 1\n"
    "if one of them is broken.",
    "examples\n  serveloop plugin list\n  serveloop plugin info sarathi\n  serveloop plugin "
    "info ./mine/plugin.toml\n"};

// Columns of the terminal; none where standard output is no terminal.
std::optional<std::size_t> terminal_width() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::nullopt;
  return size.ws_col;
}

// Characters of UTF-8 text: bytes that continue none.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// The text in exactly that many columns, at least 3, clipped or filled up.
std::string fitted(std::string_view text, std::size_t width) {
  const std::size_t length = characters(text);
  if (length <= width) return std::string(text) + std::string(width - length, ' ');
  std::size_t end = 0;
  for (std::size_t kept = 0; end < text.size(); ++end)
    if ((text[end] & 0xc0) != 0x80 && kept++ == width - 3) break;
  return std::string(text.substr(0, end)) + "...";
}

using Row = std::array<std::string, 5>;  // kind, id, version, summary, folder

// The summary takes what the terminal leaves, and never more than it needs.
void print_table(const std::vector<Row>& rows) {
  constexpr std::size_t kSummary = 3, kFolder = 4, kLeast = 20, kMost = 60;
  std::array<std::size_t, 5> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], characters(row[i]));
  widths[kSummary] = std::min(widths[kSummary], kMost);
  if (const auto width = terminal_width()) {
    const std::size_t others = widths[0] + widths[1] + widths[2] + widths[kFolder] + 4;
    const std::size_t left = *width > others ? *width - others : 0;
    widths[kSummary] = std::min(widths[kSummary], std::max(left, kLeast));
  }
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < kFolder; ++i) line += fitted(row[i], widths[i]) + " ";
    fmt::print("{}\n", line + row[kFolder]);
  }
}

int list(const policy::Host& host) {
  std::vector<Row> rows{{"kind", "id", "version", "summary", "folder"}};
  std::string broken;
  for (const policy::Listed& found : host.list()) {
    if (!found.manifest) {
      broken += fmt::format("broken: {}\n", found.manifest.error().message());
      continue;
    }
    const policy::Manifest& m = *found.manifest;
    if (found.problem)
      broken += fmt::format("broken: {} '{}': {}\n", policy::name_of(m.kind), m.id, found.problem->message());
    else
      rows.push_back({policy::name_of(m.kind), m.id, m.version, m.summary, m.folder});
  }
  print_table(rows);
  fmt::print("{}", broken);
  return broken.empty() ? kOk : kNegative;
}

int info(const policy::Host& host, const std::string& name) {
  const Result<std::shared_ptr<const policy::Library>> library = host.open(name);
  if (!library) return bad_input(library.error());
  const policy::Manifest& m = (*library)->manifest();
  fmt::print("{} '{}' {} ({})\n{}\n", policy::name_of(m.kind), m.id, m.version, m.license, m.summary);
  fmt::print(
      "manifest  {}\nobject    {}\nsha256    {}\nABI       major {}, host minor at least {}\nswap      by "
      "{}{}\n",
      m.file, m.library_path(),
      (*library)->sha256() + (m.sha256.empty() ? ", not stated in the manifest" : ", as stated"), m.abi_major,
      m.abi_minor_min, policy::name_of(m.swap), m.gate ? "\ngate      yes" : "");
  if (!m.reasons.empty()) fmt::print("reasons   {}\n", joined(m.reasons));
  if (!m.gauges.empty()) fmt::print("gauges    {}\n", joined(m.gauges));
  for (const policy::OptionSpec& o : m.options) {
    fmt::print("option    {} ({}{}{})", o.name, policy::name_of(o.type), o.unit.empty() ? "" : ", ", o.unit);
    if (o.fallback) fmt::print(", default {}", toml::to_inline(*o.fallback));
    if (o.min) fmt::print(", from {}", *o.min);
    if (o.max) fmt::print(", to {}", *o.max);
    if (!o.choices.empty()) fmt::print(", one of {}", joined(o.choices));
    fmt::print("\n          {}\n", o.help);
  }
  return kOk;
}

Status check_action(const std::string& action, const std::string& name) {
  const std::string actions = "`list` or `info NAME`";
  if (action.empty()) return fail("plugin", actions, "nothing", "try `serveloop plugin --help`");
  if (action != "list" && action != "info") return fail("plugin", actions, "'" + action + "'");
  if (action == "list" && !name.empty()) return fail("plugin list", "no name", "'" + name + "'");
  if (action == "info" && name.empty())
    return fail("plugin info", "an id or a path", "nothing", "`serveloop plugin list` shows the ids");
  return {};
}

}  // namespace

int plugin(const Arguments& arguments) {
  std::string action, name, config_path;
  po::options_description described("options");
  described.add_options()("action", po::value(&action), "list or info")("name", po::value(&name),
                                                                        "with info: an id or a path")(
      "config", po::value(&config_path), "also search where this configuration's [policy] search says");
  po::positional_options_description positional;
  positional.add("action", 1).add("name", 1);
  int status = kOk;
  if (!parse(arguments, described, positional, kHelp, status)) return status;
  if (Status well = check_action(action, name); !well) return bad_input(well.error());
  config::Config config;
  if (!config_path.empty()) {
    Result<config::Config> loaded = config::load(config_path);
    if (!loaded) return bad_input(loaded.error());
    config = std::move(*loaded);
  }
  const policy::Host host = rig::plugin_host(config);
  return action == "list" ? list(host) : info(host, name);
}

}  // namespace serveloop::cli
