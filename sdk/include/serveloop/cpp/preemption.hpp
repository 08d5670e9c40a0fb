// A preemption policy in C++: `void preempt(const sl::PreemptIn&, sl::Yields&)`.
#pragma once

#include <serveloop/cpp/plugin.hpp>
#include <serveloop/cpp/view.hpp>

namespace sl {

class PreemptIn {
 public:
  explicit PreemptIn(const sl_preempt_in& in) : in_(&in) {}
  const sl_preempt_in* operator->() const { return in_; }
  View view() const { return View(*in_->view); }
  Rows<sl_candidate> candidates() const { return Rows<sl_candidate>(in_->candidates); }  // in plan rank

 private:
  const sl_preempt_in* in_;
};

class Yields {
 public:
  Yields(sl_out& yields, sl_out& gauges) : rows_(yields), gauges_(gauges) {}
  void recompute(sl_seq seq, uint16_t reason = SL_REASON_NONE) {
    rows_.push({seq, SL_YIELD_RECOMPUTE, reason, 0});
  }
  void swap(sl_seq seq, uint16_t reason = SL_REASON_NONE) { rows_.push({seq, SL_YIELD_SWAP, reason, 0}); }
  void keep(sl_seq seq, uint32_t blocks, uint16_t reason = SL_REASON_NONE) {
    rows_.push({seq, SL_YIELD_KEEP, reason, blocks});
  }
  void gauge(uint32_t name, double value) { gauges_.push({name, 0, value}); }

 private:
  Answer<sl_yield> rows_;
  Answer<sl_gauge> gauges_;
};

namespace detail {

template <class Policy>
struct PreemptionFunctions {
  static int32_t preempt(void* self, const sl_preempt_in* in, sl_out* yields, sl_out* gauges) noexcept {
    return guarded([&] {
      Yields out(*yields, *gauges);
      static_cast<Policy*>(self)->preempt(PreemptIn(*in), out);
    });
  }
  static int32_t note(void* self, const sl_view* view) noexcept {
    return guarded([&] { static_cast<Policy*>(self)->note(View(*view)); });
  }
  static constexpr sl_preemption make() {
    sl_preemption table{sizeof(sl_preemption), 0, &preempt, nullptr};
    if constexpr (requires(Policy & p, const View& v) { p.note(v); }) table.note = &note;
    return table;
  }
  static constexpr sl_preemption table = make();
};

}  // namespace detail
}  // namespace sl

#define SERVELOOP_PREEMPTION(Policy, id, version) \
  SERVELOOP_PLUGIN(Policy, SL_KIND_PREEMPTION, id, version, &sl::detail::PreemptionFunctions<Policy>::table)
