// Cached blocks that go to host memory, and what becomes of them there.
#include <serveloop/reasons.h>

#include <boost/test/unit_test.hpp>
#include <map>

#include "rig.hpp"

namespace serveloop::kv::test {

namespace {
constexpr std::uint32_t kDevice = 64;
constexpr BlockId kFirstHost = kDevice;

// A path of 5 blocks, idle; and a branch of 2 below its second block, idle.
struct Idle : Rig {
  explicit Idle(std::uint32_t host_blocks = 16) : Rig(small(kDevice, 8, host_blocks)) {
    bind(0, text(1, 5));
    bind(1, text(1, 2) + text(2, 2));
    prefill(0, 5);
    prefill(1, 4);
    path = table(0);
    branch = table(1);
    cache.release(0, 0, now);
    cache.release(1, 0, now);
    take_block_events();
  }
  Evicted demote(std::initializer_list<BlockId> blocks) {
    std::vector<sl_victim> victims;
    for (const BlockId id : blocks) victims.push_back(demotion(id));
    return apply(victims);
  }
  Evicted apply(const std::vector<sl_victim>& victims) {
    BOOST_TEST(cache.check(victims, 0) == SL_REASON_NONE);
    const Evicted done = cache.apply(victims);
    KV_SOUND(*this);
    return done;
  }
  const sl_node_row& node_at(Slot slot) const { return node(cache.node_of(slot)); }
  std::vector<BlockId> path, branch;
};
}  // namespace

BOOST_AUTO_TEST_SUITE(demotion)

BOOST_AUTO_TEST_CASE(a_demoted_block_is_in_the_host_at_once_and_free_when_its_copy_ended) {
  Idle rig;
  const std::uint32_t free = rig.free();
  const sl_block_row before = rig.block(rig.path[4]);
  const Evicted done = rig.demote({rig.path[4]});
  BOOST_TEST(done.freed == 0u);
  BOOST_TEST(done.demoted == 1u);
  BOOST_TEST(rig.free() == free);
  BOOST_TEST(rig.cache.tier(SL_TIER_DEVICE).in_transit == 1u);
  BOOST_TEST(rig.host().in_transit == 1u);
  BOOST_TEST(rig.host().evictable == 0u);
  BOOST_TEST(rig.node_at(0).device_blocks == 2u);
  BOOST_TEST(rig.node_at(0).host_blocks == 1u);
  const sl_block_row& row = rig.block(kFirstHost);
  BOOST_TEST(row.key == before.key);
  BOOST_TEST(row.tier == SL_TIER_HOST);
  BOOST_TEST(row.parent == rig.path[3]);
  BOOST_TEST(row.refs == 1u);
  BOOST_TEST(rig.block(rig.path[3]).host_children == 1u);
  BOOST_TEST(rig.block(rig.path[3]).cached_children == 0u);
  const auto copies = rig.take_copies();
  BOOST_TEST_REQUIRE(copies.size() == 1u);
  BOOST_TEST((copies[0] == Copy{rig.path[4], kFirstHost, SL_TIER_DEVICE, SL_TIER_HOST}));
  const auto events = rig.take_block_events();
  BOOST_TEST_REQUIRE(events.size() == 1u);
  BOOST_TEST(events[0].kind == SL_BLOCK_MOVED);
  BOOST_TEST(events[0].tier == SL_TIER_HOST);
  BOOST_TEST(events[0].block == kFirstHost);
  BOOST_TEST(events[0].from == rig.path[4]);

  rig.end_copies();
  BOOST_TEST(rig.free() == free + 1);
  BOOST_TEST(rig.host().evictable == 1u);
  BOOST_TEST(rig.host().in_transit == 0u);
  const auto ended = rig.take_block_events();
  BOOST_TEST_REQUIRE(ended.size() == 1u);
  BOOST_TEST(ended[0].kind == SL_BLOCK_IDLE);
  BOOST_TEST(ended[0].block == kFirstHost);
  BOOST_TEST(rig.cache.pin_prefix(0, 5, 9) == 4u);  // a hit on the device ends there
  KV_TOLD(rig, );
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(a_whole_tree_moves_and_keeps_its_links) {
  Idle rig;
  const Evicted done = rig.demote({rig.path[0], rig.path[1], rig.path[2], rig.branch[3], rig.path[3],
                                   rig.path[4], rig.branch[2]});  // parents may be named before children
  BOOST_TEST(done.demoted == 7u);
  rig.end_copies();
  KV_SOUND(rig);
  BOOST_TEST(rig.free() == kDevice);
  BOOST_TEST(rig.host().evictable == 7u);
  BOOST_TEST(rig.node(rig.node_at(0).parent).host_blocks == 2u);
  rig.cache.unbind(0);
  rig.cache.unbind(1);
  KV_IDLE(rig);
}

BOOST_AUTO_TEST_CASE(where_the_host_is_full_the_deepest_are_dropped) {
  Idle rig(2);
  std::vector<sl_victim> victims;
  for (std::uint32_t i = 2; i < 5; ++i) victims.push_back(rig.demotion(rig.path[i]));
  const Key deepest = victims[2].key;
  const Evicted done = rig.apply(victims);
  BOOST_TEST(done.demoted == 2u);
  BOOST_TEST(done.freed == 1u);
  BOOST_TEST(done.not_demoted == 1u);
  const auto events = rig.take_block_events();
  BOOST_TEST(events[0].kind == SL_BLOCK_GONE);
  BOOST_TEST(events[0].key == deepest);
  BOOST_TEST(events[0].reason == SL_REASON_HOST_FULL);
  rig.end_copies();

  // What the same answer drops in the host makes room.
  const BlockId host_leaf = rig.block(kFirstHost).cached_children == 0 ? kFirstHost : kFirstHost + 1;
  const Evicted next = rig.apply({rig.demotion(rig.branch[3]), rig.victim(host_leaf)});
  BOOST_TEST(next.demoted == 1u);
  BOOST_TEST(next.host_dropped == 1u);
  BOOST_TEST(next.not_demoted == 0u);
}

BOOST_AUTO_TEST_CASE(below_a_dropped_block_nothing_is_demoted) {
  Idle rig;
  const Evicted done =
      rig.apply({rig.demotion(rig.path[4]), rig.victim(rig.path[3]), rig.demotion(rig.path[2])});
  BOOST_TEST(done.freed == 2u);
  BOOST_TEST(done.demoted == 1u);
  BOOST_TEST(done.not_demoted == 1u);
  BOOST_TEST(rig.take_copies().size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_a_step_still_writes_is_dropped) {
  Rig rig(small(kDevice, 8, 16));
  rig.bind(0, text(1, 2));
  rig.cache.extend(0, 2);
  rig.cache.index_path(0, 2, 0, 1);
  rig.cache.seal(1);
  const std::vector<BlockId> table = rig.table(0);
  rig.cache.unbind(0);
  const std::vector<sl_victim> victims = {rig.demotion(table[1])};
  const Evicted done = rig.cache.apply(victims);
  BOOST_TEST(done.freed == 1u);
  BOOST_TEST(done.not_demoted == 1u);
  BOOST_TEST(rig.take_block_events().back().reason == SL_REASON_STILL_FILLING);
  rig.cache.filled(1);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(without_a_host_tier_a_demotion_is_a_drop) {
  Idle rig(0);
  const Evicted done = rig.demote({rig.path[4]});
  BOOST_TEST(done.freed == 1u);
  BOOST_TEST(rig.cache.copies_pending() == 0u);
  BOOST_TEST(rig.host().total == 0u);
}

BOOST_AUTO_TEST_CASE(wrong_answers_about_host_blocks_are_refused) {
  Idle rig;
  rig.demote({rig.path[3], rig.path[4]});
  const BlockId leaf = rig.block(kFirstHost).cached_children == 0 ? kFirstHost : kFirstHost + 1;
  const BlockId above = rig.block(leaf).parent;
  const auto check = [&](std::vector<sl_victim> victims, std::uint32_t need) {
    return rig.cache.check(victims, need);
  };
  BOOST_TEST(check({rig.victim(leaf)}, 0) == SL_REASON_PINNED);  // its copy is pending
  rig.end_copies();
  BOOST_TEST(check({rig.victim(leaf)}, 0) == SL_REASON_NONE);
  BOOST_TEST(check({rig.demotion(leaf)}, 0) == SL_REASON_BAD_NUMBER);
  BOOST_TEST(check({rig.victim(above)}, 0) == SL_REASON_CACHED_CHILDREN);
  BOOST_TEST(check({rig.victim(above), rig.victim(leaf)}, 0) == SL_REASON_NONE);
  BOOST_TEST(check({rig.victim(leaf)}, 1) == SL_REASON_TOO_FEW);  // it frees nothing on the device
  BOOST_TEST(check({rig.victim(rig.path[2]), rig.victim(leaf)}, 1) ==
             SL_REASON_NONE);  // not a child in its tier
  BOOST_TEST(check({{1, kDevice + 16, SL_TIER_NONE, 0}}, 0) == SL_REASON_UNKNOWN_ID);
  const std::vector<sl_victim> one{rig.victim(leaf)}, both{rig.victim(above), rig.victim(leaf)};
  BOOST_TEST(rig.cache.check(one, 0, 2) == SL_REASON_TOO_FEW);
  BOOST_TEST(rig.cache.check(both, 0, 2) == SL_REASON_NONE);
  BOOST_TEST(rig.cache.check(both, 0, 3) == SL_REASON_NONE);  // there are no more
}

// Brought in for a sequence that ended before: its copies, and so the host blocks' last use, end from the top down.
BOOST_AUTO_TEST_CASE(the_fallback_drops_host_blocks_leaf_first) {
  Idle rig;
  rig.demote({rig.path[2], rig.path[3], rig.path[4]});
  rig.end_copies();
  rig.bind(2, text(1, 5));
  rig.cache.pin_prefix(2, 5, rig.now);
  BOOST_TEST(rig.cache.bring_in(2, 5, rig.now) == 3u);
  rig.cache.unbind(2);
  rig.end_copies();
  KV_SOUND(rig);
  const auto depths = [&](std::uint32_t need) {
    const std::vector<sl_victim> victims = rig.cache.fallback_victims(0, need);
    BOOST_TEST(rig.cache.check(victims, 0, need) == SL_REASON_NONE);
    std::vector<std::uint32_t> found;
    for (const sl_victim& victim : victims) found.push_back(rig.block(victim.block).depth);
    return found;
  };
  using Depths = std::vector<std::uint32_t>;
  BOOST_TEST(depths(1) == Depths{4}, boost::test_tools::per_element());
  BOOST_TEST(depths(2) == (Depths{4, 3}), boost::test_tools::per_element());
  BOOST_TEST(depths(9) == (Depths{4, 3, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(host_blocks_below_a_dropped_device_block_go_with_it) {
  Idle rig;
  rig.demote({rig.path[2], rig.path[3], rig.path[4], rig.branch[3]});
  rig.end_copies(3);  // one is pending still
  rig.take_block_events();
  const Evicted done = rig.apply({rig.victim(rig.path[1]), rig.victim(rig.branch[2])});
  BOOST_TEST(done.freed == 2u);
  BOOST_TEST(done.host_dropped == 4u);
  BOOST_TEST(rig.take_block_events().size() == 6u);
  BOOST_TEST(rig.host().free == 15u);
  BOOST_TEST(rig.host().in_transit == 1u);
  rig.end_copies();
  BOOST_TEST(rig.host().free == 16u);
  rig.cache.unbind(0);
  rig.cache.unbind(1);
  KV_IDLE(rig);
}

BOOST_AUTO_TEST_CASE(a_block_computed_again_takes_the_place_of_the_hosts) {
  Idle rig;
  rig.demote({rig.path[2], rig.path[3], rig.path[4]});
  const BlockId third = kFirstHost + 2;  // leaf first
  rig.end_copies(2);                     // the third's is pending
  BOOST_TEST(rig.block(third).depth == 2u);
  BOOST_TEST(rig.block(third).refs == 1u);
  rig.take_block_events();
  BOOST_TEST(rig.prefill(0, 3) == 2u);
  const BlockId again = rig.table(0)[2];
  BOOST_TEST(rig.node_at(0).device_blocks == 1u);
  BOOST_TEST(rig.node_at(0).host_blocks == 2u);
  BOOST_TEST(rig.block(again).host_children == 1u);
  const auto events = rig.take_block_events();
  BOOST_TEST(events.back().kind == SL_BLOCK_MOVED);
  BOOST_TEST(events.back().tier == SL_TIER_DEVICE);
  BOOST_TEST(events.back().from == third);
  BOOST_TEST(events.back().block == again);
  KV_SOUND(rig);
  const std::uint32_t free = rig.host().free;
  rig.end_copies(1, {0});  // nobody needs it: that it failed changes nothing
  BOOST_TEST(rig.host().free == free + 1);
  BOOST_TEST(rig.node_at(0).host_blocks == 2u);
  BOOST_TEST(rig.prefill(0, 5) == 3u);  // and the rest likewise, with no copy pending
  BOOST_TEST(rig.host().free == 16u);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(a_failed_copy_takes_what_is_below_it) {
  Idle rig;
  rig.demote({rig.path[2], rig.path[3], rig.path[4]});  // copies leaf first
  rig.take_block_events();
  rig.end_copies(3, {1});
  BOOST_TEST(rig.free() == kDevice - 4);
  BOOST_TEST(rig.host().free == 15u);
  BOOST_TEST(rig.node_at(0).host_blocks == 1u);
  std::uint32_t gone = 0;
  for (const sl_block_event& event : rig.take_block_events())
    gone += event.kind == SL_BLOCK_GONE && event.reason == SL_REASON_COPY_FAILED ? 1 : 0;
  BOOST_TEST(gone == 2u);
  KV_SOUND(rig);
}

// The last block of a node moves: the first blocks of its children are below another id now.
BOOST_AUTO_TEST_CASE(children_follow_where_a_branch_moves) {
  Idle rig;
  rig.demote({rig.path[2], rig.path[3], rig.path[4], rig.branch[2], rig.branch[3]});
  rig.demote({rig.path[1]});
  rig.end_copies();
  const BlockId fork = kFirstHost + 5;
  BOOST_TEST(rig.block(fork).cached_children == 2u);
  BOOST_TEST(rig.block(fork).parent == rig.path[0]);
  BOOST_TEST(rig.cache.bring_in(1, 2, 20) == 1u);
  rig.end_copies();
  const BlockId back = rig.table(1)[1];
  BOOST_TEST(rig.block(back).host_children == 2u);
  KV_SOUND(rig);
}

// A split and a merge leave both tiers where they are.
BOOST_AUTO_TEST_CASE(a_split_parts_both_tiers) {
  Idle rig;
  rig.demote({rig.path[3], rig.path[4]});
  rig.bind(2, text(1, 4) + text(3, 1));
  KV_SOUND(rig);
  const sl_node_row& upper = rig.node(rig.node_at(0).parent);
  BOOST_TEST(upper.device_blocks == 1u);
  BOOST_TEST(upper.host_blocks == 1u);
  BOOST_TEST(rig.node_at(0).host_blocks == 1u);
  rig.cache.unbind(0);
  rig.cache.unbind(2);
  rig.end_copies();
  KV_SOUND(rig);
  rig.bind(3, text(1, 5));
  BOOST_TEST(rig.cache.plan_bring_in(3, 5).need == 2u);
}

// What a policy learns from its events, by key: which blocks are cached, where, and which of them are idle.
struct TwoTiers {
  void read(const std::vector<sl_block_event>& events) {
    for (const sl_block_event& event : events) {
      const auto known = at.find(event.key);
      BOOST_TEST_REQUIRE((event.kind == SL_BLOCK_INSERTED) == (known == at.end()));
      if (event.kind == SL_BLOCK_GONE) {
        at.erase(known);
        continue;
      }
      if (event.kind == SL_BLOCK_MOVED) BOOST_TEST(known->second.first == event.from);
      if (event.kind != SL_BLOCK_INSERTED && event.kind != SL_BLOCK_MOVED)
        BOOST_TEST(known->second.first == event.block);
      at[event.key] = {event.block, event.kind == SL_BLOCK_IDLE};
    }
  }
  std::map<Key, std::pair<BlockId, bool>> at;  // block, idle
};

BOOST_AUTO_TEST_CASE(a_new_policy_learns_of_both_tiers) {
  for (const std::uint32_t slice : {1u, 2u, 3u, 100u}) {
    Rig rig(small(kDevice, 8, 16));
    TwoTiers old, next;
    for (Slot slot = 0; slot < 6; ++slot) {
      rig.bind(slot, text(slot / 2, 3) + text(10 + slot, 3));
      rig.prefill(slot, 6);
      if (slot % 2 == 0) rig.cache.release(slot, 0, 10 + slot);
    }
    const auto demote = [&](std::uint32_t count) {
      std::vector<sl_victim> victims = rig.cache.fallback_victims(count);
      for (sl_victim& victim : victims) victim.to = SL_TIER_HOST;
      rig.cache.apply(victims);
    };
    demote(2);
    rig.end_copies();
    old.read(rig.take_block_events());
    rig.cache.begin_handover();
    bool more = true;
    for (std::uint32_t step = 0; more || step < 8; ++step) {
      if (step == 0) rig.cache.release(1, 0, 20);
      if (step == 1) demote(3);
      if (step == 2) rig.end_copies();
      if (step == 3) BOOST_TEST(rig.cache.bring_in(0, 6, 21) == 3u);
      if (step == 4) rig.end_copies();
      if (step == 5) rig.prefill(2, 6);
      if (step == 6) rig.cache.unbind(3);
      if (more) more = rig.cache.hand_over(slice);
      old.read(rig.take_block_events());
      next.read(rig.cache.successor_events());
      rig.cache.successor_events().clear();
      KV_SOUND(rig);
    }
    BOOST_TEST((old.at == next.at));
    rig.cache.end_handover();
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::kv::test
