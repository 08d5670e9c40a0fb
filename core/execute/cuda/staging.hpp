// What a step takes to the device, in one copy: parts are put side by side in pinned memory and lie in the same order
// there. One a step in flight. It grows where a step needs more, which waits for the device. Thread safety: one thread,
// and nothing is added while a copy is under way.
#pragma once

#include <cstring>
#include <span>

#include "execute/cuda/device.hpp"

namespace serveloop::execute::cuda {

class Staging {
 public:
  void clear() {
    size_ = 0;
    status_ = {};
  }
  // Its place. What finds no memory shows in send().
  template <class T>
  std::size_t add(std::span<const T> part) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= kAlign);
    const std::size_t at = size_;
    if (part.empty() || !make_room(part.size_bytes())) return at;
    std::memcpy(host_.get() + at, part.data(), part.size_bytes());
    size_ += (part.size_bytes() + kAlign - 1) / kAlign * kAlign;
    return at;
  }
  // In the stream's order.
  Status send(const Stream& stream) {
    if (!status_) return status_;
    if (size_ == 0) return {};
    if (device_.size() < host_.size())
      if (Status good = device_.make(host_.size(), kWhat); !good) return good;
    return check(cudaMemcpyAsync(device_.get(), host_.get(), size_, cudaMemcpyHostToDevice, stream.get()),
                 kWhat);
  }
  // On the device, after send().
  template <class T>
  const T* at(std::size_t place) const {
    return reinterpret_cast<const T*>(device_.get() + place);
  }

 private:
  static constexpr std::size_t kAlign = 16;
  static constexpr std::size_t kLeast = std::size_t{64} << 10;
  static constexpr const char* kWhat = "a step's inputs";

  bool make_room(std::size_t bytes) {
    const std::size_t needed = size_ + bytes + kAlign;
    if (!status_) return false;
    if (needed <= host_.size()) return true;
    Result<PinnedMemory<std::byte>> larger =
        PinnedMemory<std::byte>::create(needed < kLeast ? kLeast : needed + needed / 2, kWhat);
    if (!larger) {
      status_ = tl::unexpected(larger.error());
      return false;
    }
    if (size_ > 0) std::memcpy(larger->get(), host_.get(), size_);
    host_ = std::move(*larger);
    return true;
  }

  PinnedMemory<std::byte> host_;
  DeviceMemory<std::byte> device_;
  std::size_t size_ = 0;
  Status status_;
};

}  // namespace serveloop::execute::cuda
