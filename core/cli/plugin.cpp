// serveloop plugin list | info: what can be found, and what one is.
#include <fmt/format.h>

#include <boost/program_options/value_semantic.hpp>

#include "cli/command.hpp"
#include "experiment/rig.hpp"

namespace serveloop::cli {

namespace {

const Help kHelp{"serveloop plugin list | info NAME [options]",
                 "list shows every policy on the search path; info shows one's manifest with its options. "
                 "NAME is an id or a path.",
                 "examples\n  serveloop plugin list\n  serveloop plugin info sarathi\n  serveloop plugin "
                 "info ./mine/plugin.toml\n"};

int list(const policy::Host& host) {
  bool broken = false;
  fmt::print("{:<11} {:<14} {:<9} {:<40} {}\n", "kind", "id", "version", "summary", "folder");
  for (const policy::Listed& found : host.list()) {
    if (!found.manifest) {
      fmt::print("{:<11} {:<14} {:<9} {}\n", "broken", "-", "-", found.manifest.error().message());
      broken = true;
      continue;
    }
    const policy::Manifest& m = *found.manifest;
    fmt::print("{:<11} {:<14} {:<9} {:<40} {}\n", policy::name_of(m.kind), m.id, m.version, m.summary,
               m.folder);
  }
  return broken ? kNegative : kOk;
}

int info(const policy::Host& host, const std::string& name) {
  Result<policy::Manifest> manifest = host.info(name);
  if (!manifest) return bad_input(manifest.error());
  const policy::Manifest& m = *manifest;
  fmt::print("{} '{}' {} ({})\n{}\n", policy::name_of(m.kind), m.id, m.version, m.license, m.summary);
  fmt::print(
      "manifest  {}\nobject    {}\nsha256    {}\nABI       major {}, host minor at least {}\nswap      by "
      "{}{}\n",
      m.file, m.library_path(), m.sha256.empty() ? "not stated" : m.sha256, m.abi_major, m.abi_minor_min,
      policy::name_of(m.swap), m.gate ? "\ngate      yes" : "");
  if (!m.reasons.empty()) fmt::print("reasons   {}\n", fmt::join(m.reasons, ", "));
  if (!m.gauges.empty()) fmt::print("gauges    {}\n", fmt::join(m.gauges, ", "));
  for (const policy::OptionSpec& o : m.options) {
    fmt::print("option    {} ({}{}{})", o.name, policy::name_of(o.type), o.unit.empty() ? "" : ", ", o.unit);
    if (o.fallback) fmt::print(", default {}", toml::to_inline(*o.fallback));
    if (o.min) fmt::print(", from {}", *o.min);
    if (o.max) fmt::print(", to {}", *o.max);
    if (!o.choices.empty()) fmt::print(", one of {}", fmt::join(o.choices, ", "));
    fmt::print("\n          {}\n", o.help);
  }
  return kOk;
}

}  // namespace

int plugin(const Arguments& arguments) {
  std::string action, name, config_path;
  po::options_description described("options");
  described.add_options()("action", po::value(&action)->required(), "list or info")(
      "name", po::value(&name), "with info: an id or a path")(
      "config", po::value(&config_path), "also search where this configuration's [policy] search says");
  po::positional_options_description positional;
  positional.add("action", 1).add("name", 1);
  int status = kOk;
  if (!parse(arguments, described, positional, kHelp, status)) return status;
  config::Config config;
  if (!config_path.empty()) {
    Result<config::Config> loaded = config::load(config_path);
    if (!loaded) return bad_input(loaded.error());
    config = std::move(*loaded);
  }
  const policy::Host host = experiment::plugin_host(config);
  if (action == "list" && name.empty()) return list(host);
  if (action == "info" && !name.empty()) return info(host, name);
  return bad_input({"serveloop plugin", "`list`, or `info NAME`",
                    fmt::format("'{}{}{}'", action, name.empty() ? "" : " ", name), ""});
}

}  // namespace serveloop::cli
