// The model that [model] names: a GGUF file, or a config.json whose weights are drawn from a seed.
#pragma once

#include <optional>
#include <string>

#include "config/config.hpp"
#include "model/model.hpp"

namespace serveloop::rig {

struct NamedModel {
  model::Model model;
  std::string name;      // "SmolLM2-135M-Instruct-Q4_1", or "Llama-3.1-8B-random-42"
  std::string identity;  // of the weights: path, size and time of the file, or the seed
};

// The file that a path means: a GGUF file, or a config.json where weights are drawn. A folder means the one in it.
Result<std::string> model_file(const config::Model& model);
// As in NamedModel, of such a file.
std::string model_name(const std::string& file, const std::optional<std::uint64_t>& random_weights);

// A path may be a folder that holds one of the two. Errors say what was looked for.
Result<NamedModel> read_model(const config::Model& model, unsigned threads);

struct NamedArchitecture {
  model::Architecture architecture;
  std::string name;  // "SmolLM2-135M-Instruct-Q4_1", "Llama-3.1-8B"
};

// Without its weights; a config.json needs no seed for them then.
Result<NamedArchitecture> read_architecture(const config::Model& model);

}  // namespace serveloop::rig
