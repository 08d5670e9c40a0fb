// The boundary between a policy class and the C ABI: options in, exceptions caught, one symbol out.
#pragma once

#include <serveloop/serveloop.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sl {

// Thrown by a policy's constructor; the text becomes the host's error line.
struct BadOption : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What a policy's constructor is given: its options (checked against the manifest, defaults filled in) and
// the limits.
class Setup {
 public:
  explicit Setup(const sl_create& in) : in_(&in) {}

  const sl_create* operator->() const { return in_; }
  int64_t integer(std::string_view name) const { return option(name, SL_OPTION_INTEGER).integer; }
  double number(std::string_view name) const { return option(name, SL_OPTION_NUMBER).number; }
  bool boolean(std::string_view name) const { return option(name, SL_OPTION_BOOLEAN).integer != 0; }
  std::string_view text(std::string_view name) const {
    const sl_text& value = option(name, SL_OPTION_TEXT).text;
    return {value.data, static_cast<std::size_t>(value.size)};
  }
  std::vector<std::string_view> list(std::string_view name) const {
    std::vector<std::string_view> out;
    for (uint32_t i = 0; i < in_->options.count; ++i) {
      const sl_option& o = at(i);
      if (o.type == SL_OPTION_LIST && text_of(o.name) == name) out.push_back(text_of(o.text));
    }
    return out;
  }

 private:
  static std::string_view text_of(const sl_text& t) { return {t.data, static_cast<std::size_t>(t.size)}; }
  const sl_option& at(uint32_t i) const {
    return *reinterpret_cast<const sl_option*>(static_cast<const char*>(in_->options.base) +
                                               std::size_t{i} * in_->options.stride);
  }
  const sl_option& option(std::string_view name, uint32_t type) const {
    for (uint32_t i = 0; i < in_->options.count; ++i) {
      const sl_option& o = at(i);
      if (text_of(o.name) == name &&
          (o.type == type || (type == SL_OPTION_NUMBER && o.type == SL_OPTION_INTEGER)))
        return o;
    }
    throw BadOption("option '" + std::string(name) + "' is not declared in the manifest with that type");
  }
  const sl_create* in_;
};

// Rows written into a buffer of the host's. A row beyond the capacity is counted, not written: the host
// refuses the answer.
template <class Row>
class Answer {
 public:
  explicit Answer(sl_out& out) : out_(&out), base_(static_cast<char*>(out.base)) {}
  ~Answer() { out_->count = count_; }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  void push(const Row& row) {
    if (count_ < out_->capacity) *reinterpret_cast<Row*>(base_ + std::size_t{count_} * out_->stride) = row;
    ++count_;
  }
  uint32_t size() const { return count_; }
  uint32_t capacity() const { return out_->capacity; }
  Row& operator[](uint32_t i) { return *reinterpret_cast<Row*>(base_ + std::size_t{i} * out_->stride); }

 private:
  sl_out* out_;
  char* base_;
  uint32_t count_ = 0;
};

namespace detail {

// Why the last guarded call of this thread threw, for SL_EXT_ERROR. A fixed buffer: nothing is allocated for
// the host, and nothing is left to destroy when the object is unloaded.
struct LastError {
  char text[512];
};
inline thread_local LastError last_error{};

inline void keep_error(const char* why) noexcept {
  std::snprintf(last_error.text, sizeof(last_error.text), "%s", why);
}
inline sl_text last_error_text(void*) noexcept { return {last_error.text, std::strlen(last_error.text)}; }
inline constexpr sl_error kErrors{sizeof(sl_error), 0, &last_error_text};

// Runs `body`; whatever it throws becomes a status, and its text is kept. Nothing crosses the boundary.
template <class Body>
int32_t guarded(Body&& body) noexcept {
  try {
    body();
    return SL_OK;
  } catch (const std::exception& error) {
    keep_error(error.what());
  } catch (...) {
    keep_error("an exception of unknown type");
  }
  return SL_EXCEPTION;
}

template <class Policy>
int32_t create(const sl_create* in, void** self) noexcept {
  const auto refuse = [&](int32_t status, const char* why) {
    if (in->error != nullptr && in->error_capacity > 0)
      std::snprintf(in->error, in->error_capacity, "%s", why);
    return status;
  };
  try {
    *self = new Policy(Setup(*in));
    return SL_OK;
  } catch (const BadOption& bad) {
    return refuse(SL_BAD_OPTION, bad.what());
  } catch (const std::exception& error) {
    return refuse(SL_EXCEPTION, error.what());
  } catch (...) {
    return refuse(SL_EXCEPTION, "an exception of unknown type");
  }
}

template <class Policy>
void destroy(void* self) noexcept {
  delete static_cast<Policy*>(self);
}

template <class Policy>
const void* extension(const char* id) noexcept {
  const void* found = nullptr;
  guarded([&] {
    if constexpr (requires { Policy::extension(id); }) found = Policy::extension(id);
    if (found == nullptr && std::string_view(id) == SL_EXT_ERROR) found = &kErrors;
  });
  return found;
}

template <class Policy>
constexpr sl_plugin describe(uint32_t kind, const char* id, const char* version, const void* functions) {
  return {SL_MAGIC, sizeof(sl_plugin), SL_ABI_MAJOR,    SL_ABI_MINOR,     SL_ABI_STAMP,      kind, 0, id,
          version,  functions,         &create<Policy>, &destroy<Policy>, &extension<Policy>};
}

}  // namespace detail
}  // namespace sl

// Defines the plugin's one exported symbol.
#define SERVELOOP_PLUGIN(Policy, kind, id, version, functions) \
  extern "C" SL_EXPORT const sl_plugin serveloop_plugin;       \
  const sl_plugin serveloop_plugin = sl::detail::describe<Policy>(kind, id, version, functions)
