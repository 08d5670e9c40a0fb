#include "policy/object_file.hpp"

#include <sodium.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>

namespace serveloop::policy {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMostBytes = std::uintmax_t{1} << 30;

// Removed with all its content when the process that made it exits; a forked child leaves it alone.
class PrivateFolder {
 public:
  PrivateFolder() {
    std::error_code error;
    const fs::path base = fs::temp_directory_path(error);
    std::string path = ((error ? fs::path("/tmp") : base) / "serveloop-plugins-XXXXXX").string();
    if (mkdtemp(path.data()) != nullptr)
      path_ = path;  // mode 0700
    else
      failed_ = path + ": " + std::strerror(errno);
  }
  ~PrivateFolder() {
    std::error_code ignored;
    if (!path_.empty() && owner_ == getpid()) fs::remove_all(path_, ignored);
  }
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  std::mutex& mutex() { return mutex_; }
  Result<fs::path> path() const {
    if (path_.empty()) return fail(failed_, "a folder that can be written", "an error", "set TMPDIR");
    return path_;
  }

 private:
  fs::path path_;
  std::string failed_;
  pid_t owner_ = getpid();
  std::mutex mutex_;
};

PrivateFolder& private_folder() {
  static PrivateFolder folder;
  return folder;
}

}  // namespace

Result<std::vector<std::uint8_t>> read_object(const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return fail(path, "the plugin's object", "no such file", "build it");
  const std::uintmax_t size = fs::file_size(path, error);
  if (error || size > kMostBytes)
    return fail(path, "an object of at most 1 GiB", std::to_string(size) + " bytes");
  std::vector<std::uint8_t> bytes(size);
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (!in || in.peek() != std::ifstream::traits_type::eof()) {
    return fail(path, std::to_string(size) + " bytes", "another size",
                "it changed while it was read; try again");
  }
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
  PrivateFolder& folder = private_folder();
  const std::lock_guard lock(folder.mutex());
  const Result<fs::path> root = folder.path();
  if (!root) return tl::unexpected(root.error());
  const fs::path target = *root / sha256 / name;
  std::error_code error;
  if (fs::exists(target, error)) return target.string();  // written whole: it was renamed into place
  fs::create_directories(target.parent_path(), error);
  const fs::path part = target.string() + ".part";
  std::ofstream out(part, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (out) fs::rename(part, target, error);
  if (!out || error)
    return fail(target.string(), "a private copy of the object", "a write error", "set TMPDIR");
  return target.string();
}

}  // namespace serveloop::policy
