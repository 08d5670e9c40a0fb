#include "policy/object_file.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

namespace serveloop::policy {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;
constexpr std::size_t kLongestName = 240;  // memfd_create takes 249 bytes

// A file descriptor, closed with its holder.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// A read or a write that a signal interrupted is asked again; its result is -1 only with another errno.
template <class Call>
ssize_t uninterrupted(Call&& call) {
  ssize_t done = 0;
  do done = call();
  while (done < 0 && errno == EINTR);
  return done;
}

bool write_all(int fd, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = uninterrupted([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (done <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
  return true;
}

// A file in memory that nothing has to execute by name. Kernels before 6.3 don't know the flag, and some later
// ones refuse a file without it.
int memory_file(const char* name) {
  constexpr unsigned kNoExecSeal = 8;  // MFD_NOEXEC_SEAL
  const int fd = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoExecSeal);
  return fd >= 0 || errno != EINVAL ? fd : ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

// Copies by hash and name. They stay open until the process ends: the loader knows an object by its path, so
// a descriptor's number must never come to mean another one.
struct Copies {
  std::mutex mutex;
  std::map<std::pair<std::string, std::string>, int> by_content;
};
Copies& copies() {
  static Copies all;
  return all;
}

}  // namespace

Result<std::vector<std::uint8_t>> read_object(const std::string& path) {
  const std::string what = "the plugin's object";
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe must not block
  if (file.get() < 0 && errno == ENOENT) return fail(path, what, "no such file", "build it");
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return fail(path, what, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return fail(path, what, "no regular file");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > kMostBytes) return fail(path, "an object of at most 1 GiB", std::to_string(size) + " bytes");
  std::vector<std::uint8_t> bytes(size + 1);  // one more shows whether it grew
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t done =
        uninterrupted([&] { return ::read(file.get(), bytes.data() + have, bytes.size() - have); });
    if (done < 0) return fail(path, what, std::strerror(errno));
    if (done == 0) break;
    have += static_cast<std::size_t>(done);
  }
  if (have != size) {
    return fail(path, std::to_string(size) + " bytes", "another size",
                "it changed while it was read; try again");
  }
  bytes.resize(size);
  return bytes;
}

std::string sha256_hex(std::span<const std::uint8_t> bytes) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256(digest.data(), bytes.data(), bytes.size());
  std::array<char, 2 * crypto_hash_sha256_BYTES + 1> hex{};
  sodium_bin2hex(hex.data(), hex.size(), digest.data(), digest.size());
  return hex.data();
}

Result<std::string> private_copy(std::span<const std::uint8_t> bytes, const std::string& sha256,
                                 const std::string& name) {
  const auto path_of = [](int fd) {
    // Not by /proc/self: a debugger opens the same path.
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd);
  };
  Copies& all = copies();
  const std::lock_guard lock(all.mutex);
  if (const auto at = all.by_content.find({sha256, name}); at != all.by_content.end())
    return path_of(at->second);
  const std::string what = name + ": a private copy in memory";
  Descriptor file(memory_file(name.substr(0, kLongestName).c_str()));
  if (file.get() < 0) return fail(what, "a memory file", std::strerror(errno));
  if (!write_all(file.get(), bytes)) return fail(what, "room for it", std::strerror(errno));
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    return fail(what, "a seal", std::strerror(errno));
  const int fd = file.release();
  all.by_content.emplace(std::pair{sha256, name}, fd);
  return path_of(fd);
}

}  // namespace serveloop::policy
