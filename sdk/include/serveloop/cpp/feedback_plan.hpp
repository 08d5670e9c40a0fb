// A multi-level feedback queue over all sequences, with a bound on waiting: a policy says at which level each stands, and why
// one yields its slot.
//
//   void note(const sl::View& view) { feedback_.hear(view, level_of); }
//   void plan(const sl::View& view, sl::Plan& plan) { feedback_.write(view, plan, level_of); }
//
// `level_of(view, row)` gives 0, the first to run, or more. Within a level arrival counts. A waiting one takes the slot of a
// running one on a lower level. Who has waited for half of the bound goes before all others until it has had the first level's
// share, and down from there by what it has had since: were it to fall to where it was, it would yield at once what it just
// got, and compute it again each time that it is overdue.
//
// Its manifest declares what Levels asks for and the integer option `max_wait_ms`.
#pragma once

#include <serveloop/cpp/levels.hpp>
#include <serveloop/cpp/overdue.hpp>
#include <serveloop/cpp/ranked_plan.hpp>

namespace sl {

class FeedbackPlan {
 public:
  // `reason`: of a preemption for a slot.
  FeedbackPlan(const Setup& setup, uint16_t reason)
      : levels_(setup),
        overdue_(setup, static_cast<uint64_t>(setup.integer("max_wait_ms")) * 1'000'000),
        ranked_(setup, {.reason = reason, .decodes_always = true, .room_first = true, .swaps_out = true}) {}

  template <class LevelOf>
  void hear(const View& view, LevelOf&& level_of) {
    overdue_.hear(view);
    ranked_.hear(view, rank_by(level_of));
  }
  // Takes in the call's events too.
  template <class LevelOf>
  void write(const View& view, Plan& plan, LevelOf&& level_of) {
    hear(view, level_of);
    const auto rank_of = rank_by(level_of);
    overdue_.take(view, [&](const sl_seq_row& seq) { ranked_.rank(seq.id, rank_of(view, seq)); });
    ranked_.refresh(view, rank_of);
    ranked_.write(view, plan,
                  [](const Rank& waiting, const Rank& running) { return waiting.level < running.level; });
  }

  const Levels& levels() const { return levels_; }
  std::size_t waiting() const { return ranked_.waiting().size(); }
  uint32_t preempted() const { return ranked_.preempted(); }   // by the last plan, for a slot
  uint64_t overdue_total() const { return overdue_.total(); }  // that became so

 private:
  struct Rank {
    int64_t level;  // -1: overdue
    ArrivalKey arrival;
    auto operator<=>(const Rank&) const = default;
  };

  template <class LevelOf>
  auto rank_by(LevelOf& level_of) const {
    return [this, &level_of](const View& view, const sl_seq_row& seq) -> Rank {
      const ArrivalKey arrival = ArrivalKey::of(view, seq);
      const auto overdue_ns = overdue_.served_ns(view, seq);
      if (!overdue_ns) return {level_of(view, seq), arrival};
      const uint32_t level = levels_.after(static_cast<double>(*overdue_ns));
      return {level == 0 ? -1 : int64_t{level}, arrival};
    };
  }

  Levels levels_;
  Overdue overdue_;
  RankedPlan<Rank> ranked_;
};

}  // namespace sl
