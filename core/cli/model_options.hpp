// --model and --random-weights, as overrides of [model].
#pragma once

#include <boost/program_options/value_semantic.hpp>
#include <filesystem>

#include "cli/command.hpp"
#include "config/config.hpp"

namespace serveloop::cli {

struct ModelOptions {
  std::string path, seed;
};

inline void add_model_options(po::options_description& described, ModelOptions& model) {
  described.add_options()("model", po::value(&model.path), "the model, in place of [model] path")(
      "random-weights", po::value(&model.seed),
      "draw weights from this seed; the model is a config.json then");
}

inline void add_overrides(const ModelOptions& model, std::vector<config::Override>& overrides) {
  if (!model.path.empty())
    overrides.emplace_back(
        "model.path=" + toml::to_inline(toml::Value(std::filesystem::absolute(model.path).string())),
        "--model " + model.path);
  if (!model.seed.empty())
    overrides.emplace_back("model.random_weights=" + model.seed, "--random-weights " + model.seed);
}

}  // namespace serveloop::cli
