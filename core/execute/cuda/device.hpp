// CUDA's runtime in the core's terms: memory, streams and events that free themselves, errors as Results. Thread safety:
// each belongs to whoever holds it; the current device is the caller's.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "base/result.hpp"
#include "kernels/cuda/status.hpp"

namespace serveloop::execute::cuda {

// `what` opens the error.
Status check(cudaError_t error, const std::string& what);
Status check(const kernels::cuda::Status& status, const std::string& what);

namespace detail {
Result<void*> take_device(std::size_t bytes, const std::string& what);
Result<void*> take_pinned(std::size_t bytes, const std::string& what);
void free_device(void* data);
void free_pinned(void* data);
}  // namespace detail

// `size` elements that are not set, on the device or pinned on the host. Empty: null.
template <class T, Result<void*> (*take)(std::size_t, const std::string&), void (*free)(void*)>
class Memory {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Memory() = default;
  Memory(Memory&& other) noexcept { *this = std::move(other); }
  Memory& operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Memory() {
    if (data_ != nullptr) free(data_);
  }

  static Result<Memory> create(std::size_t size, const std::string& what) {
    Memory memory;
    if (size == 0) return memory;
    if (size > std::numeric_limits<std::size_t>::max() / sizeof(T))
      return fail(what, "a size of 64 bits", std::to_string(size) + " elements");
    Result<void*> data = take(size * sizeof(T), what);
    if (!data) return tl::unexpected(data.error());
    memory.data_ = static_cast<T*>(*data);
    memory.size_ = size;
    return memory;
  }
  // In place of what it held.
  Status make(std::size_t size, const std::string& what) {
    *this = Memory();
    Result<Memory> made = create(size, what);
    if (!made) return tl::unexpected(made.error());
    *this = std::move(*made);
    return {};
  }

  T* get() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return size_ * sizeof(T); }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

template <class T>
using DeviceMemory = Memory<T, detail::take_device, detail::free_device>;
template <class T>
using PinnedMemory = Memory<T, detail::take_pinned, detail::free_pinned>;

class Stream {
 public:
  Stream() = default;
  Stream(Stream&& other) noexcept { std::swap(stream_, other.stream_); }
  Stream& operator=(Stream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~Stream() {
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }
  Status open() { return check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "CUDA stream"); }
  Status wait() const { return check(cudaStreamSynchronize(stream_), "CUDA stream"); }
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// With a time.
class Event {
 public:
  Event() = default;
  Event(Event&& other) noexcept { std::swap(event_, other.event_); }
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  ~Event() {
    if (event_ != nullptr) cudaEventDestroy(event_);
  }
  Status open() { return check(cudaEventCreate(&event_), "CUDA event"); }
  Status record(const Stream& stream) const {
    return check(cudaEventRecord(event_, stream.get()), "CUDA event");
  }
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace serveloop::execute::cuda
