// Where an eviction policy's victims go: the policy says who leaves, this says whether out of the cache or to host memory.
//
// A policy answers with lists of blocks in the order in which they leave, or with a function that picks one after the other.
//
// A demoted block is free only once its copy has ended. So what is needed now is dropped, and more than that is demoted ahead
// of the next need: as many blocks as the core expects to be needed, or a share of the device (option `ahead_share`), less
// the cached ones that are leaving already, and no more at once than the link copies while a few steps of decodes run, by the
// cost model: over a slow link most are dropped, as what waits for its copy is memory that nobody can use. While demotions keep
// up, free blocks are there before they are needed and little is dropped. The coldest are dropped and the next coldest demoted,
// since a block's place in the host is worth the more the sooner it comes back.
// With a dropped block goes what lies below it in host memory, so those with something there are dropped only where
// others do not suffice. Host blocks leave in the order in which they became idle there, as many as the core needs or expects
// to need there and the demotions must find free; no more is demoted than there is room for.
//
// Without a host tier the victims are the first, dropped.
#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <serveloop/cpp/leaves.hpp>

namespace sl {

// A block that is to leave, and the reason if it leaves for good.
struct Leaving {
  uint32_t block = SL_NONE;
  uint16_t reason = SL_REASON_NONE;
};

// One list of idle device blocks, and the reason of those that leave it for good.
struct VictimList {
  BlockList* list;
  uint16_t reason;
};

// Its manifest declares the options `demote` (boolean) and `ahead_share` (number).
class TwoTiers {
 public:
  struct Reasons {
    uint16_t demoted, made_room;  // to the host; out of it
  };
  TwoTiers(const Setup& setup, Reasons reasons)
      : reasons_(reasons),
        device_(setup->blocks[SL_TIER_DEVICE]),
        host_(setup->blocks[SL_TIER_HOST]),
        demotes_(host_ > 0 && setup.boolean("demote")),
        ahead_(static_cast<uint32_t>(std::ceil(setup.number("ahead_share") * device_))),
        idle_(host_ > 0 ? device_ + host_ : 0),
        passed_(host_ > 0 ? device_ + host_ : 0),
        leaves_(device_ + host_),
        picked_leaves_(device_) {}

  // Returns the device block that the event is of: with SL_BLOCK_MOVED the one that came there, or that left for the host.
  // SL_NONE: it is of a host block alone, and none of the policy's concern.
  uint32_t hear(const sl_block_event& event) {
    if (host_ == 0) return event.block;
    const bool moved = event.kind == SL_BLOCK_MOVED;
    const uint32_t in_host = event.block >= device_ ? event.block : moved ? event.from : SL_NONE;
    if (in_host == SL_NONE) return event.block;
    idle_.remove(in_host);
    if (event.kind == SL_BLOCK_IDLE) idle_.push_back(in_host);
    if (moved && in_host == event.block) leaving_.push_back(in_host);
    return !moved ? SL_NONE : event.block < device_ ? event.block : event.from;
  }

  // Names the victims; `lists` in the order in which they leave, each longest idle first, with each block's cached
  // descendants on the device before it. Victims stay in their list until an event tells that the answer was taken.
  void answer(const EvictIn& in, Victims& victims, std::initializer_list<VictimList> lists) {
    if (host_ == 0) return drop_first(in, victims, lists);
    start();
    const uint32_t demotions = make_room(in, victims, wanted(in));
    name_all(in, victims, in.need(), demotions, [&](auto&& take) {
      for (const auto& [list, reason] : lists)
        for (uint32_t block = list->front(), next; block != list->end(); block = next) {
          next = list->after(block);
          if (!Leaves::idle(in, block))
            list->remove(block);  // its hit was left out of a full event buffer; it will go idle again
          else if (!take(Leaving{block, reason}))
            return;
        }
    });
  }

  // `pick(leaves)` returns the next that leaves, one that leaves.may_leave(); none at the end. What it has returned is named.
  template <class Pick>
  void answer(const EvictIn& in, Victims& victims, Pick&& pick) {
    start();
    picked_leaves_.start();
    picked_.clear();
    const uint32_t demotions = host_ == 0 ? 0 : make_room(in, victims, wanted(in));
    while (picked_.size() < in.need() + demotions) {
      const Leaving next = pick(static_cast<const Leaves&>(picked_leaves_));
      if (next.block == SL_NONE) break;
      picked_leaves_.name(in, next.block);
      picked_.push_back(next);
    }
    name_all(in, victims, in.need(), demotions, [&](auto&& take) {
      for (const Leaving& next : picked_)
        if (!take(next)) return;
    });
  }

 private:
  enum How { kDropChildless, kDrop, kDemote };
  // Blocks passed over at most to find some with nothing below them in the host.
  static constexpr uint32_t kLook = 256;
  // Steps within which a demotion is to have freed its block.
  static constexpr double kAheadSteps = 4;
  void start() {
    ++call_;
    leaves_.start();
  }

  static void drop_first(const EvictIn& in, Victims& victims, std::initializer_list<VictimList> lists) {
    const auto blocks = in.blocks();
    for (const auto& [list, reason] : lists)
      for (uint32_t block = list->front(), next; block != list->end() && victims.size() < in.need();
           block = next) {
        next = list->after(block);
        if (blocks[block].refs == 0)
          victims.drop(block, reason);
        else
          list->remove(block);  // its hit was left out of a full event buffer; it will go idle again
      }
  }

  // Blocks to demote, were there room for all.
  uint32_t wanted(const EvictIn& in) {
    if (!demotes_) return 0;
    const sl_tier& tier = in->view->tier[SL_TIER_DEVICE];
    const uint32_t need = in->need[SL_TIER_DEVICE], expected = in->ahead[SL_TIER_DEVICE];
    const uint32_t gone = leaving(in), copied = copied_soon(in);
    const uint32_t share = ahead_ - std::min(ahead_, gone);
    const uint32_t most = std::max(share, expected - std::min(expected, need));
    return std::min({most, copied - std::min(copied, gone), tier.evictable - std::min(tier.evictable, need)});
  }
  // Blocks that the link copies, one way, while a few steps run that decode all who run, contexts not counted: a low estimate.
  // A model without these costs: no limit.
  static uint32_t copied_soon(const EvictIn& in) {
    const sl_cost& cost = *in->view->cost;
    const double steps_ns = kAheadSteps * sl_predict_step_ns(&cost, in->view->running_count, 0, 0, 0);
    if (steps_ns <= 0 || cost.swap_block_ns <= 0) return SL_NONE;
    return static_cast<uint32_t>(std::min(steps_ns / cost.swap_block_ns, 1e9));
  }
  // Those whose copy to the host is pending.
  uint32_t leaving(const EvictIn& in) {
    const auto blocks = in.blocks();
    const auto is_there = [&](uint32_t block) { return (blocks[block].flags & SL_BLOCK_FLAG_COPYING) == 0; };
    leaving_.erase(std::remove_if(leaving_.begin(), leaving_.end(), is_there), leaving_.end());
    return static_cast<uint32_t>(leaving_.size());
  }

  // Drops host blocks for the core's need there, for `demotions`, and for what the core expects to need there. Returns how
  // many can be demoted.
  uint32_t make_room(const EvictIn& in, Victims& victims, uint32_t demotions) {
    const uint32_t need = in->need[SL_TIER_HOST], expected = in->ahead[SL_TIER_HOST];
    const uint32_t free = need > 0 ? 0 : in->view->tier[SL_TIER_HOST].free;  // what is short is taken
    const uint32_t more = demotions + (expected - std::min(expected, need));
    const uint32_t wanted = need + (more - std::min(more, free));
    uint32_t dropped = 0;
    for (uint32_t block = idle_.front(), next; block != idle_.end() && dropped < wanted; block = next) {
      next = idle_.after(block);
      if (!Leaves::idle(in, block, SL_TIER_HOST)) {
        idle_.remove(block);
        continue;
      }
      passed_[block] = call_;  // one that was idle before those below it follows the last of them
      for (uint32_t at = block; at != SL_NONE && dropped < wanted && passed_[at] == call_ &&
                                leaves_.may_leave(in, at, SL_TIER_HOST);) {
        victims.drop(at, reasons_.made_room);
        ++dropped;
        at = leaves_.name(in, at);
      }
    }
    return std::min(demotions, free + dropped - std::min(free + dropped, need));
  }

  // `each(take)` goes through those that leave, in order, until take() is false.
  template <class Each>
  void name_all(const EvictIn& in, Victims& victims, uint32_t need, uint32_t demotions, Each&& each) {
    const uint32_t childless = host_ == 0 ? 0 : name(in, victims, each, need, kDropChildless);
    name(in, victims, each, need - childless, kDrop);
    name(in, victims, each, demotions, kDemote);
  }
  template <class Each>
  uint32_t name(const EvictIn& in, Victims& victims, Each& each, uint32_t count, How how) {
    uint32_t named = 0, looked = 0;
    if (count == 0) return 0;
    each([&](const Leaving& next) {
      if (how == kDropChildless && ++looked > count + kLook) return false;
      if ((how == kDropChildless && in.blocks()[next.block].host_children > 0) ||
          !leaves_.may_leave(in, next.block))
        return true;
      leaves_.name(in, next.block);
      if (how == kDemote)
        victims.demote(next.block, reasons_.demoted);
      else
        victims.drop(next.block, next.reason);
      return ++named < count;
    });
    return named;
  }

  Reasons reasons_;
  uint32_t device_, host_;
  bool demotes_;
  uint32_t ahead_;
  BlockList idle_;                 // host blocks, longest idle first
  std::vector<uint32_t> leaving_;  // host blocks to which a copy was pending when last looked at
  std::vector<uint32_t> passed_;   // by block: the call in which make_room() came by it in its turn
  Leaves leaves_, picked_leaves_;  // named by this answer; picked for it
  std::vector<Leaving> picked_;
  uint32_t call_ = 0;
};

}  // namespace sl
