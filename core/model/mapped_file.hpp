// A file's bytes, mapped to be read: weights stay in the page cache and are shared between processes. Thread
// safety: immutable. A file that somebody cuts short while it is mapped costs the process its life (SIGBUS).
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.hpp"

namespace serveloop::model {

class MappedFile {
 public:
  // A regular file of at least one byte.
  static Result<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }  // starts on a page

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

}  // namespace serveloop::model
