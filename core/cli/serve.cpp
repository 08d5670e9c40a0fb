// serveloop serve: a configuration's engine behind HTTP, until a signal comes.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/program_options/value_semantic.hpp>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>

#include "cli/command.hpp"
#include "cli/model_options.hpp"
#include "rig/device.hpp"
#include "server/backend.hpp"
#include "server/server.hpp"
#include "service/check.hpp"
#include "service/service.hpp"

namespace serveloop::cli {

namespace {

constexpr std::uint64_t kDrainNs = 60'000'000'000;  // for what is under way when a signal comes
constexpr std::uint64_t kFlushNs = 5'000'000'000;   // for the last bytes to reach their clients
constexpr rlim_t kFiles = 8192;                     // wished: the hard limit may be lower
constexpr rlim_t kOtherFiles = 128;  // the model's, plugins', listeners', and of connections that are refused

const Help kHelp{
    "serveloop serve --config FILE [options]",
    "Loads the model and the policies of a configuration and serves them over HTTP, as OpenAI's API does "
    "(docs/HTTP.md), until\n"
    "SIGINT or SIGTERM: then no new request is taken, and it ends once the running ones have. A second "
    "signal ends it "
    "at once.\n"
    "With [admin] socket, policies can be changed meanwhile.",
    "examples\n"
    "  serveloop serve --config configs/serve.toml\n"
    "  serveloop serve --config configs/serve.toml --check\n"
    "  serveloop serve --config configs/serve.toml --set policy.scheduler=sarathi --port 0\n\n"
    "Exit code 0: ended by a signal; 1: the engine gave up; 2: bad input, or the port is in use.\n"};

struct Options {
  std::string config, host, port;
  ModelOptions model;
  std::vector<std::string> overrides;
  bool check = false;
};

// Options are overrides by another name, applied after --set.
Result<config::Config> configuration(const Options& options) {
  std::vector<config::Override> overrides(options.overrides.begin(), options.overrides.end());
  add_overrides(options.model, overrides);
  if (!options.host.empty())
    overrides.emplace_back("server.host=" + toml::to_inline(toml::Value(options.host)),
                           "--host " + options.host);
  if (!options.port.empty()) overrides.emplace_back("server.port=" + options.port, "--port " + options.port);
  Result<config::Config> config = config::load(options.config, overrides);
  if (!config) return config;
  if (Status found = rig::resolve_calibration(*config, config::folder_of(options.config)); !found)
    return tl::unexpected(config->places.placed(found.error()));
  return config;
}

std::string first_request(const service::Service& service, const std::string& url) {
  const bool text = service.text() != nullptr;
  const bool chat = text && service.text()->chat_template;
  return fmt::format("curl {}/v1/{} -H 'Content-Type: application/json' -d '{{{}, \"max_tokens\": 32}}'", url,
                     chat ? "chat/completions" : "completions",
                     chat   ? R"("messages": [{"role": "user", "content": "Hello"}])"
                     : text ? R"("prompt": "Hello")"
                            : R"("prompt": [1, 2, 3])");
}

void print_start(service::Service& service, const std::string& url, const config::Config& config) {
  fmt::print("serving {} on {}\n", service.info().model, url);
  if (!config.admin.socket.empty()) fmt::print("admin on {}\n", config.admin.socket);
  for (const service::PolicyInForce& p : service.policies())
    fmt::print("  {:<10} {}{} {}{}\n", p.kind, p.place.empty() ? "" : p.place + ": ", p.id, p.version,
               p.options.entries().empty() ? "" : "  " + toml::to_inline(p.options));
  fmt::print("try: {}\n", first_request(service, url));
  std::fflush(stdout);
}

// Raises the limit of open files as far as is wished and allowed; how many connections it leaves room for.
std::uint32_t room_for_connections() {
  const std::uint32_t wished = server::ServerOptions{}.connections;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return wished;
  const rlim_t before = files.rlim_cur;
  files.rlim_cur = std::max(before, std::min(files.rlim_max, kFiles));
  if (files.rlim_cur != before && ::setrlimit(RLIMIT_NOFILE, &files) != 0) files.rlim_cur = before;
  const rlim_t room = files.rlim_cur > 2 * kOtherFiles ? files.rlim_cur - kOtherFiles : files.rlim_cur / 2;
  if (room >= wished) return wished;
  SPDLOG_WARN("{} open files are allowed (ulimit -n): at most {} connections at one time", files.rlim_cur,
              room);
  return static_cast<std::uint32_t>(room);
}

void wait(const service::Service& service) {
  while (interrupted() == 0 && service.healthy()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

int run(const config::Config& config) {
  if (Status free = server::can_listen(config.server); !free) return bad_input(free.error());
  Result<std::unique_ptr<service::Service>> service =
      service::Service::start(config, [](const std::string& what) { SPDLOG_INFO("{}", what); });
  if (!service) return bad_input(config.places.placed(service.error()));
  const std::unique_ptr<server::Backend> backend = server::backend_of(**service);
  const std::uint32_t connections = room_for_connections();
  Result<std::unique_ptr<server::Server>> server = server::Server::start(
      {config.server, config.admin, config.tenants, SERVELOOP_VERSION, connections}, *backend);
  if (!server) return bad_input(server.error());
  bool keys = false;
  for (const auto& [id, tenant] : config.tenants) keys = keys || !tenant.keys.empty();
  if (!keys && !(*server)->loopback())
    SPDLOG_WARN("{}: whoever reaches this address may use it: no tenant has keys", config.server.host);
  print_start(**service, (*server)->url(), config);
  wait(**service);
  const bool gave_up = interrupted() == 0;
  (*server)->stop_listening();
  if (gave_up) {
    fmt::print(stderr, "serveloop: the engine gave up; its messages above tell why\n");
  } else {
    SPDLOG_INFO("ending: waiting for the running requests; a second signal ends at once");
    (*service)->drain(kDrainNs);
  }
  (*server)->finish(kFlushNs);
  server->reset();
  service->reset();
  return gave_up ? kNegative : kOk;
}

}  // namespace

int serve(const Arguments& arguments) {
  Options options;
  po::options_description described("options");
  described.add_options()("config", po::value(&options.config)->required(),
                          "configuration to serve (TOML; docs/CONFIG.md)")(
      "check", po::bool_switch(&options.check),
      "check configuration, plugins and model, print the memory plan, and end")(
      "set", po::value(&options.overrides)->composing(), kSetHelp);
  add_model_options(described, options.model);
  described.add_options()("host", po::value(&options.host), "address to listen on (as [server] host)")(
      "port", po::value(&options.port), "port; 0 = any free one (as [server] port)");
  po::positional_options_description positional;
  positional.add("config", 1);
  int status = kOk;
  if (!parse(arguments, described, positional, kHelp, status)) return status;
  const Result<config::Config> config = configuration(options);
  if (!config) return bad_input(config.error());
  set_log_level(config->observe.log_level);
  if (options.check) {
    const Result<std::string> text = service::check(*config);
    if (!text) return bad_input(config->places.placed(text.error()));
    fmt::print("{}", *text);
    return kOk;
  }
  catch_interrupts();
  return run(*config);
}

}  // namespace serveloop::cli
