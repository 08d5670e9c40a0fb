// A preemption policy that answers wrongly in a chosen way on every rate-th call, and takes the last in rank
// on the others. `swap` is no wrong answer, but a blind one: all are to be swapped, whether they can or not.
#include <serveloop/cpp/preemption.hpp>
#include <string>

namespace {

class BadPreemption {
 public:
  explicit BadPreemption(const sl::Setup& setup) : mode_(setup.text("mode")), rate_(setup.integer("rate")) {}

  void note(const sl::View& view) {
    for (const sl_event& event : view.events())
      if (event.kind == SL_EV_ENDED) ended_ = event.subject;
  }

  // May throw: nothing of the C++ layer stands between this and the host.
  static int32_t preempt(void* self, const sl_preempt_in* in, sl_out* yields, sl_out*) {
    return static_cast<BadPreemption*>(self)->answer(sl::PreemptIn(*in), *yields);
  }

 private:
  int32_t answer(const sl::PreemptIn& in, sl_out& yields) {
    const bool wrong = ++calls_ % rate_ == 0;
    if (wrong && mode_ == "exception") throw std::runtime_error("thrown by bad-preemption");
    if (wrong && mode_ == "empty") return SL_OK;
    const auto candidates = in.candidates();
    uint64_t freed = 0;
    for (std::size_t i = candidates.size(); i-- > 0 && freed < in->need; freed += candidates[i].frees)
      push(yields, {candidates[i].seq,
                    static_cast<uint16_t>(wrong && mode_ == "swap" ? SL_YIELD_SWAP : SL_YIELD_RECOMPUTE),
                    SL_REASON_NONE, 0});
    if (wrong) spoil(in, yields);
    return wrong && mode_ == "negative_status" ? SL_ERROR : SL_OK;
  }

  static sl_yield& row(sl_out& yields, uint32_t i) {
    return *reinterpret_cast<sl_yield*>(static_cast<char*>(yields.base) + std::size_t{i} * yields.stride);
  }
  static void push(sl_out& yields, const sl_yield& yield) {
    if (yields.count < yields.capacity) row(yields, yields.count) = yield;
    ++yields.count;
  }
  // In place of the first yield, so that the buffer's capacity is never what refuses it.
  static void put(sl_out& yields, sl_seq seq) {
    if (seq != SL_NO_SEQ && yields.count > 0) row(yields, 0).seq = seq;
  }

  void spoil(const sl::PreemptIn& in, sl_out& yields) const {
    const uint32_t beyond = in->view->seqs.count + 7;  // a slot that does not exist
    if (mode_ == "unknown_id") put(yields, (uint64_t{1} << 32) | beyond);
    if (mode_ == "stale_id") put(yields, ended_);
    if (mode_ == "not_a_candidate") put(yields, in->for_seq);
    if (mode_ == "overflow") yields.count = yields.capacity + 1;
    if (mode_ == "bad_number" && yields.count > 0) row(yields, 0).mode = 9;
    if (mode_ == "keep_all" || mode_ == "keep_too_much")
      for (uint32_t i = 0; i < yields.count; ++i) {
        row(yields, i).mode = SL_YIELD_KEEP;
        row(yields, i).keep_blocks = in->view->tier[SL_TIER_DEVICE].total + (mode_ == "keep_all" ? 0 : 1);
      }
    if (mode_ == "twice" && yields.count > 0 && yields.capacity > 1) {
      if (yields.count == yields.capacity) --yields.count;
      push(yields, sl_yield(row(yields, 0)));
    }
  }

  std::string mode_;
  int64_t rate_, calls_ = 0;
  sl_seq ended_ = SL_NO_SEQ;
};

constexpr sl_preemption kFunctions{sizeof(sl_preemption), 0, &BadPreemption::preempt,
                                   &sl::detail::PreemptionFunctions<BadPreemption>::note};

}  // namespace

SERVELOOP_PLUGIN(BadPreemption, SL_KIND_PREEMPTION, "bad-preemption", "0.1.0", &kFunctions);
