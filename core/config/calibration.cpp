#include "config/calibration.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/suggest.hpp"
#include "config/schema.hpp"

namespace serveloop::config {
namespace {

namespace fs = std::filesystem;

Result<Calibration> build(const Result<toml::Value>& document) {
  if (!document) return tl::unexpected(document.error());
  Calibration calibration;
  if (Status status = fill(calibration_schema(), &calibration, *document, ""); !status) {
    return tl::unexpected(status.error());
  }
  // A missing coefficient would be a silent zero.
  static const std::set<std::string> optional{"name", "prefill_step_us", "decode_token_us", "overlap"};
  for (const Key& key : calibration_schema().front().keys) {
    if (optional.contains(key.name) || document->find(key.name) != nullptr) continue;
    return fail(document->source() + ": " + key.name, "a value", "none");
  }
  if (calibration.step_fixed_us + calibration.decode_sequence_us + calibration.decode_context_ns +
          calibration.prefill_token_us + calibration.prefill_context_ns + calibration.prefill_step_us +
          calibration.decode_token_us <=
      0) {
    return fail(document->source(), "a step that takes time", "all coefficients 0");
  }
  return calibration;
}

// Configurations may lie in the same folder.
bool looks_like_a_calibration(const fs::path& file) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("step_fixed_us")) return true;
  return false;
}

std::vector<std::string> names_in(const std::vector<std::string>& folders) {
  std::vector<std::string> names;
  for (const std::string& folder : folders) {
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      if (it->path().extension() == ".toml" && looks_like_a_calibration(it->path()))
        names.push_back(it->path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace

Result<Calibration> load_calibration(const std::string& path) {
  Result<Calibration> calibration = build(toml::parse_file(path));
  if (calibration && calibration->name.empty()) calibration->name = fs::path(path).stem().string();
  return calibration;
}

Result<Calibration> parse_calibration(std::string_view text, std::string_view source_name) {
  return build(toml::parse(text, source_name));
}

std::string to_toml(const Calibration& calibration) {
  Calibration copy = calibration;  // the schema's slots are not const
  return toml::to_toml(dump(calibration_schema(), &copy));
}

Result<std::string> find_calibration(const std::string& name_or_path,
                                     const std::vector<std::string>& folders) {
  std::error_code ignored;
  if (name_or_path.find('/') != std::string::npos) {
    if (fs::is_regular_file(name_or_path, ignored)) return name_or_path;
    return fail("simulated.calibration", "a file", "none at " + name_or_path);
  }
  for (const std::string& folder : folders) {
    const fs::path file = fs::path(folder) / (name_or_path + ".toml");
    if (fs::is_regular_file(file, ignored)) return file.string();
  }
  std::string looked;
  for (const std::string& folder : folders) looked += (looked.empty() ? "" : ", ") + folder;
  const std::string hint = did_you_mean(name_or_path, names_in(folders));
  return fail("simulated.calibration", "the name of a calibration, or a path", "'" + name_or_path + "'",
              (hint.empty() ? "none found" : hint) + " (looked in " + looked + ")");
}

std::vector<std::string> calibration_folders(const std::string& config_folder) {
  std::vector<std::string> folders;
  const auto add = [&folders](const std::string& folder) {
    if (std::find(folders.begin(), folders.end(), folder) == folders.end()) folders.push_back(folder);
  };
  if (!config_folder.empty()) add(resolve("calibrations", config_folder)), add(config_folder);
  if (const char* listed = std::getenv("SERVELOOP_CALIBRATION_PATH")) {
    std::string rest = listed;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(':'), rest.size());
      if (end > 0) add(rest.substr(0, end));
      rest.erase(0, end + 1);
    }
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const std::string folder = program.parent_path().string();
    add(resolve("../configs/calibrations", folder));
    add(resolve("../share/serveloop/calibrations", folder));
  }
  return folders;
}

}  // namespace serveloop::config
