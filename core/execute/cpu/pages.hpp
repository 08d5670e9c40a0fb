// Zeroed memory in pages of its own, huge ones where the system has them. Thread safety: belongs to whoever holds it.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "base/result.hpp"

namespace serveloop::execute::cpu {

class Pages {
 public:
  Pages() = default;
  Pages(Pages&& other) noexcept { *this = std::move(other); }
  Pages& operator=(Pages&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Pages() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }

  // `what` opens the error. Memory is taken when it is touched first.
  static Result<Pages> create(std::size_t bytes, const std::string& what) {
    Pages pages;
    pages.bytes_ = bytes > 0 ? bytes : 1;
    void* data = mmap(nullptr, pages.bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
      return fail(what, std::to_string(bytes) + " bytes of memory", "the system refuses them",
                  "choose smaller sizes or a smaller model");
    pages.data_ = static_cast<std::uint8_t*>(data);
    madvise(data, pages.bytes_, MADV_HUGEPAGE);  // a wish: without it all is the same, slower
    return pages;
  }

  std::uint8_t* data() const { return data_; }  // at a page's border
  std::size_t bytes() const { return bytes_; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Lays parts out in one allocation, each at a multiple of 64 bytes: first sum, then place.
class Layout {
 public:
  std::size_t add(std::size_t bytes) {  // its offset
    const std::size_t at = bytes_;
    bytes_ += (bytes + 63) / 64 * 64;
    return at;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

}  // namespace serveloop::execute::cpu
