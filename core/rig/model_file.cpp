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

}  // namespace

Result<std::string> model_file(const config::Model& model) {
  const bool random = model.random_weights.has_value();
  if (model.path.empty())
    return fail("model.path", random ? "a config.json" : "a GGUF file", "nothing",
                "set [model] path, or --model PATH");
  std::error_code error;
  if (!fs::exists(model.path, error)) return fail("model.path", "a file", "none at " + model.path);
  if (!fs::is_directory(model.path, error)) return model.path;
  const Result<fs::path> file = only_file(model.path, random);
  if (!file) return tl::unexpected(file.error());
  return file->string();
}

std::string model_name(const std::string& file, const std::optional<std::uint64_t>& random_weights) {
  fs::path path = file;
  if (path.filename() == "config.json") path = path.parent_path();  // named by its folder
  const bool ends =
      path.extension() == ".gguf" || path.extension() == ".json";  // "llama3.1-8b" has no ending
  const std::string name = (ends ? path.stem() : path.filename()).string();
  return random_weights ? fmt::format("{}-random-{}", name, *random_weights) : name;
}

Result<NamedArchitecture> read_architecture(const config::Model& model) {
  const Result<std::string> file = model_file(model);
  if (!file) return tl::unexpected(file.error());
  const std::string name = model_name(*file, std::nullopt);
  if (model.random_weights || fs::path(*file).extension() == ".json") {
    auto architecture = model::load_config_json(*file);
    if (!architecture) return about("model.path", architecture.error());
    return NamedArchitecture{std::move(*architecture), name};
  }
  auto read = model::load_gguf(*file);
  if (!read) return about("model.path", read.error());
  return NamedArchitecture{std::move(read->architecture), name};
}

Result<NamedModel> read_model(const config::Model& model, unsigned threads) {
  const Result<std::string> file = model_file(model);
  if (!file) return tl::unexpected(file.error());
  const fs::path path = *file;
  std::error_code error;
  NamedModel named;
  named.name = model_name(*file, model.random_weights);
  if (model.random_weights) {
    auto architecture = model::load_config_json(path.string());
    if (!architecture) return tl::unexpected(architecture.error());
    const auto bytes = model::weight_bytes(*architecture, model::Type::bf16);
    if (!bytes) return tl::unexpected(bytes.error());
    if (Status fits = check_room("weights", bytes->total, "use a smaller model"); !fits)
      return tl::unexpected(fits.error());
    auto made = model::random_model(std::move(*architecture), *model.random_weights, threads);
    if (!made) return tl::unexpected(made.error());
    named.model = std::move(*made);
    named.identity = fmt::format("{}:{}", path.string(), *model.random_weights);
    return named;
  }
  if (path.extension() == ".json")
    return fail("model.path", "a GGUF file", path.string(),
                "add random_weights = SEED to run a config.json with drawn weights");
  auto read = model::load_gguf(path.string());
  if (!read) return tl::unexpected(read.error());
  named.model = std::move(*read);
  named.identity = fmt::format("{}:{}:{}", path.string(), fs::file_size(path, error),
                               fs::last_write_time(path, error).time_since_epoch().count());
  return named;
}

}  // namespace serveloop::rig
