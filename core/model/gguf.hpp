// GGUF files, version 2 and 3, read in place: metadata as typed keys, tensors as views. Format: the GGUF
// specification of the ggml project (2023).
//
// Nothing in a file is trusted. parse() walks it once, checks every count, length, type, size, offset and
// overlap, and refuses what is wrong with the name of the key or tensor; what it returns holds only views
// that lie within the bytes. Allocated are one record a key and one a tensor, after their counts were held
// against the bytes that are there. Thread safety: immutable after parse().
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/types.hpp"

namespace serveloop::model::gguf {

enum class ValueType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};
std::string_view name_of(ValueType type);

struct Value {
  ValueType type = ValueType::u8;  // of an array: of its elements, and never `array`
  bool array = false;
  std::uint64_t count = 1;           // elements
  std::span<const std::byte> bytes;  // all elements as stored; a string is a length of 64 bits and its bytes
};

struct Key {
  std::string_view name;
  Value value;
};

// A storage type of ggml, also those that this engine cannot compute with.
struct StorageType {
  std::uint32_t id;
  const char* name;
  std::uint32_t block_values, block_bytes;
  std::optional<Type> type;
};
const StorageType* storage_type(std::uint32_t id);

struct TensorInfo {
  std::string_view name;
  const StorageType* storage = nullptr;
  std::uint32_t dimensions = 0;                      // 1 to 4
  std::array<std::uint64_t, 4> size = {1, 1, 1, 1};  // [columns, rows, ...]: the first runs along a row
  std::span<const std::byte> bytes;
};

// Of an array, in elements.
struct Length {
  std::uint64_t least = 0, most = UINT64_MAX;
};

class File {
 public:
  // `bytes` must outlive the File. `source` opens each error. Tensors are aligned if `bytes` is.
  static Result<File> parse(std::span<const std::byte> bytes, std::string source);

  const std::string& source() const { return source_; }
  std::uint32_t version() const { return version_; }
  std::uint32_t alignment() const { return alignment_; }
  std::span<const Key> keys() const { return keys_; }               // in the file's order
  std::span<const TensorInfo> tensors() const { return tensors_; }  // in the file's order
  const Value* find(std::string_view key) const;                    // null where absent
  const TensorInfo* tensor(std::string_view name) const;            // null where absent

  // Typed reading. An absent key is an error, as is another type; integers of any width convert where they
  // fit.
  Result<std::uint64_t> whole(std::string_view key, std::uint64_t least, std::uint64_t most) const;
  Result<double> number(std::string_view key) const;  // f32 or f64, finite
  Result<bool> flag(std::string_view key) const;
  Result<std::string_view> text(std::string_view key) const;
  // Arrays of `least` to `most` elements: a list takes up to 8 times an array's bytes, so its length is held against
  // what the reader can use before the list is made. `wholes` takes integers of any width, and booleans as 0 and 1.
  Result<std::vector<std::int64_t>> wholes(std::string_view key, Length length = {}) const;
  Result<std::vector<float>> numbers(std::string_view key, Length length = {}) const;  // of f32
  Result<std::vector<std::string_view>> texts(std::string_view key, Length length = {}) const;

 private:
  friend class Parser;
  Result<const Value*> array(std::string_view key, std::string_view expected, Length length) const;
  Result<const Value*> typed(std::string_view key, std::string_view expected, bool array) const;
  tl::unexpected<Error> mistyped(std::string_view key, const Value& value, std::string_view expected) const;

  std::string source_;
  std::uint32_t version_ = 0, alignment_ = 32;
  std::vector<Key> keys_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::uint32_t> key_order_, tensor_order_;  // indices, by name
};

// A tensor as a matrix of one of the six types; others are refused by name, as are more than two dimensions.
Result<Tensor> as_matrix(const TensorInfo& info, const std::string& source);

}  // namespace serveloop::model::gguf
