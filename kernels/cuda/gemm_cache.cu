#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "gemm_cache.hpp"

namespace serveloop::kernels::cuda {
namespace {

constexpr char first_line[] = "serveloop gemm choices 1\n";
constexpr char last_word[] = "checksum ";
constexpr std::size_t most_bytes = std::size_t{4} << 20;  // far more than any plan

// FNV-1a.
std::uint64_t checksum(const std::string& text) {
  std::uint64_t sum = 0xcbf29ce484222325ull;
  for (const unsigned char c : text) sum = (sum ^ c) * 0x100000001b3ull;
  return sum;
}

std::string last_line(const std::string& before) {
  char line[40];
  std::snprintf(line, sizeof line, "%s%016llx\n", last_word,
                static_cast<unsigned long long>(checksum(before)));
  return line;
}

GemmCacheStatus damaged(const std::string& path, const std::string& expected, const std::string& found) {
  return {"choices of matrix products in " + path + ": expected " + expected + ", found " + found +
              "; delete the file, the choices are searched for again",
          true};
}

GemmCacheStatus failed(const std::string& path, const char* what) {
  return {"choices of matrix products in " + path + ": " + what + ": " + std::strerror(errno) +
          "; see to the folder and its rights, or do without the file"};
}

struct File {
  int descriptor;

  explicit File(int opened) : descriptor(opened) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor >= 0) close(descriptor);
  }

  bool write_all(const std::string& text) const {
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t written = write(descriptor, text.data() + at, text.size() - at);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      at += static_cast<std::size_t>(written);
    }
    return true;
  }
  // At most `most` bytes.
  bool read_all(std::string& text, std::size_t most) const {
    char part[4096];
    while (text.size() < most) {
      const ssize_t got = read(descriptor, part, std::min(sizeof part, most - text.size()));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return false;
      if (got == 0) break;
      text.append(part, static_cast<std::size_t>(got));
    }
    return true;
  }
};

}  // namespace

std::string gemm_cache_path(const std::string& folder, const Gemm& gemm) {
  return folder + "/gemm-" + gemm.where() + ".txt";
}

GemmCacheStatus load_gemm_cache(const std::string& path, Gemm& gemm) {
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.descriptor < 0) return errno == ENOENT ? GemmCacheStatus{} : failed(path, "open");
  std::string text;
  if (!file.read_all(text, most_bytes + 1)) return failed(path, "read");
  if (text.size() > most_bytes) return damaged(path, "at most 4 MiB", "more");
  const std::size_t head = sizeof first_line - 1;
  if (text.compare(0, head, first_line) != 0)
    return damaged(path, "'serveloop gemm choices 1' in the first line", "another beginning");
  const std::size_t tail = last_line("").size();
  const std::string before = text.substr(0, text.size() < head + tail ? head : text.size() - tail);
  const std::string expected = last_line(before);
  if (text.size() < head + tail || text.compare(before.size(), tail, expected) != 0)
    return damaged(path, "the end to be " + expected.substr(0, tail - 1), "another end");
  gemm.recall(before.substr(head));
  return {"", true};
}

GemmCacheStatus save_gemm_cache(const std::string& path, const Gemm& gemm) {
  std::string text = first_line + gemm.text();
  text += last_line(text);
  const std::string beside = path + "." + std::to_string(getpid()) + ".new";
  {
    const File file(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.descriptor < 0) return failed(beside, "create");
    if (!file.write_all(text) || fsync(file.descriptor) != 0) {
      const GemmCacheStatus status = failed(beside, "write");
      unlink(beside.c_str());
      return status;
    }
  }
  if (rename(beside.c_str(), path.c_str()) == 0) return {};
  const GemmCacheStatus status = failed(path, "replace");
  unlink(beside.c_str());
  return status;
}

}  // namespace serveloop::kernels::cuda
