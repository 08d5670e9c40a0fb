#include "base/mapping.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace serveloop {

Result<Mapping> Mapping::create(std::size_t capacity_bytes) {
  const int fd = ::memfd_create("serveloop-tables", MFD_CLOEXEC);
  if (fd < 0)
    return fail("cannot create the shared mapping", "memfd_create to succeed", std::strerror(errno));
  if (::ftruncate(fd, static_cast<off_t>(capacity_bytes)) != 0) {
    const int error = errno;
    ::close(fd);
    return fail("cannot size the shared mapping", fmt::format("{} bytes", capacity_bytes),
                std::strerror(error));
  }
  void* base = ::mmap(nullptr, capacity_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (base == MAP_FAILED) {
    const int error = errno;
    ::close(fd);
    return fail("cannot map the shared tables", fmt::format("{} bytes of address space", capacity_bytes),
                std::strerror(error));
  }
  return Mapping(fd, static_cast<std::byte*>(base), capacity_bytes);
}

Mapping::Mapping(Mapping&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      base_(std::exchange(other.base_, nullptr)),
      capacity_(other.capacity_),
      used_(other.used_) {}

Mapping::~Mapping() {
  if (base_ != nullptr) ::munmap(base_, capacity_);
  if (fd_ >= 0) ::close(fd_);
}

void* Mapping::lay_out_bytes(std::size_t bytes) {
  const std::size_t at = used_;
  const std::size_t end = at + (bytes + 63) / 64 * 64;
  if (end < at || end > capacity_) throw std::bad_alloc();
  used_ = end;
  return base_ + at;
}

void Mapping::populate(void* table, std::size_t bytes) {
#ifdef MADV_POPULATE_WRITE
  const std::size_t page = 4096;
  const std::size_t from = static_cast<std::size_t>(static_cast<std::byte*>(table) - base_) / page * page;
  const std::size_t to =
      (static_cast<std::size_t>(static_cast<std::byte*>(table) - base_) + bytes + page - 1) / page * page;
  ::madvise(base_ + from, std::min(to, capacity_) - from, MADV_POPULATE_WRITE);
#else
  static_cast<void>(table), static_cast<void>(bytes);
#endif
}

Heap::Heap(Mapping& mapping, std::size_t bytes)
    : data_(reinterpret_cast<std::uint8_t*>(mapping.lay_out<std::byte>(bytes))), capacity_(bytes) {
  for (auto& head : free_) head = npos;
}

// Four classes to each power of two: at most a quarter of a range is slack.
int Heap::class_of(std::size_t bytes) {
  const std::size_t units = (bytes < 16 ? 16 : bytes + 15) / 16;  // of 16 bytes, at least 1
  if (units <= 4) return static_cast<int>(units) - 1;
  const int log = std::bit_width(units - 1) - 1;  // 2^log < units <= 2^(log+1)
  const std::size_t quarter = std::size_t{1} << (log - 2);
  const std::size_t step = (units - (std::size_t{1} << log) + quarter - 1) / quarter;  // 1 .. 4
  return 4 * (log - 1) + static_cast<int>(step) - 1;
}

std::size_t Heap::class_bytes(int size_class) {
  if (size_class < 4) return 16 * static_cast<std::size_t>(size_class + 1);
  const int log = size_class / 4 + 1;
  const std::size_t quarter = std::size_t{1} << (log - 2);
  return 16 * ((std::size_t{1} << log) + quarter * static_cast<std::size_t>(size_class % 4 + 1));
}

std::uint64_t Heap::allocate(std::size_t bytes) {
  const int c = class_of(bytes);
  if (c >= kClasses) return npos;
  std::uint64_t at = free_[c];
  if (at != npos) {
    std::memcpy(&free_[c], data_ + at, sizeof(std::uint64_t));
  } else {
    if (class_bytes(c) > capacity_ - top_) return npos;
    at = top_;
    top_ += class_bytes(c);
  }
  used_ += class_bytes(c);
  return at;
}

void Heap::release(std::uint64_t at, std::size_t bytes) {
  const int c = class_of(bytes);
  std::memcpy(data_ + at, &free_[c], sizeof(std::uint64_t));
  free_[c] = at;
  used_ -= class_bytes(c);
}

}  // namespace serveloop
