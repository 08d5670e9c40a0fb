#include "simulated.hpp"

#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "../need.hpp"
#include "config/config.hpp"
#include "observe/step_log.hpp"
#include "rig/device.hpp"

namespace serveloop::test {

namespace {

// FNV-1a over the plans of a step log.
std::uint64_t hash_plans(const std::string& log) {
  const auto reader = need(observe::LogReader::open(log));
  observe::StepRecord step;
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](std::uint64_t byte) { hash = (hash ^ byte) * 0x100000001b3u; };
  while (need(reader->next(step)))
    for (const observe::StepRecord::Entry& entry : step.items) {
      if (entry.tag != observe::Item::plan) continue;
      add(step.step & 0xff);
      for (const std::uint8_t byte : entry.bytes) add(byte);
    }
  return hash;
}

}  // namespace

Ran simulate(const std::string& toml, const std::vector<std::string>& overrides) {
  const std::string folder = SERVELOOP_SOURCES "/configs";
  const std::string log =
      (std::filesystem::temp_directory_path() / ("schedulers-" + std::to_string(getpid()) + ".slog"))
          .string();
  std::vector<config::Override> all(overrides.begin(), overrides.end());
  all.emplace_back("policy.search=['" SERVELOOP_BUILD_PLUGINS "']");
  all.emplace_back("observe.log=" + log);
  config::Config config = need(config::parse(toml, "test", folder, all));
  if (Status found = rig::resolve_calibration(config, folder); !found)
    throw std::runtime_error(found.error().message());
  Ran ran{need(experiment::run(config, {})), hash_plans(log), 0};
  ran.steps = ran.summary.counters.steps;
  std::filesystem::remove(log);
  return ran;
}

}  // namespace serveloop::test
