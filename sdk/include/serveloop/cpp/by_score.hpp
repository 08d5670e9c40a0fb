// An eviction policy that is a score: who has the lowest leaves first, of a path the last block first, dropped or demoted.
//
//   explicit Mine(const sl::Setup& setup) : by_score_(setup, {kDemoted, kMadeRoom}) {}
//   void note(const sl::EvictIn& in) {
//     by_score_.hear(in, [](const sl_block_event&, uint32_t) {}, [&](uint32_t block) { return in.blocks()[block].hits; });
//   }
//   void evict(const sl::EvictIn& in, sl::Victims& victims) {
//     note(in);
//     by_score_.answer(in, victims, [](uint32_t) { return kFewestHits; });
//   }
//
// Its manifest declares what TwoTiers asks for. O(log blocks) an event and a victim.
#pragma once

#include <serveloop/cpp/leaf_order.hpp>
#include <serveloop/cpp/two_tiers.hpp>

namespace sl {

template <class Score>
class ByScore {
 public:
  ByScore(const Setup& setup, TwoTiers::Reasons reasons)
      : order_(setup->blocks[SL_TIER_DEVICE]), tiers_(setup, reasons) {}

  // Takes in a call's events: of each device block heard(event, block), before the order is changed by it, and
  // score_of(block) when it goes idle.
  template <class Heard, class ScoreOf>
  void hear(const EvictIn& in, Heard&& heard, ScoreOf&& score_of) {
    for (const sl_block_event& event : in.events()) {
      const uint32_t block = tiers_.hear(event);
      if (block == SL_NONE) continue;
      heard(event, block);
      order_.hear(in, event, block, [&] { return score_of(block); });
    }
  }
  // `reason_of(block)`: of one that leaves for good.
  template <class ReasonOf>
  void answer(const EvictIn& in, Victims& victims, ReasonOf&& reason_of) {
    order_.start();
    tiers_.answer(in, victims, [&](const Leaves& leaves) {
      const uint32_t block = order_.next(in, leaves);
      return block == SL_NONE ? Leaving{} : Leaving{block, reason_of(block)};
    });
  }

  bool contains(uint32_t block) const { return order_.contains(block); }  // it is idle
  const Score& score(uint32_t block) const { return order_.score(block); }
  void rescore(uint32_t block, const Score& score) { order_.rescore(block, score); }

 private:
  LeafOrder<Score> order_;
  TwoTiers tiers_;
};

}  // namespace sl
