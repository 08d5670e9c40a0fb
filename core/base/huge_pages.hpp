// Memory for large tables that a step walks in no order: 2 MiB pages where the kernel gives them on request, so that a
// walk does not wait for page tables. What is small comes from the ordinary heap.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace serveloop {

template <class T>
struct HugePages {
  using value_type = T;
  HugePages() = default;
  template <class U>
  HugePages(const HugePages<U>&) {}

  T* allocate(std::size_t count) {
    if (count > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_array_new_length();
    const std::size_t bytes = count * sizeof(T);
    if (bytes < kPage) return static_cast<T*>(::operator new(bytes, kAligned));
    void* table = ::operator new (rounded(bytes), std::align_val_t{kPage});
    ::madvise(table, rounded(bytes), MADV_HUGEPAGE);  // a wish
    return static_cast<T*>(table);
  }
  void deallocate(T* table, std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    ::operator delete (table, bytes < kPage ? kAligned : std::align_val_t{kPage});
  }
  friend bool operator==(const HugePages&, const HugePages&) { return true; }

 private:
  static constexpr std::size_t kPage = std::size_t{2} << 20;
  static constexpr std::align_val_t kAligned{alignof(T) < 16 ? 16 : alignof(T)};
  static std::size_t rounded(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }
};

template <class T>
using HugeVector = std::vector<T, HugePages<T>>;

// The same of plain values, not zeroed: its pages come when they are touched.
template <class T>
class HugeArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit HugeArray(std::size_t size) : size_(size), data_(HugePages<T>().allocate(size)) {}
  HugeArray(HugeArray&& other) noexcept : size_(other.size_), data_(std::exchange(other.data_, nullptr)) {}
  HugeArray& operator=(HugeArray&&) = delete;
  ~HugeArray() {
    if (data_ != nullptr) HugePages<T>().deallocate(data_, size_);
  }
  T* data() const { return data_; }
  // The first `count` get their pages now, not in the step that touches them first. On old kernels that is left undone.
  void populate(std::size_t count) {
#ifdef MADV_POPULATE_WRITE
    constexpr std::uintptr_t page = 4096;
    const auto from = reinterpret_cast<std::uintptr_t>(data_),
               to = reinterpret_cast<std::uintptr_t>(data_ + std::min(count, size_));
    const std::uintptr_t first = (from + page - 1) / page * page;  // whole pages that are its own
    if (to > first + page)
      ::madvise(reinterpret_cast<void*>(first), (to - first) / page * page, MADV_POPULATE_WRITE);
#else
    static_cast<void>(count);
#endif
  }

 private:
  std::size_t size_;
  T* data_;
};

// What a store that grows may populate before anyone asks for it, in bytes.
inline constexpr std::size_t kMostPopulated = std::size_t{256} << 20;

}  // namespace serveloop
