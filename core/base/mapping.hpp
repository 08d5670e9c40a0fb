// The shared mapping: one memfd in which the host lays out every table that a policy reads (law 3).
//
// Addresses never move and nothing outside holds more than offsets, so another process can map the same
// bytes. Memory is reserved, not used: pages cost nothing until they are written. Not thread-safe; only the
// loop thread writes.
#pragma once

#include <serveloop/base.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "base/result.hpp"

namespace serveloop {

class Mapping {
 public:
  // Reserves `capacity_bytes`. Fails with the system's reason.
  static Result<Mapping> create(std::size_t capacity_bytes);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping();

  // Lays out a zeroed table of `rows` rows, aligned to a cache line. Throws std::bad_alloc when the
  // reservation is spent.
  template <class Row>
  Row* lay_out(std::size_t rows) {
    static_assert(std::is_trivially_copyable_v<Row>);
    return static_cast<Row*>(lay_out_bytes(rows * sizeof(Row)));
  }
  // The same, with its pages there from the start: for tables that every step touches.
  template <class Row>
  Row* lay_out_resident(std::size_t rows) {
    Row* table = lay_out<Row>(rows);
    populate(table, rows * sizeof(Row));
    return table;
  }
  std::byte* base() const { return base_; }
  std::size_t used() const { return used_; }  // bytes laid out so far
  int fd() const { return fd_; }

 private:
  Mapping(int fd, std::byte* base, std::size_t capacity) : fd_(fd), base_(base), capacity_(capacity) {}
  void* lay_out_bytes(std::size_t bytes);
  void populate(void* table, std::size_t bytes);  // a wish: on old kernels pages come when they are touched
  int fd_;
  std::byte* base_;
  std::size_t capacity_, used_ = 0;
};

// Variable-sized parts (prompts, hints) inside the mapping. First fit by size class; freed ranges are used
// again, so the layout is a pure function of the calls made.
class Heap {
 public:
  Heap(Mapping& mapping, std::size_t bytes);
  // Offset of `bytes` bytes from data(), 16-byte aligned, or npos when full.
  std::uint64_t allocate(std::size_t bytes);
  void release(std::uint64_t at, std::size_t bytes);
  std::uint8_t* data() const { return data_; }
  std::size_t used() const { return used_; }
  static constexpr std::uint64_t npos = UINT64_MAX;

 private:
  static constexpr int kClasses = 256;
  static int class_of(std::size_t bytes);  // index of the smallest class that holds `bytes`
  static std::size_t class_bytes(int size_class);
  std::uint8_t* data_;
  std::size_t capacity_, top_ = 0, used_ = 0;
  std::uint64_t free_[kClasses];  // heads of intrusive lists threaded through freed ranges
};

template <class Row>
sl_table table_of(const Row* rows, std::size_t count) {
  return {rows, static_cast<std::uint32_t>(sizeof(Row)), static_cast<std::uint32_t>(count)};
}
template <class Row>
sl_out out_of(Row* rows, std::size_t capacity) {
  return {rows, static_cast<std::uint32_t>(sizeof(Row)), static_cast<std::uint32_t>(capacity), 0, 0};
}

}  // namespace serveloop
