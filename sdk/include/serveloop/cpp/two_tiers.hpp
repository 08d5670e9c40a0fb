// Where an eviction policy's victims go: its lists say who leaves, this says whether out of the cache or to host memory.
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
// Without a host tier the victims are the lists' first, dropped.
#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <serveloop/cpp/eviction.hpp>

namespace sl {

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
        marks_(host_ > 0 ? device_ + host_ : 0) {}

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
    ++call_;
    const uint32_t need = in->need[SL_TIER_DEVICE];
    const uint32_t demotions = make_room(in, victims, wanted(in));
    const uint32_t childless = name(in, victims, lists, need, kDropChildless);
    name(in, victims, lists, need - childless, kDrop);
    name(in, victims, lists, demotions, kDemote);
  }

 private:
  enum How { kDropChildless, kDrop, kDemote };
  // Blocks passed over at most to find some with nothing below them in the host.
  static constexpr uint32_t kLook = 256;
  // Steps within which a demotion is to have freed its block.
  static constexpr double kAheadSteps = 4;
  struct Mark {
    uint32_t call = 0, children = 0;     // of its cached children in its tier, those named in that call
    bool named = false, passed = false;  // passed: looked at in its turn
  };

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
      if (!evictable(in, block, SL_TIER_HOST)) {
        idle_.remove(block);
        continue;
      }
      mark(block).passed = true;  // one that was idle before those below it follows the last of them
      for (uint32_t at = block; dropped < wanted && mark(at).passed && leaves(in, at);) {
        victims.drop(at, reasons_.made_room);
        ++dropped;
        const uint32_t above = in.blocks()[at].parent;
        if (above != SL_NONE) at = above;
      }
    }
    return std::min(demotions, free + dropped - std::min(free + dropped, need));
  }

  uint32_t name(const EvictIn& in, Victims& victims, std::initializer_list<VictimList> lists, uint32_t count,
                How how) {
    uint32_t named = 0, looked = 0;
    for (const auto& [list, reason] : lists)
      for (uint32_t block = list->front(), next; block != list->end() && named < count; block = next) {
        next = list->after(block);
        if (!evictable(in, block, SL_TIER_DEVICE)) {
          list->remove(block);  // its hit was left out of a full event buffer; it will go idle again
          continue;
        }
        if (how == kDropChildless && ++looked > count + kLook) return named;
        if ((how == kDropChildless && in.blocks()[block].host_children > 0) || !leaves(in, block)) continue;
        ++named;
        if (how == kDemote)
          victims.demote(block, reasons_.demoted);
        else
          victims.drop(block, reason);
      }
    return named;
  }

  static bool evictable(const EvictIn& in, uint32_t block, uint16_t tier) {
    const sl_block_row& row = in.blocks()[block];
    return row.refs == 0 && row.tier == tier && (row.flags & SL_BLOCK_FLAG_INDEXED) != 0;
  }
  Mark& mark(uint32_t block) {
    Mark& mark = marks_[block];
    if (mark.call != call_) {
      mark = Mark{};
      mark.call = call_;
    }
    return mark;
  }
  // Marks it as named, where it is not yet and all its cached children are.
  bool leaves(const EvictIn& in, uint32_t block) {
    const sl_block_row& row = in.blocks()[block];
    if (mark(block).named || mark(block).children != row.cached_children) return false;
    mark(block).named = true;
    if (row.parent != SL_NONE && in.blocks()[row.parent].tier == row.tier) ++mark(row.parent).children;
    return true;
  }

  Reasons reasons_;
  uint32_t device_, host_;
  bool demotes_;
  uint32_t ahead_;
  BlockList idle_;                 // host blocks, longest idle first
  std::vector<uint32_t> leaving_;  // host blocks to which a copy was pending when last looked at
  std::vector<Mark> marks_;
  uint32_t call_ = 0;
};

}  // namespace sl
