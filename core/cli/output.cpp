#include "cli/output.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace serveloop::cli {

namespace {

namespace fs = std::filesystem;

bool same(const NamedPath& a, const NamedPath& b) {
  std::error_code ignored;
  if (fs::exists(a.path, ignored) && !fs::is_regular_file(a.path, ignored)) return false;
  if (fs::equivalent(a.path, b.path, ignored)) return true;
  return fs::weakly_canonical(fs::absolute(a.path), ignored) ==
         fs::weakly_canonical(fs::absolute(b.path), ignored);
}

tl::unexpected<Error> cannot_write(const std::string& path, int error, const std::string& hint = {}) {
  return fail(fmt::format("cannot write '{}'", path), "a path that can be written", std::strerror(error),
              hint);
}

// What to do where no file can be made at `target`, to which the option's path leads.
std::string other_path(const std::string& option, const fs::path& target, int error) {
  std::error_code ignored;
  const fs::path folder = target.parent_path();
  const bool no_folder = error == ENOENT && !folder.empty() && !fs::exists(folder, ignored);
  return (no_folder ? fmt::format("make the folder '{}', or pass", folder.string()) : "pass") + " another " +
         option;
}

}  // namespace

Status check_distinct(const std::vector<NamedPath>& inputs, const std::vector<NamedPath>& outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const NamedPath& out = outputs[i];
    if (out.path.empty()) continue;
    for (const NamedPath& in : inputs)
      if (!in.path.empty() && same(out, in))
        return fail(out.what, "a file that is not read", fmt::format("'{}', which is {}", out.path, in.what));
    for (std::size_t j = 0; j < i; ++j)
      if (!outputs[j].path.empty() && same(out, outputs[j]))
        return fail(out.what, "a file of its own",
                    fmt::format("'{}', which is also {}", out.path, outputs[j].what));
  }
  return {};
}

Result<OutputFile> OutputFile::create(const std::string& option, const std::string& path) {
  std::error_code ignored;
  const fs::path target = fs::weakly_canonical(fs::absolute(path), ignored);  // a link stays one
  const auto cannot = [&](int error) {
    return cannot_write(path, error,
                        other_path(option, fs::is_symlink(path, ignored) ? target : fs::path(path), error));
  };
  if (fs::is_directory(path, ignored)) return cannot(EISDIR);
  if (fs::exists(path, ignored)) {
    if (::access(path.c_str(), W_OK) != 0) return cannot(errno);
    if (!fs::is_regular_file(path, ignored)) {
      std::FILE* file = std::fopen(path.c_str(), "wb");
      if (file == nullptr) return cannot(errno);
      return OutputFile(file, path, {});
    }
  }
  const std::string whole = target.empty() ? path : target.string();
  const std::string temporary = fmt::format("{}.{}.part", whole, ::getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return cannot(errno);
  std::FILE* file = ::fdopen(fd, "wb");
  if (file == nullptr) {
    const int error = errno;
    ::close(fd);
    ::unlink(temporary.c_str());
    return cannot(error);
  }
  return OutputFile(file, whole, temporary);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : file_(std::exchange(other.file_, nullptr)),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})) {}

OutputFile::~OutputFile() {
  if (file_ != nullptr) std::fclose(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status OutputFile::commit(const std::string& content) {
  const bool written = std::fwrite(content.data(), 1, content.size(), file_) == content.size();
  const int error = errno;
  const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  if (!written || !closed) return cannot_write(path_, written ? errno : error);
  if (temporary_.empty()) return {};
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return cannot_write(path_, errno);
  temporary_.clear();
  return {};
}

bool stdout_arrived() {
  static bool said = false;
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  if (!said)
    fmt::print(stderr, "serveloop: standard output: {}\n",
               errno != 0 ? std::strerror(errno) : "not all could be written");
  said = true;
  return false;
}

}  // namespace serveloop::cli
