#include "experiment/log_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "rig/device.hpp"
#include "rig/model_file.hpp"

namespace serveloop::experiment {
namespace {

constexpr const char* kWhatNext =
    "name the configuration that the log was written with, or log a run of this one";

// Of the file that is served. A log may come from another machine: none, where the path is of a folder that is not here.
std::optional<std::string> name_of_model(const config::Model& model) {
  const Result<std::string> file = rig::model_file(model);
  const std::string ending = std::filesystem::path(model.path).extension().string();
  if (!file && ending != ".gguf" && ending != ".json") return std::nullopt;
  return rig::model_name(file ? *file : model.path, model.random_weights);
}

// Its id, also where it is named by a path.
std::string name_of_plugin(const config::PluginChoice& choice) {
  const std::filesystem::path path = choice.plugin;
  return (path.extension() == ".so" ? path.stem() : path.filename()).string();
}

std::string device_of(const config::Config& config) {
  return std::filesystem::path(config.simulated.calibration).stem().string();
}

Status same(const std::string& key, const std::string& configured, const std::string& logged) {
  if (configured == logged) return {};
  return fail(key, fmt::format("a log of '{}', which the configuration names", configured),
              fmt::format("one of '{}'", logged), kWhatNext);
}

Status same_device(const config::Config& logged, const config::Config& config) {
  if (Status executor = same("engine.executor", config.engine.executor, logged.engine.executor); !executor)
    return executor;
  if (!rig::is_real(config)) return same("simulated.calibration", device_of(config), device_of(logged));
  const auto model = name_of_model(config.model), logged_model = name_of_model(logged.model);
  if (model && logged_model)
    if (Status is = same("model.path", *model, *logged_model); !is) return is;
  return same("policy.precision", name_of_plugin(config.policy.precision),
              name_of_plugin(logged.policy.precision));
}

// What cannot be told, or need not matter.
void doubt(const config::Config& logged, const config::Config& config, std::vector<std::string>& doubts) {
  for (const config::Config* c : {&logged, &config})
    if (!name_of_model(c->model)) {
      doubts.push_back(
          fmt::format("whether it is of the same model cannot be told: there is no '{}'", c->model.path));
      break;
    }
  const auto options = [](const config::Config& c) { return toml::to_inline(c.policy.precision.options); };
  if (options(logged) != options(config))
    doubts.push_back(fmt::format("its policy.precision.options are {}, the configuration's {}",
                                 options(logged), options(config)));
  if (config.engine.executor == "cpu" && config.engine.threads != logged.engine.threads)
    doubts.push_back(fmt::format("it ran with engine.threads = {}, the configuration says {}",
                                 logged.engine.threads, config.engine.threads));
}

bool prefills(const MeasuredStep& step) { return step.kind() != StepKind::decode; }
bool decodes(const MeasuredStep& step) { return step.kind() != StepKind::prefill; }

}  // namespace

Result<std::vector<std::string>> check_log(const LogSteps& log, const config::Config& config) {
  const Result<config::Config> logged = config::parse(log.config_toml, "the log's configuration", "/");
  if (!logged) return tl::unexpected(logged.error());
  std::vector<std::string> doubts;
  if (rig::is_real(*logged) &&
      !rig::is_real(config))  // a simulator's configuration names no model to compare
    doubts.push_back(
        fmt::format("it is of '{}' on engine.executor = \"{}\": see that '{}', whose other figures are taken "
                    "over, is of the same",
                    name_of_model(logged->model).value_or(logged->model.path), logged->engine.executor,
                    device_of(config)));
  else if (Status same = same_device(*logged, config); !same)
    return tl::unexpected(same.error());
  else if (rig::is_real(config))
    doubt(*logged, config, doubts);
  if (log.steps.empty())
    return fail(log.complete ? "steps" : "steps of a log that was cut short", "some in which something ran",
                "none", "log a run with requests, to its end");
  if (!log.complete)
    doubts.push_back(fmt::format(
        "it was cut short, so its last steps are missing; the {} that are there are used", log.steps.size()));
  return doubts;
}

Result<std::vector<std::string>> check_kinds(std::span<const MeasuredStep> steps) {
  std::vector<std::string> doubts;
  const std::pair<const char*, bool (*)(const MeasuredStep&)> kinds[] = {{"compute prompts", prefills},
                                                                         {"decode", decodes}};
  for (const auto& [what, of_kind] : kinds) {
    const auto count = static_cast<std::size_t>(std::count_if(steps.begin(), steps.end(), of_kind));
    if (count < kLeastOfAKind)
      return fail(fmt::format("steps that {}", what), fmt::format("at least {}", kLeastOfAKind),
                  std::to_string(count), "log more requests, or add another log by a second --from");
    if (count < kFewOfAKind)
      doubts.push_back(fmt::format("only {} steps {}: what is fitted to them is rough", count, what));
  }
  return doubts;
}

}  // namespace serveloop::experiment
