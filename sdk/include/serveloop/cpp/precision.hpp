// A precision policy in C++: `sl_op_plan assign(const sl_op_key&, uint32_t mode)`, and optionally
// `uint32_t modes()`, `uint32_t choose_mode(const sl::View&)`, `void effective(keys, mode, plans)`.
#pragma once

#include <serveloop/cpp/plugin.hpp>
#include <serveloop/cpp/view.hpp>

namespace sl {
namespace detail {

template <class Policy>
struct PrecisionFunctions {
  static int32_t assign(void* self, const sl_table* keys, uint32_t mode, sl_out* op_plans) noexcept {
    return guarded([&] {
      Answer<sl_op_plan> out(*op_plans);
      for (const sl_op_key& key : Rows<sl_op_key>(*keys))
        out.push(static_cast<Policy*>(self)->assign(key, mode));
    });
  }
  static int32_t effective(void* self, const sl_table* keys, uint32_t mode, const sl_table* plans) noexcept {
    return guarded([&] {
      if constexpr (requires(Policy & p) {
                      p.effective(Rows<sl_op_key>(*keys), mode, Rows<sl_op_plan>(*plans));
                    })
        static_cast<Policy*>(self)->effective(Rows<sl_op_key>(*keys), mode, Rows<sl_op_plan>(*plans));
    });
  }
  static uint32_t modes(void* self) noexcept {
    uint32_t count = 1;
    const int32_t status = guarded([&] {
      if constexpr (requires(Policy & p) { p.modes(); }) count = static_cast<Policy*>(self)->modes();
    });
    return status == SL_OK ? count : 0;  // 0 is refused
  }
  static int32_t choose_mode(void* self, const sl_view* view, uint32_t* mode) noexcept {
    return guarded([&] {
      *mode = 0;
      if constexpr (requires(Policy & p, const View& v) { p.choose_mode(v); })
        *mode = static_cast<Policy*>(self)->choose_mode(View(*view));
    });
  }
  static constexpr sl_precision table{sizeof(sl_precision), 0, &assign, &effective, &modes, &choose_mode};
};

}  // namespace detail
}  // namespace sl

#define SERVELOOP_PRECISION(Policy, id, version) \
  SERVELOOP_PLUGIN(Policy, SL_KIND_PRECISION, id, version, &sl::detail::PrecisionFunctions<Policy>::table)
