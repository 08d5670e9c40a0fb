// Writes small GGUF files, right ones and, by hand, wrong ones. Independent of the reader.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace serveloop::model::test {

using Bytes = std::vector<std::byte>;

template <class T>
void put(Bytes& out, T value) {
  const auto* from = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), from, from + sizeof value);
}
inline void put_text(Bytes& out, std::string_view text) {
  put(out, std::uint64_t{text.size()});
  const auto* from = reinterpret_cast<const std::byte*>(text.data());
  out.insert(out.end(), from, from + text.size());
}

// Type numbers of the format.
enum : std::uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

struct WrittenTensor {
  std::string name;
  std::vector<std::uint64_t> sizes;  // columns first
  std::uint32_t type = 0;
  Bytes data;
  std::uint64_t offset = 0;
};

struct GgufWriter {
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;  // what offsets are made with; the key has to be added
  std::uint64_t key_count = 0;
  Bytes keys;
  std::vector<WrittenTensor> tensors;

  // A key of any type: the value's bytes as they are.
  void raw(std::string_view name, std::uint32_t type, const Bytes& value) {
    put_text(keys, name);
    put(keys, type);
    keys.insert(keys.end(), value.begin(), value.end());
    ++key_count;
  }
  template <class T>
  void number(std::string_view name, std::uint32_t type, T value) {
    Bytes bytes;
    put(bytes, value);
    raw(name, type, bytes);
  }
  void u32(std::string_view name, std::uint32_t value) { number(name, kU32, value); }
  void f32(std::string_view name, float value) { number(name, kF32, value); }
  void text(std::string_view name, std::string_view value) {
    Bytes bytes;
    put_text(bytes, value);
    raw(name, kString, bytes);
  }
  template <class T>
  void array(std::string_view name, std::uint32_t type, const std::vector<T>& values) {
    Bytes bytes;
    put(bytes, type);
    put(bytes, std::uint64_t{values.size()});
    for (const T& value : values) put(bytes, value);
    raw(name, kArray, bytes);
  }
  void texts(std::string_view name, const std::vector<std::string>& values) {
    Bytes bytes;
    put(bytes, std::uint32_t{kString});
    put(bytes, std::uint64_t{values.size()});
    for (const std::string& value : values) put_text(bytes, value);
    raw(name, kArray, bytes);
  }
  void tensor(std::string name, std::vector<std::uint64_t> sizes, std::uint32_t type, Bytes data) {
    const std::uint64_t end = tensors.empty() ? 0 : tensors.back().offset + tensors.back().data.size();
    const std::uint64_t offset = (end + alignment - 1) / alignment * alignment;
    tensors.push_back({std::move(name), std::move(sizes), type, std::move(data), offset});
  }
  WrittenTensor& find(std::string_view name) {
    for (WrittenTensor& tensor : tensors)
      if (tensor.name == name) return tensor;
    throw name;
  }

  // Where each part begins in what finish() returned.
  std::size_t data_at = 0;

  Bytes finish() {
    Bytes out;
    for (const char c : std::string_view("GGUF")) put(out, c);
    put(out, version);
    put(out, std::uint64_t{tensors.size()});
    put(out, key_count);
    out.insert(out.end(), keys.begin(), keys.end());
    for (const WrittenTensor& tensor : tensors) {
      put_text(out, tensor.name);
      put(out, static_cast<std::uint32_t>(tensor.sizes.size()));
      for (const std::uint64_t size : tensor.sizes) put(out, size);
      put(out, tensor.type);
      put(out, tensor.offset);
    }
    data_at = (out.size() + alignment - 1) / alignment * alignment;
    for (const WrittenTensor& tensor : tensors) {
      if (tensor.offset > (std::uint64_t{1} << 24)) continue;  // wrong on purpose
      const std::size_t at = data_at + tensor.offset;
      if (out.size() < at + tensor.data.size()) out.resize(at + tensor.data.size());
      std::memcpy(out.data() + at, tensor.data.data(), tensor.data.size());
    }
    return out;
  }
};

}  // namespace serveloop::model::test
