#include "cli/kept_runs.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/joined.hpp"
#include "cli/output.hpp"
#include "experiment/ab/report.hpp"

namespace serveloop::cli {

namespace {

namespace ab = experiment::ab;
namespace fs = std::filesystem;

std::string name_of(const ab::Plan& plan, const ab::PlannedRun& run) {
  return ab::file_of(plan.file.arms[run.arm].name, run.repeat + 1);
}

std::string few(const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 8;
  if (names.size() <= kNamed) return joined(names);
  return joined({names.begin(), names.begin() + kNamed}) + fmt::format(" and {} more", names.size() - kNamed);
}

}  // namespace

std::string KeptRuns::path(const std::string& name) const { return (fs::path(folder_) / name).string(); }

Status KeptRuns::make() const {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (!error && fs::is_directory(folder_)) return {};
  return fail(fmt::format("cannot make the folder '{}'", folder_), "a folder",
              error ? error.message() : "a file", "pass another --out");
}

std::optional<ab::RunResult> KeptRuns::find(const ab::Plan& plan, const ab::PlannedRun& run) {
  const std::string name = name_of(plan, run);
  std::ifstream file(path(name), std::ios::binary);
  if (!file) return {};
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Result<ab::RunResult> result = ab::parse_run(text, path(name));
  if (!result || result->fingerprint != run.fingerprint) {
    outdated_.push_back(name);
    return {};
  }
  reused_.push_back(name);
  return std::move(*result);
}

Status KeptRuns::keep(const ab::Plan& plan, const ab::PlannedRun& run, const ab::RunResult& result) const {
  return write(name_of(plan, run), ab::to_text(result));
}

Status KeptRuns::write(const std::string& name, const std::string& content) const {
  Result<OutputFile> file = OutputFile::create("--out", path(name));
  return file ? file->commit(content) : tl::unexpected(file.error());
}

void KeptRuns::tell() const {
  if (!reused_.empty()) fmt::print(stderr, "serveloop: reused of {}: {}\n", folder_, few(reused_));
  if (!outdated_.empty())
    fmt::print(stderr, "serveloop: run again, since configuration, trace, plugins or program changed: {}\n",
               few(outdated_));
}

}  // namespace serveloop::cli
