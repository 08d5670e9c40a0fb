// A scheduler in C++: a class with `void plan(const sl::View&, sl::Plan&)`, made known by
// SERVELOOP_SCHEDULER.
//
//   class Mine {
//    public:
//     explicit Mine(const sl::Setup& setup);
//     void plan(const sl::View& view, sl::Plan& plan);   // each step
//     void note(const sl::View& view);                   // optional: events without being asked
//   };
//   SERVELOOP_SCHEDULER(Mine, "mine", "0.1.0");
#pragma once

#include <serveloop/cpp/plugin.hpp>
#include <serveloop/cpp/view.hpp>

namespace sl {

// The plan being written: entries ranked by their order.
class Plan {
 public:
  Plan(sl_out& entries, sl_out& gauges) : entries_(entries), gauges_(gauges) {}

  void run(sl_seq seq, uint32_t tokens, uint16_t reason = SL_REASON_NONE) {
    add(seq, SL_RUN, reason, tokens, 0, 0);
  }
  void admit(sl_seq seq, uint32_t tokens, uint16_t reason = SL_REASON_NONE, uint32_t hold_blocks = 0) {
    add(seq, SL_ADMIT, reason, tokens, hold_blocks, 0);
  }
  void reserve(sl_seq seq, uint32_t blocks, uint16_t reason = SL_REASON_NONE) {
    add(seq, SL_RESERVE, reason, 0, blocks, 0);
  }
  void preempt(sl_seq seq, uint16_t reason, uint64_t mode = SL_YIELD_RECOMPUTE, uint32_t keep_blocks = 0) {
    add(seq, SL_PREEMPT, reason, 0, keep_blocks, mode);
  }
  void swap_in(sl_seq seq, uint16_t reason = SL_REASON_NONE) { add(seq, SL_SWAP_IN, reason, 0, 0, 0); }
  void prefetch(sl_seq seq, uint32_t blocks, uint16_t reason = SL_REASON_NONE) {
    add(seq, SL_PREFETCH, reason, 0, blocks, 0);
  }
  void park(sl_seq seq, uint64_t wake_ns, uint16_t reason) { add(seq, SL_PARK, reason, 0, 0, wake_ns); }
  void release(sl_seq seq, uint16_t reason = SL_REASON_NONE) { add(seq, SL_RELEASE, reason, 0, 0, 0); }
  void reject(sl_seq seq, uint16_t reason) { add(seq, SL_REJECT, reason, 0, 0, 0); }
  void add(const sl_entry& entry) { entries_.push(entry); }

  void gauge(uint32_t name, double value) { gauges_.push({name, 0, value}); }
  uint32_t size() const { return entries_.size(); }
  uint32_t capacity() const { return entries_.capacity(); }  // entries beyond it get the whole plan refused

 private:
  void add(sl_seq seq, uint16_t verb, uint16_t reason, uint32_t tokens, uint32_t blocks, uint64_t arg) {
    entries_.push({seq, verb, reason, tokens, 0, blocks, arg});
  }
  Answer<sl_entry> entries_;
  Answer<sl_gauge> gauges_;
};

namespace detail {

template <class Policy>
struct SchedulerFunctions {
  static int32_t plan(void* self, const sl_view* view, sl_out* entries, sl_out* gauges) noexcept {
    return guarded([&] {
      Plan out(*entries, *gauges);
      static_cast<Policy*>(self)->plan(View(*view), out);
    });
  }
  static int32_t note(void* self, const sl_view* view) noexcept {
    return guarded([&] { static_cast<Policy*>(self)->note(View(*view)); });
  }
  static constexpr sl_scheduler make() {
    sl_scheduler table{sizeof(sl_scheduler), 0, &plan, nullptr};
    if constexpr (requires(Policy & p, const View& v) { p.note(v); }) table.note = &note;
    return table;
  }
  static constexpr sl_scheduler table = make();
};

}  // namespace detail
}  // namespace sl

#define SERVELOOP_SCHEDULER(Policy, id, version) \
  SERVELOOP_PLUGIN(Policy, SL_KIND_SCHEDULER, id, version, &sl::detail::SchedulerFunctions<Policy>::table)
