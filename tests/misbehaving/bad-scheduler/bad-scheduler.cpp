// A scheduler that answers wrongly in a chosen way on every rate-th call, and is plain FCFS on the others.
//
// A wrong answer is the right plan, spoilt. Where the state offers nothing to be wrong about yet (no sequence
// has ended, say), the plan stays right. It fills the host's buffer by itself, since the C++ layer would not
// let all of this through.
#include <algorithm>
#include <chrono>
#include <serveloop/cpp/queue.hpp>
#include <serveloop/cpp/scheduler.hpp>
#include <string>

namespace {

class BadScheduler {
 public:
  explicit BadScheduler(const sl::Setup& setup)
      : mode_(setup.text("mode")),
        rate_(setup.integer("rate")),
        at_(setup.integer("at")),
        sleep_us_(setup.integer("sleep_us")),
        ready_(setup->sequence_slots) {}

  void note(const sl::View& view) {
    ready_.hear(view, sl::ArrivalKey::of);
    for (const sl_event& event : view.events())
      if (event.kind == SL_EV_ENDED) ended_ = event.subject;
  }

  // May throw: nothing of the C++ layer stands between this and the host.
  static int32_t plan(void* self, const sl_view* view, sl_out* entries, sl_out*) {
    return static_cast<BadScheduler*>(self)->answer(sl::View(*view), *entries);
  }

 private:
  int32_t answer(const sl::View& view, sl_out& entries) {
    ++calls_;
    const bool wrong = calls_ % rate_ == 0;
    if (wrong && mode_ == "exception") throw std::runtime_error("thrown by bad-scheduler");
    note(view);
    if (mode_ == "sleepy" && calls_ == at_) busy_wait();
    if (wrong && mode_ == "empty") return SL_OK;
    if (wrong && mode_ == "starve") {
      fcfs(view, entries, view->token_budget, 1);
      return SL_OK;
    }
    fcfs(view, entries, wrong && mode_ == "over_budget" ? UINT32_MAX : view->token_budget, entries.capacity);
    if (wrong) spoil(view, entries);
    return wrong && mode_ == "negative_status" ? SL_ERROR : SL_OK;
  }

  static sl_entry& row(sl_out& entries, uint32_t i) {
    return *reinterpret_cast<sl_entry*>(static_cast<char*>(entries.base) + std::size_t{i} * entries.stride);
  }
  static void push(sl_out& entries, const sl_entry& entry) {
    if (entries.count < entries.capacity) row(entries, entries.count) = entry;
    ++entries.count;
  }

  void fcfs(const sl::View& view, sl_out& entries, uint32_t budget, uint32_t most) const {
    uint32_t slots = view->max_sequences - std::min(view->max_sequences, view->running_count);
    const auto add = [&](const sl_seq_row& seq, uint16_t verb) {
      const uint32_t tokens = std::min(seq.runnable, budget);
      if (tokens == 0 || entries.count >= most) return;
      push(entries, {seq.id, verb, SL_REASON_NONE, tokens, 0, 0, 0});
      budget -= tokens;
    };
    for (const uint32_t slot : view.running()) add(view.seqs()[slot], SL_RUN);
    for (auto next = ready_.begin(); next != ready_.end() && slots > 0 && budget > 0; ++next, --slots)
      add(view.seqs()[SL_SEQ_SLOT(next->second)], SL_ADMIT);
  }

  void spoil(const sl::View& view, sl_out& entries) const {
    const uint32_t beyond = view->seqs.count + 7;  // a slot that does not exist
    const sl_seq running = view.running().empty() ? SL_NO_SEQ : view.seqs()[view.running()[0]].id;
    const sl_seq waiting = ready_.empty() ? SL_NO_SEQ : ready_.begin()->second;
    const sl_seq any = running != SL_NO_SEQ ? running : waiting;
    const auto add = [&](sl_seq seq, uint16_t verb, uint32_t tokens) {
      if (seq != SL_NO_SEQ) push(entries, {seq, verb, SL_REASON_NONE, tokens, 0, 0, 0});
    };
    if (mode_ == "unknown_id") add((uint64_t{1} << 32) | beyond, SL_RUN, 1);
    if (mode_ == "stale_id") add(ended_, SL_RUN, 1);
    if (mode_ == "wrong_state" && waiting != SL_NO_SEQ)
      add(waiting, SL_RUN, 1);
    else if (mode_ == "wrong_state")
      add(running, SL_ADMIT, 1);
    if (mode_ == "unknown_verb") add(any, 99, 1);
    if (mode_ == "bad_number") add(any, running != SL_NO_SEQ ? SL_RUN : SL_ADMIT, 0);
    if (mode_ == "twice" && entries.count > 0) push(entries, sl_entry(row(entries, 0)));
    if (mode_ == "overflow") entries.count = entries.capacity + 1;
  }

  // A policy may not look at a clock; this one is here to be slow.
  void busy_wait() const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(sleep_us_);
    while (std::chrono::steady_clock::now() < end) {
    }
  }

  std::string mode_;
  int64_t rate_, at_, sleep_us_, calls_ = 0;
  sl_seq ended_ = SL_NO_SEQ;
  sl::ReadyQueue<sl::ArrivalKey> ready_;
};

constexpr sl_scheduler kFunctions{sizeof(sl_scheduler), 0, &BadScheduler::plan,
                                  &sl::detail::SchedulerFunctions<BadScheduler>::note};

}  // namespace

SERVELOOP_PLUGIN(BadScheduler, SL_KIND_SCHEDULER, "bad-scheduler", "0.1.0", &kFunctions);
