// Bytes of the step log: variable-length integers (LEB128), texts and raw arrays. A reader never reads past
// its end; after an error it yields zeros and says so once at the end (`ok()`).
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace serveloop::observe {

class Writer {
 public:
  void u8(std::uint8_t value) { bytes_.push_back(value); }
  void u64(std::uint64_t value) {
    while (value >= 0x80) {
      bytes_.push_back(static_cast<std::uint8_t>(value) | 0x80);
      value >>= 7;
    }
    bytes_.push_back(static_cast<std::uint8_t>(value));
  }
  void i64(std::int64_t value) {
    u64((static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
  }
  void f64(double value) { raw(&value, sizeof(value)); }
  void text(std::string_view value) {
    u64(value.size());
    raw(value.data(), value.size());
  }
  void raw(const void* data, std::size_t size) {
    const auto* from = static_cast<const std::uint8_t*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
  }
  std::span<const std::uint8_t> bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  void clear() { bytes_.clear(); }

 private:
  std::vector<std::uint8_t> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  std::uint8_t u8() { return at_ < end_ ? *at_++ : bad(); }
  std::uint64_t u64() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return bad();
      const std::uint8_t byte = *at_++;
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return bad();
  }
  std::uint32_t u32() { return static_cast<std::uint32_t>(u64()); }
  std::int64_t i64() {
    const std::uint64_t value = u64();
    return static_cast<std::int64_t>((value >> 1) ^ (0 - (value & 1)));
  }
  double f64() {
    double value = 0;
    raw(&value, sizeof(value));
    return value;
  }
  std::string text() {
    const std::span<const std::uint8_t> part = take(u64());
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  void raw(void* data, std::size_t size) {
    const std::span<const std::uint8_t> part = take(size);
    if (part.size() == size && size > 0) std::memcpy(data, part.data(), size);
  }
  std::span<const std::uint8_t> take(std::uint64_t size) {
    if (size > static_cast<std::uint64_t>(end_ - at_)) {
      bad();
      return {};
    }
    const std::span<const std::uint8_t> part(at_, static_cast<std::size_t>(size));
    at_ += size;
    return part;
  }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  bool done() const { return at_ == end_; }
  bool ok() const { return ok_; }

 private:
  std::uint8_t bad() {
    ok_ = false;
    at_ = end_;
    return 0;
  }
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  bool ok_ = true;
};

}  // namespace serveloop::observe
