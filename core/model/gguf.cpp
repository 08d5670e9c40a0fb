// Invariants of the parser: at_ <= bytes_.size() always; a number from the file becomes a size, an index or a
// pointer only after it was held against what is left.
#include "model/gguf.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

static_assert(std::endian::native == std::endian::little, "files are read in place, as they are");

namespace serveloop::model::gguf {
namespace {

constexpr std::uint64_t kMostKeys = 1u << 16;
constexpr std::uint64_t kMostTensors = 1u << 16;
constexpr std::uint64_t kMostName = 65535;      // bytes of a key or a tensor's name
constexpr std::uint64_t kLeastKey = 8 + 4 + 1;  // bytes of the smallest possible key with its value
constexpr std::uint64_t kLeastTensor = 8 + 4 + 8 + 4 + 8;
constexpr std::uint64_t kMostAlignment = 1u << 20;
constexpr std::uint64_t kMostValues = std::uint64_t{1} << 48;  // of a tensor

// Bytes of a number; 0 for what has no fixed size.
std::uint64_t size_of(ValueType type) {
  constexpr std::uint64_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kSizes[static_cast<std::size_t>(type)];
}

std::string shown(std::string_view name) {
  return fmt::format("'{}'{}", name.substr(0, 80), name.size() > 80 ? "..." : "");
}

std::vector<std::uint32_t> sorted_by_name(const auto& records) {
  std::vector<std::uint32_t> order(records.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, {}, [&](std::uint32_t i) { return records[i].name; });
  return order;
}

// A name that stands there twice, or null.
const std::string_view* twice(const auto& records, const std::vector<std::uint32_t>& order) {
  const auto same = std::ranges::adjacent_find(order, {}, [&](std::uint32_t i) { return records[i].name; });
  return same == order.end() ? nullptr : &records[*same].name;
}

const auto* find_in(const auto& records, const std::vector<std::uint32_t>& order, std::string_view name) {
  const auto name_at = [&](std::uint32_t i) { return records[i].name; };
  const auto found = std::ranges::lower_bound(order, name, {}, name_at);
  return found != order.end() && records[*found].name == name ? &records[*found] : nullptr;
}

}  // namespace

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, std::string source) : bytes_(bytes) {
    file_.source_ = std::move(source);
  }

  Result<File> run() {
    if (Status good = header(); !good) return tl::unexpected(good.error());
    for (std::uint64_t i = 0; i < key_count_; ++i)
      if (Status good = key(i); !good) return tl::unexpected(good.error());
    file_.key_order_ = sorted_by_name(file_.keys_);
    if (const auto* name = twice(file_.keys_, file_.key_order_))
      return bad("key " + shown(*name), "each key once", "it twice");
    if (Status good = alignment(); !good) return tl::unexpected(good.error());
    for (std::uint64_t i = 0; i < tensor_count_; ++i)
      if (Status good = tensor(i); !good) return tl::unexpected(good.error());
    file_.tensor_order_ = sorted_by_name(file_.tensors_);
    if (const auto* name = twice(file_.tensors_, file_.tensor_order_))
      return bad("tensor " + shown(*name), "each tensor once", "it twice");
    if (Status good = place_tensors(); !good) return tl::unexpected(good.error());
    return std::move(file_);
  }

 private:
  tl::unexpected<Error> bad(const std::string& where, std::string expected, std::string found) const {
    return fail(file_.source_ + ": " + where, std::move(expected), std::move(found));
  }
  tl::unexpected<Error> cut_short(const std::string& where, std::uint64_t needed) const {
    return bad(where, fmt::format("{} bytes at byte {}", needed, at_), fmt::format("{} to the end", left()));
  }

  std::uint64_t left() const { return bytes_.size() - at_; }
  template <class T>
  bool read(T& value) {
    if (left() < sizeof value) return false;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return true;
  }
  Status read_name(const std::string& where, std::string_view& name) {
    std::uint64_t length = 0;
    if (!read(length)) return cut_short(where, sizeof length);
    if (length == 0 || length > kMostName)
      return bad(where, fmt::format("a name of 1 to {} bytes", kMostName), std::to_string(length));
    if (length > left()) return cut_short(where, length);
    name = {reinterpret_cast<const char*>(bytes_.data()) + at_, static_cast<std::size_t>(length)};
    at_ += length;
    return {};
  }

  Status header() {
    char magic[4] = {};
    if (!read(magic) || std::memcmp(magic, "GGUF", 4) != 0)
      return bad("first bytes", "'GGUF'", "something else", "is it a GGUF file?");
    std::uint32_t& version = file_.version_;
    if (!read(version)) return cut_short("version", sizeof version);
    if (version != 0 && (version & 0xffffu) == 0) return bad("byte order", "little-endian", "big-endian");
    if (version != 2 && version != 3) return bad("version", "2 or 3", std::to_string(version));
    if (!read(tensor_count_) || !read(key_count_)) return cut_short("counts", 16);
    if (const std::uint64_t most = std::min(kMostTensors, left() / kLeastTensor); tensor_count_ > most)
      return bad("number of tensors", fmt::format("at most {} in {} bytes", most, left()),
                 std::to_string(tensor_count_));
    if (const std::uint64_t most = std::min(kMostKeys, left() / kLeastKey); key_count_ > most)
      return bad("number of keys", fmt::format("at most {} in {} bytes", most, left()),
                 std::to_string(key_count_));
    file_.keys_.reserve(key_count_);
    file_.tensors_.reserve(tensor_count_);
    return {};
  }
  tl::unexpected<Error> bad(const std::string& where, std::string expected, std::string found,
                            std::string hint) const {
    return fail(file_.source_ + ": " + where, std::move(expected), std::move(found), std::move(hint));
  }

  Status key(std::uint64_t index) {
    Key key;
    if (Status good = read_name(fmt::format("key {}", index), key.name); !good) return good;
    const std::string where = "key " + shown(key.name);
    Value& value = key.value;
    if (Status good = read_type(where, value.type); !good) return good;
    if (value.type == ValueType::array) {
      value.array = true;
      if (Status good = read_type(where, value.type); !good) return good;
      if (value.type == ValueType::array) return bad(where, "an array of plain values", "arrays in an array");
      if (!read(value.count)) return cut_short(where, sizeof value.count);
    }
    if (Status good = read_elements(where, value); !good) return good;
    file_.keys_.push_back(key);
    return {};
  }

  Status read_type(const std::string& where, ValueType& type) {
    std::uint32_t id = 0;
    if (!read(id)) return cut_short(where, sizeof id);
    if (id > static_cast<std::uint32_t>(ValueType::f64))
      return bad(where, "a type of 0 to 12", std::to_string(id));
    type = static_cast<ValueType>(id);
    return {};
  }

  Status read_elements(const std::string& where, Value& value) {
    const std::size_t start = at_;
    if (value.type == ValueType::string) {
      if (value.count > left() / 8)
        return bad(where, fmt::format("at most {} strings", left() / 8), std::to_string(value.count));
      for (std::uint64_t i = 0; i < value.count; ++i) {
        std::uint64_t length = 0;
        if (!read(length)) return cut_short(where, sizeof length);
        if (length > left()) return cut_short(where, length);
        at_ += length;
      }
    } else {
      const std::uint64_t most = left() / size_of(value.type);
      if (value.count > most)
        return bad(where, fmt::format("at most {} of {}", most, name_of(value.type)),
                   std::to_string(value.count));
      at_ += value.count * size_of(value.type);
    }
    value.bytes = bytes_.subspan(start, at_ - start);
    if (value.type == ValueType::boolean)
      for (const std::byte byte : value.bytes)
        if (std::to_integer<unsigned>(byte) > 1)
          return bad(where, "0 or 1 for a bool", std::to_string(std::to_integer<unsigned>(byte)));
    return {};
  }

  Status alignment() {
    if (file_.find("general.alignment") == nullptr) return {};
    const auto given = file_.whole("general.alignment", 8, kMostAlignment);
    if (!given) return tl::unexpected(given.error());
    if (!std::has_single_bit(*given))
      return bad("key 'general.alignment'", "a power of two", std::to_string(*given));
    file_.alignment_ = static_cast<std::uint32_t>(*given);
    return {};
  }

  Status tensor(std::uint64_t index) {
    TensorInfo info;
    if (Status good = read_name(fmt::format("tensor {}", index), info.name); !good) return good;
    const std::string where = "tensor " + shown(info.name);
    if (!read(info.dimensions)) return cut_short(where, sizeof info.dimensions);
    if (info.dimensions < 1 || info.dimensions > 4)
      return bad(where, "1 to 4 dimensions", std::to_string(info.dimensions));
    std::uint64_t values = 1;
    for (std::uint32_t d = 0; d < info.dimensions; ++d) {
      if (!read(info.size[d])) return cut_short(where, sizeof info.size[d]);
      if (info.size[d] < 1 || info.size[d] > kMostValues / values)
        return bad(where, fmt::format("sizes from 1, with a product of at most {}", kMostValues),
                   fmt::format("{} in dimension {}", info.size[d], d));
      values *= info.size[d];
    }
    std::uint32_t id = 0;
    std::uint64_t offset = 0;
    if (!read(id) || !read(offset)) return cut_short(where, sizeof id + sizeof offset);
    info.storage = storage_type(id);
    if (info.storage == nullptr) return bad(where, "a known storage type", fmt::format("type {}", id));
    if (info.size[0] % info.storage->block_values != 0)
      return bad(where,
                 fmt::format("rows of a multiple of {} values, as {} has", info.storage->block_values,
                             info.storage->name),
                 std::to_string(info.size[0]));
    places_.push_back({offset, values / info.storage->block_values * info.storage->block_bytes,
                       static_cast<std::uint32_t>(index)});
    file_.tensors_.push_back(info);
    return {};
  }

  // Offsets count from the first aligned byte after the tensors' records.
  Status place_tensors() {
    if (places_.empty()) return {};
    const std::uint64_t base = (at_ + file_.alignment_ - 1) / file_.alignment_ * file_.alignment_;
    const std::uint64_t room = bytes_.size() > base ? bytes_.size() - base : 0;
    for (const Place& place : places_) {
      TensorInfo& info = file_.tensors_[place.index];
      const std::string where = "tensor " + shown(info.name);
      if (place.offset % file_.alignment_ != 0)
        return bad(where, fmt::format("an offset of a multiple of {}", file_.alignment_),
                   std::to_string(place.offset));
      if (place.offset > room || place.bytes > room - place.offset)
        return bad(where, fmt::format("data within the file's {} bytes of data", room),
                   fmt::format("{} bytes at offset {}", place.bytes, place.offset));
      info.bytes = bytes_.subspan(base + place.offset, place.bytes);
    }
    std::ranges::sort(places_, {}, &Place::offset);
    for (std::size_t i = 1; i < places_.size(); ++i)
      if (places_[i].offset < places_[i - 1].offset + places_[i - 1].bytes)
        return bad("tensor " + shown(file_.tensors_[places_[i].index].name), "data of its own",
                   "an overlap with tensor " + shown(file_.tensors_[places_[i - 1].index].name));
    return {};
  }

  struct Place {
    std::uint64_t offset, bytes;
    std::uint32_t index;
  };
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  std::uint64_t tensor_count_ = 0, key_count_ = 0;
  std::vector<Place> places_;
  File file_;
};

Result<File> File::parse(std::span<const std::byte> bytes, std::string source) {
  return Parser(bytes, std::move(source)).run();
}

const Value* File::find(std::string_view key) const {
  const Key* found = find_in(keys_, key_order_, key);
  return found == nullptr ? nullptr : &found->value;
}

const TensorInfo* File::tensor(std::string_view name) const { return find_in(tensors_, tensor_order_, name); }

}  // namespace serveloop::model::gguf
