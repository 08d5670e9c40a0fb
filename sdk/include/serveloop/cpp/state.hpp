// Saved state, "serveloop.state/1", of a policy in C++: what events cannot tell a successor.
//
//   class Mine {
//    public:
//     static constexpr uint64_t kSchema = 0x...;             // another whenever the layout of the bytes changes
//     void save(sl::StateWriter& out) const;
//     void load(sl::StateReader& in);                        // throws where the bytes are not what save() writes
//     static const void* extension(const char* id) { return sl::state_extension<Mine>(id); }
//   };
#pragma once

#include <serveloop/cpp/plugin.hpp>
#include <type_traits>

namespace sl {

class StateWriter {
 public:
  template <class T>
  void put(const T& value) {
    static_assert(std::has_unique_object_representations_v<T>, "padding would differ from save to save");
    const auto* bytes = reinterpret_cast<const char*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(T));
  }
  const std::vector<char>& bytes() const { return bytes_; }

 private:
  std::vector<char> bytes_;
};

class StateReader {
 public:
  StateReader(const void* bytes, uint64_t size) : at_(static_cast<const char*>(bytes)), left_(size) {}
  template <class T>
  T get() {
    static_assert(std::has_unique_object_representations_v<T>);
    if (left_ < sizeof(T)) throw std::runtime_error("saved state ends too early");
    T value;
    std::memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    left_ -= sizeof(T);
    return value;
  }
  bool done() const { return left_ == 0; }

 private:
  const char* at_;
  uint64_t left_;
};

namespace detail {

template <class Policy>
struct StateFunctions {
  static int32_t save(void* self, sl_out* out) noexcept {
    return guarded([&] {
      StateWriter writer;
      static_cast<const Policy*>(self)->save(writer);
      const std::vector<char>& bytes = writer.bytes();
      if (!bytes.empty() && bytes.size() <= out->capacity) std::memcpy(out->base, bytes.data(), bytes.size());
      out->count = static_cast<uint32_t>(bytes.size());
    });
  }
  static int32_t load(void* self, const void* bytes, uint64_t size) noexcept {
    const int32_t status = guarded([&] {
      StateReader reader(bytes, size);
      static_cast<Policy*>(self)->load(reader);
    });
    return status == SL_OK ? SL_OK : SL_BAD_STATE;
  }
  static constexpr sl_state table{sizeof(sl_state), 0, Policy::kSchema, &save, &load};
};

}  // namespace detail

template <class Policy>
const void* state_extension(std::string_view id) {
  return id == SL_EXT_STATE ? &detail::StateFunctions<Policy>::table : nullptr;
}

}  // namespace sl
