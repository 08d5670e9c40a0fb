// What leaves the cache: answers refused one by one, the fallback, failed steps, and the handover to a new
// policy.
#include <serveloop/reasons.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>

#include "rig.hpp"

namespace serveloop::kv::test {

namespace {
// Two branches below a common stem of 2 blocks, 3 and 2 blocks long, all idle; branch 0 was released first.
struct Branches : Rig {
  Branches() : Rig(small()) {
    bind(0, text(1, 5));
    bind(1, text(1, 2) + text(2, 2));
    prefill(0, 5);
    prefill(1, 4);
    left = table(0);
    right = table(1);
    take_block_events();
    cache.release(0, 0, 10);
    cache.release(1, 0, 11);
  }
  std::vector<sl_victim> victims(std::initializer_list<BlockId> blocks) const {
    std::vector<sl_victim> out;
    for (const BlockId id : blocks) out.push_back(victim(id));
    return out;
  }
  std::vector<BlockId> left, right;
};
}  // namespace

BOOST_AUTO_TEST_SUITE(eviction)

BOOST_AUTO_TEST_CASE(wrong_answers_are_refused_whole) {
  Branches rig;
  const auto check = [&](std::vector<sl_victim> victims, std::uint32_t need) {
    return rig.cache.check(victims, need);
  };
  const sl_victim good = rig.victim(rig.left[4]);
  BOOST_TEST(check({good}, 1) == SL_REASON_NONE);
  BOOST_TEST(check({good, {1, 64, SL_TIER_NONE, 0}}, 1) == SL_REASON_UNKNOWN_ID);
  BOOST_TEST(check({{good.key ^ 1, good.block, SL_TIER_NONE, 0}}, 1) == SL_REASON_STALE_ID);
  BOOST_TEST(check({{0, 60, SL_TIER_NONE, 0}}, 1) == SL_REASON_STALE_ID);  // a free block
  BOOST_TEST(check({{good.key, good.block, SL_TIER_DEVICE, 0}}, 1) == SL_REASON_BAD_NUMBER);
  BOOST_TEST(check({good, good}, 1) == SL_REASON_TWICE);
  BOOST_TEST(check(rig.victims({rig.left[3]}), 1) == SL_REASON_CACHED_CHILDREN);
  BOOST_TEST(check(rig.victims({rig.left[1], rig.left[2], rig.left[3], rig.left[4]}), 1) ==
             SL_REASON_CACHED_CHILDREN);
  BOOST_TEST(check({good}, 2) == SL_REASON_TOO_FEW);
  BOOST_TEST(check({good}, 8) == SL_REASON_NONE);  // there were not enough
  BOOST_TEST(check({}, 1) == SL_REASON_TOO_FEW);
  BOOST_TEST(check({}, 0) == SL_REASON_NONE);
  rig.cache.pin_prefix(0, 5, 12);
  BOOST_TEST(check({good}, 1) == SL_REASON_PINNED);
  KV_SOUND(rig);
}

// What an entry pinned is a hit once it runs: not before, not again, and not where the entry falls.
BOOST_AUTO_TEST_CASE(hits_count_when_their_entry_runs) {
  Branches rig;
  rig.take_block_events();
  const auto hits = [&] { return rig.block(rig.left[0]).hits; };
  const std::uint32_t before = hits();
  BOOST_TEST(rig.cache.pin_prefix(0, 5, 12) == 5u);
  BOOST_TEST(rig.take_block_events().empty());
  rig.cache.release(0, 0, 13);  // it fell
  BOOST_TEST(hits() == before);
  const auto fell = rig.take_block_events();
  BOOST_TEST(fell.size() == 5u);
  for (const sl_block_event& event : fell) BOOST_TEST(event.kind == SL_BLOCK_IDLE);
  rig.cache.count_hits(0);
  BOOST_TEST(rig.take_block_events().empty());
  BOOST_TEST(rig.cache.pin_prefix(0, 3, 14) == 3u);
  BOOST_TEST(rig.cache.pin_prefix(0, 5, 14) == 5u);
  rig.cache.count_hits(0);
  rig.cache.count_hits(0);
  BOOST_TEST(hits() == before + 1);
  const auto ran = rig.take_block_events();
  BOOST_TEST(ran.size() == 5u);
  for (std::uint32_t i = 0; i < ran.size(); ++i) {
    BOOST_TEST(ran[i].kind == SL_BLOCK_HIT);
    BOOST_TEST(ran[i].depth == i);
  }
}

BOOST_AUTO_TEST_CASE(a_parent_may_be_named_before_its_children) {
  Branches rig;
  auto victims = rig.victims({rig.left[2], rig.left[3], rig.right[3], rig.left[4]});
  for (sl_victim& victim : victims) victim.reason = SL_REASON_PLUGIN + 3;
  BOOST_TEST(rig.cache.check(victims, 4) == SL_REASON_NONE);
  BOOST_TEST(rig.cache.apply(victims).freed == 4u);
  BOOST_TEST(rig.free() == 61u);
  BOOST_TEST(rig.evictable() == 3u);
  const auto events = rig.take_block_events();
  BOOST_TEST(events.back().kind == SL_BLOCK_GONE);
  BOOST_TEST(events.back().reason == SL_REASON_PLUGIN + 3);
  BOOST_TEST(events.back().parent_key == victims[1].key);
  KV_SOUND(rig);
  BOOST_TEST(rig.cache.pin_prefix(0, 5, 12) == 2u);
  BOOST_TEST(rig.cache.pin_prefix(1, 5, 12) == 3u);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(unpins_are_told_leaf_first_and_the_fallback_takes_the_oldest) {
  Branches rig;
  const auto events = rig.take_block_events();
  std::vector<BlockId> idle;
  for (const sl_block_event& event : events)
    if (event.kind == SL_BLOCK_IDLE) idle.push_back(event.block);
  const std::vector<BlockId> expected = {rig.left[4],  rig.left[3],  rig.left[2], rig.right[3],
                                         rig.right[2], rig.right[1], rig.right[0]};
  BOOST_TEST(idle == expected, boost::test_tools::per_element());
  const auto victims = rig.cache.fallback_victims(5);
  for (std::size_t i = 0; i < 5; ++i) BOOST_TEST(victims[i].block == expected[i]);
  BOOST_TEST(rig.cache.check(victims, 5) == SL_REASON_NONE);
  BOOST_TEST(rig.cache.fallback_victims(100).size() == 7u);
}

BOOST_AUTO_TEST_CASE(a_failed_step_leaves_nothing_in_the_tree) {
  Rig rig(small());
  rig.bind(0, text(1, 5));
  rig.bind(1, text(1, 3) + text(2, 3));
  rig.prefill(0, 1);
  rig.cache.extend(0, 5);
  rig.cache.index_path(0, 5, 1, 2);
  rig.cache.seal(2);
  BOOST_TEST(rig.cache.pin_prefix(1, 6, 3) == 3u);  // built on step 2
  rig.cache.extend(1, 6);
  rig.cache.index_path(1, 6, 3, 3);
  rig.cache.seal(3);
  rig.cache.release(0, 0, 4);
  rig.cache.release(1, 0, 4);
  BOOST_TEST(rig.evictable() == 8u);
  rig.cache.failed(2);
  BOOST_TEST(rig.evictable() == 1u);
  BOOST_TEST(rig.free() == 63u);
  rig.cache.failed(3);
  const auto events = rig.take_block_events();
  const auto gone = [](const sl_block_event& event) { return event.kind == SL_BLOCK_GONE; };
  BOOST_TEST(std::count_if(events.begin(), events.end(), gone) == 7);
  for (const sl_block_event& event : events)
    BOOST_TEST(event.reason == (gone(event) ? SL_REASON_STEP_FAILED : SL_REASON_NONE));
  KV_IDLE(rig);
  BOOST_TEST(rig.cache.pin_prefix(1, 6, 5) == 1u);
}

BOOST_AUTO_TEST_CASE(a_block_given_away_while_being_filled_is_not_mistaken_for_its_successor) {
  Rig rig(small(4));
  rig.bind(0, text(1, 4));
  rig.cache.extend(0, 4);
  rig.cache.index_path(0, 4, 0, 1);
  rig.cache.seal(1);
  rig.cache.unbind(0);  // cancelled in flight
  const auto victims = rig.cache.fallback_victims(4);
  BOOST_TEST(rig.cache.apply(victims).freed == 4u);
  rig.bind(1, text(2, 4));
  rig.cache.extend(1, 4);
  rig.cache.index_path(1, 4, 0, 2);
  rig.cache.seal(2);
  rig.cache.filled(1);
  BOOST_TEST(rig.node(rig.cache.node_of(1)).filling == 4u);
  KV_SOUND(rig);
  rig.cache.filled(2);
  BOOST_TEST(rig.node(rig.cache.node_of(1)).filling == 0u);
  KV_SOUND(rig);
}

// What a policy learns from its events must be the truth: blocks it knows, and which of them are idle.
struct Picture {
  void read(const std::vector<sl_block_event>& events) {
    for (const sl_block_event& event : events) {
      const auto known = idle.find(event.key);
      if (event.kind == SL_BLOCK_INSERTED) {
        BOOST_TEST((known == idle.end()));
        idle[event.key] = false;
      } else {
        BOOST_TEST_REQUIRE((known != idle.end()));
        if (event.kind == SL_BLOCK_GONE) idle.erase(known);
        if (event.kind == SL_BLOCK_HIT) known->second = false;
        if (event.kind == SL_BLOCK_IDLE) known->second = true;
      }
    }
  }
  std::map<Key, bool> idle;
};

BOOST_AUTO_TEST_CASE(a_new_policy_learns_the_same_as_the_old_one) {
  for (const std::uint32_t slice : {1u, 2u, 3u, 100u}) {
    Rig rig(small());
    Picture old, next;
    for (Slot slot = 0; slot < 6; ++slot) {
      rig.bind(slot, text(slot / 2, 3) + text(10 + slot, 3));
      rig.prefill(slot, 6);
      if (slot % 2 == 0) rig.cache.release(slot, 0, 10 + slot);
    }
    old.read(rig.take_block_events());
    rig.cache.begin_handover();
    bool more = true;
    for (std::uint32_t step = 0; more || step < 8; ++step) {
      // Live events between slices: idle, hit, gone and inserted, of blocks told and not told yet.
      if (step == 0) rig.cache.release(1, 0, 20);
      if (step == 1) rig.cache.pin_prefix(4, 6, 21), rig.cache.count_hits(4);
      if (step == 2) rig.cache.apply(rig.cache.fallback_victims(4));
      if (step == 3) rig.prefill(0, 6);
      if (step == 4) rig.cache.unbind(3);
      if (more) more = rig.cache.hand_over(slice);
      old.read(rig.take_block_events());
      next.read(rig.cache.successor_events());
      rig.cache.successor_events().clear();
      KV_SOUND(rig);
    }
    BOOST_TEST((old.idle == next.idle));
    rig.cache.end_handover();
    rig.cache.release(5, 0, 30);
    BOOST_TEST(rig.cache.successor_events().empty());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::kv::test
