#include "rig/model_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "model/from_config.hpp"
#include "model/memory_plan.hpp"
#include "rig/machine.hpp"

namespace serveloop::rig {

namespace {

namespace fs = std::filesystem;

// The one file of that kind in a folder.
Result<fs::path> only_file(const fs::path& folder, bool random) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    if (random ? entry.path().filename() == "config.json" : entry.path().extension() == ".gguf")
      found.push_back(entry.path());
  if (found.size() == 1) return found.front();
  return fail("model.path: " + folder.string(), random ? "a config.json in it" : "one *.gguf file in it",
              found.empty() ? "none" : fmt::format("{} of them", found.size()), "name the file itself");
}

// The file that [model] path names, or that lies in that folder.
Result<fs::path> model_path(const config::Model& model) {
  const bool random = model.random_weights.has_value();
  if (model.path.empty())
    return fail("model.path", random ? "a config.json" : "a GGUF file", "nothing",
                "set [model] path, or --model PATH");
  const fs::path path = model.path;
  std::error_code error;
  if (!fs::exists(path, error)) return fail("model.path", "a file", "none at " + model.path);
  if (fs::is_directory(path, error)) return only_file(path, random);
  return path;
}

// "Llama-3.1-8B" of Llama-3.1-8B/config.json
std::string config_name(const fs::path& path) {
  return path.filename() == "config.json" ? path.parent_path().filename().string() : path.stem().string();
}

}  // namespace

Result<NamedArchitecture> read_architecture(const config::Model& model) {
  const Result<fs::path> path = model_path(model);
  if (!path) return tl::unexpected(path.error());
  if (model.random_weights || path->extension() == ".json") {
    auto architecture = model::load_config_json(path->string());
    if (!architecture) return about("model.path", architecture.error());
    return NamedArchitecture{std::move(*architecture), config_name(*path)};
  }
  auto read = model::load_gguf(path->string());
  if (!read) return about("model.path", read.error());
  return NamedArchitecture{std::move(read->architecture), path->stem().string()};
}

Result<NamedModel> read_model(const config::Model& model, unsigned threads) {
  const bool random = model.random_weights.has_value();
  const Result<fs::path> found = model_path(model);
  if (!found) return tl::unexpected(found.error());
  const fs::path& path = *found;
  std::error_code error;
  NamedModel named;
  if (random) {
    auto architecture = model::load_config_json(path.string());
    if (!architecture) return tl::unexpected(architecture.error());
    const auto bytes = model::weight_bytes(*architecture, model::Type::bf16);
    if (!bytes) return tl::unexpected(bytes.error());
    if (Status fits = check_room("weights", bytes->total, "use a smaller model"); !fits)
      return tl::unexpected(fits.error());
    auto made = model::random_model(std::move(*architecture), *model.random_weights, threads);
    if (!made) return tl::unexpected(made.error());
    named.model = std::move(*made);
    named.name = fmt::format("{}-random-{}", config_name(path), *model.random_weights);
    named.identity = fmt::format("{}:{}", path.string(), *model.random_weights);
    return named;
  }
  if (path.extension() == ".json")
    return fail("model.path", "a GGUF file", path.string(),
                "add random_weights = SEED to run a config.json with drawn weights");
  auto read = model::load_gguf(path.string());
  if (!read) return tl::unexpected(read.error());
  named.model = std::move(*read);
  named.name = path.stem().string();
  named.identity = fmt::format("{}:{}:{}", path.string(), fs::file_size(path, error),
                               fs::last_write_time(path, error).time_since_epoch().count());
  return named;
}

}  // namespace serveloop::rig
