// Strict priority (as vLLM's priority policy): everything in the order (priority, arrival), running or
// waiting.
//
// Invariant at each plan: running_ holds the running sequences, sorted by rank. It is kept by events, so a
// step costs one walk over it plus one look at each waiting sequence that is admitted, and one at the first
// that is not.
#include <algorithm>
#include <compare>
#include <iterator>
#include <serveloop/cpp/bring_in.hpp>

namespace {

struct Rank {  // smallest runs first
  int64_t below_top;
  sl::ArrivalKey arrival;
  auto operator<=>(const Rank&) const = default;
  static Rank of(const sl::View& view, const sl_seq_row& seq) {
    return {-int64_t{view.request(seq).priority}, sl::ArrivalKey::of(view, seq)};
  }
};
using Ranked = std::pair<Rank, sl_seq>;

class Priority {
 public:
  explicit Priority(const sl::Setup& setup)
      : hysteresis_(setup.integer("hysteresis")), ready_(setup->sequence_slots), bring_in_(setup) {
    for (std::vector<Ranked>* list : {&running_, &joined_, &merged_}) list->reserve(2 * setup->max_sequences);
  }

  void note(const sl::View& view) {
    ready_.hear(view, Rank::of);
    bring_in_.hear(view, Rank::of);
    for (const sl_event& event : view.events()) {
      switch (event.kind) {
        case SL_EV_ADMITTED: joined(view, event.subject); [[fallthrough]];
        case SL_EV_PREEMPTED:
        case SL_EV_PAUSED:
        case SL_EV_ENDED: changed_ = true; break;
        default: break;
      }
    }
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    if (changed_ || running_.size() != view->running_count) settle(view);
    write(view, plan);
    plan.gauge(kWaiting, static_cast<double>(ready_.size()));
  }

 private:
  static constexpr uint16_t kOutranked = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint32_t kWaiting = 0, kPreempted = 1;

  static bool runs(const sl::View& view, sl_seq id) {
    const sl_seq_row* seq = view.find(id);
    return seq != nullptr && seq->state == SL_RUNNING;
  }
  void joined(const sl::View& view, sl_seq id) {
    if (runs(view, id)) joined_.emplace_back(Rank::of(view, *view.find(id)), id);
  }

  // Drops from running_ what runs no more and merges what joined. One told twice (preempted and admitted
  // again between two calls) is kept once.
  void settle(const sl::View& view) {
    std::erase_if(running_, [&](const Ranked& r) { return !runs(view, r.second); });
    std::erase_if(joined_, [&](const Ranked& r) { return !runs(view, r.second); });
    std::sort(joined_.begin(), joined_.end());
    merged_.clear();
    std::merge(running_.begin(), running_.end(), joined_.begin(), joined_.end(), std::back_inserter(merged_));
    merged_.erase(std::unique(merged_.begin(), merged_.end()), merged_.end());
    running_.swap(merged_);
    joined_.clear();
    changed_ = false;
    if (running_.size() != view->running_count) rebuild(view);
  }

  // From the table alone, should events and table ever disagree.
  void rebuild(const sl::View& view) {
    running_.clear();
    for (const uint32_t slot : view.running()) {
      const sl_seq_row& seq = view.seqs()[slot];
      running_.emplace_back(Rank::of(view, seq), seq.id);
    }
    std::sort(running_.begin(), running_.end());
  }

  // Walks running and waiting ones in one order. Where no slot is free, the waiting one takes that of the
  // lowest running one that it outranks by more than the hysteresis. If the best waiting one cannot, none
  // can. Whose blocks are in host memory, or on their way, has its turn likewise; it takes its slot once it is there.
  void write(const sl::View& view, sl::Plan& plan) {
    const auto seqs = view.seqs();
    uint32_t budget = view->token_budget;
    uint32_t slots = view->max_sequences - std::min(view->max_sequences, view->running_count);
    std::size_t at = 0, end = running_.size();
    auto next = ready_.begin();
    bring_in_.start(view);
    const auto slot_for = [&](const Rank& rank) {
      return slots > 0 || (at < end && outranks(rank, running_[end - 1].first));
    };
    while (budget > 0) {
      const Rank* running = at == end ? nullptr : &running_[at].first;
      if (bring_in_.coming_first(view, plan, next, ready_.end(), running, slot_for)) {
        slots -= std::min(slots, 1u);
        continue;
      }
      const bool waits = next != ready_.end() && (at == end || next->first < running_[at].first);
      if (!waits && at == end) break;
      if (waits && !slot_for(next->first)) {
        bring_in_.ahead(view, plan, next, ready_.end());
        next = ready_.end();
        continue;
      }
      const sl_seq_row& seq = seqs[SL_SEQ_SLOT(waits ? (next++)->second : running_[at++].second)];
      if (waits && bring_in_.instead(view, plan, seq)) {
        slots -= std::min(slots, 1u);
        continue;
      }
      const uint32_t tokens = std::min(waits ? sl::uncached_tokens(view, seq) : seq.runnable, budget);
      if (tokens == 0) continue;  // all that it could run is in flight
      budget -= tokens;
      if (!waits) {
        plan.run(seq.id, tokens);
        continue;
      }
      if (slots > 0)
        --slots;
      else
        plan.preempt(running_[--end].second, kOutranked);
      plan.admit(seq.id, tokens);
    }
    bring_in_.ahead(view, plan, next, ready_.end());
    plan.gauge(kPreempted, static_cast<double>(running_.size() - end));
  }

  // Never true of equals, so that two of one priority cannot take a slot from each other in turns.
  bool outranks(const Rank& waiting, const Rank& running) const {
    return running.below_top - waiting.below_top > hysteresis_;
  }

  int64_t hysteresis_;
  sl::ReadyQueue<Rank> ready_;
  sl::BringIn<Rank> bring_in_;
  std::vector<Ranked> running_, joined_, merged_;
  bool changed_ = false;
};

}  // namespace

SERVELOOP_SCHEDULER(Priority, "priority", "0.1.0");
