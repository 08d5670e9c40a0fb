// A reused array: reserved once for what a loop may add, then filled without checks. Elements are plain
// values, not zeroed.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

namespace serveloop {

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  // Empties it and makes room for `most` elements.
  void start(std::size_t most) {
    if (most > capacity_) {
      capacity_ = most + most / 2;
      data_.reset(new T[capacity_]);
    }
    size_ = 0;
  }
  void clear() { size_ = 0; }
  // Requires that start() made room for it.
  T& add(const T& value) { return data_[size_++] = value; }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T* begin() { return data_.get(); }
  T* end() { return data_.get() + size_; }
  const T* begin() const { return data_.get(); }
  const T* end() const { return data_.get() + size_; }
  operator std::span<const T>() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<T[]> data_;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace serveloop
