// A sequence's blocks go to host memory and come back.
#include <serveloop/reasons.h>

#include <boost/test/unit_test.hpp>

#include "rig.hpp"

namespace serveloop::kv::test {

namespace {
constexpr std::uint32_t kDevice = 64, kHost = 16;

// Sequences 0 and 1 share 2 blocks; 0 has 3 more of its own prompt in the tree, and half of a private one.
struct Pair : Rig {
  explicit Pair(std::uint32_t host_blocks = kHost, bool transient = false)
      : Rig(small(kDevice, 8, host_blocks)) {
    bind(0, text(1, 5), kSalt, transient);
    bind(1, text(1, 2) + text(2, 2), kSalt, transient);
    prefill(0, 5);
    prefill(1, 4);
    cache.extend(0, 6);
    mine = table(0);
    cache.edits().clear();
    take_block_events();
  }
  std::uint32_t swap(std::uint32_t blocks = 6) {
    const std::uint32_t moved = cache.swap_out(0, blocks, ++now);
    KV_SOUND(*this);
    return moved;
  }
  std::vector<BlockId> mine;
};
}  // namespace

BOOST_AUTO_TEST_SUITE(swap)

BOOST_AUTO_TEST_CASE(what_nobody_else_holds_moves_and_comes_back) {
  Pair rig;
  BOOST_TEST(rig.cache.swappable(0, 6) == 4u);
  BOOST_TEST(rig.swap() == 4u);
  BOOST_TEST(rig.table(0).empty());
  BOOST_TEST(rig.cache.host_copy(0) == 4u);
  BOOST_TEST(rig.block(rig.mine[1]).refs == 1u);  // the shared prefix stays
  BOOST_TEST(rig.cache.tier(SL_TIER_DEVICE).in_transit == 4u);
  const auto copies = rig.take_copies();
  BOOST_TEST_REQUIRE(copies.size() == 4u);
  for (std::uint32_t i = 0; i < 4; ++i) BOOST_TEST(copies[i].from == rig.mine[5 - i]);  // leaf first
  std::uint32_t moved = 0;
  for (const sl_block_event& event : rig.take_block_events()) moved += event.kind == SL_BLOCK_MOVED ? 1 : 0;
  BOOST_TEST(moved == 3u);  // the private one is nobody's business
  rig.end_copies(3);
  KV_TOLD(rig, );
  BOOST_TEST(rig.cache.plan_bring_in(0, 5).pending);
  rig.end_copies(1);
  KV_TOLD(rig, {0, Transfer::out});
  BOOST_TEST(rig.host().evictable == 0u);  // held
  KV_SOUND(rig);

  const BringIn plan = rig.cache.plan_bring_in(0, 5);
  BOOST_TEST(plan.need == 4u);
  BOOST_TEST(plan.reach == 6u);
  BOOST_TEST(plan.whole);
  BOOST_TEST(!plan.pending);
  BOOST_TEST(rig.cache.bring_in(0, 5, 20) == 4u);
  BOOST_TEST(rig.cache.host_copy(0) == 0u);
  KV_SOUND(rig);
  BOOST_TEST(rig.table(0).size() == 6u);
  BOOST_TEST(rig.cache.indexed(0) == 2u);
  BOOST_TEST(rig.cache.edits().size() == 6u);
  BOOST_TEST(rig.cache.frees(0, 0) == 0u);  // nothing at once: two are shared, four arrive
  const auto back = rig.take_copies();
  BOOST_TEST_REQUIRE(back.size() == 4u);
  for (std::uint32_t i = 0; i < 4; ++i) {
    BOOST_TEST(back[i].from == copies[3 - i].to);  // in the order of the table
    BOOST_TEST(back[i].to == rig.table(0)[2 + i]);
    BOOST_TEST(back[i].to_tier == SL_TIER_DEVICE);
  }
  rig.end_copies(2);
  KV_SOUND(rig);
  BOOST_TEST(rig.cache.indexed(0) == 4u);
  KV_TOLD(rig, );
  rig.end_copies(2);
  KV_TOLD(rig, {0, Transfer::in});
  BOOST_TEST(rig.cache.indexed(0) == 5u);  // the last is private, as before
  BOOST_TEST(rig.host().free == kHost);
  BOOST_TEST(rig.cache.frees(0, 0) == 4u);
  KV_SOUND(rig);
  rig.cache.unbind(0);
  rig.cache.unbind(1);
  KV_IDLE(rig);
}

BOOST_AUTO_TEST_CASE(blocks_behind_the_confirmed_ones_are_dropped) {
  Pair rig;
  BOOST_TEST(rig.swap(4) == 2u);
  BOOST_TEST(rig.node(rig.cache.node_of(0)).host_blocks == 2u);
  BOOST_TEST(rig.node(rig.cache.node_of(0)).device_blocks == 0u);
  rig.end_copies();
  BOOST_TEST(rig.free() == kDevice - 4);
  BOOST_TEST(rig.cache.plan_bring_in(0, 5).reach == 4u);
}

BOOST_AUTO_TEST_CASE(what_others_have_below_stays) {
  Pair rig;
  rig.bind(2, text(1, 4) + text(5, 1));  // its branch leaves after block 3 and is cached, used by nobody
  rig.prefill(2, 5);
  rig.cache.release(2, 0, 9);
  BOOST_TEST(rig.cache.swappable(0, 6) == 2u);
  BOOST_TEST(rig.swap() == 2u);
  rig.end_copies();
  BOOST_TEST(rig.cache.plan_bring_in(0, 5).reach == 6u);
}

// A hit in the step in flight counts as computed, and is not there yet.
BOOST_AUTO_TEST_CASE(what_a_step_still_writes_does_not_move) {
  Rig rig(small(kDevice, 8, kHost));
  rig.bind(0, text(1, 3));
  rig.bind(1, text(1, 3));
  rig.prefill(0, 1);
  rig.cache.extend(0, 3);
  rig.cache.index_path(0, 3, 1, 2);
  BOOST_TEST(rig.cache.pin_prefix(1, 3, 2) == 3u);
  rig.cache.seal(2);
  rig.cache.unbind(0);
  BOOST_TEST(rig.cache.swappable(1, 3) == 1u);
  BOOST_TEST(rig.cache.swap_out(1, 3, 3) == 1u);
  KV_SOUND(rig);
  rig.cache.failed(2);
  rig.end_copies();
  BOOST_TEST(rig.cache.plan_bring_in(1, 3).reach == 1u);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(a_full_host_moves_nothing) {
  Pair rig(3);
  rig.take_block_events();
  BOOST_TEST(rig.cache.swappable(0, 6) == 4u);
  BOOST_TEST(rig.swap() == 0u);
  BOOST_TEST(rig.table(0) == rig.mine, boost::test_tools::per_element());
  BOOST_TEST(rig.take_block_events().empty());
  BOOST_TEST(rig.host().free == 3u);
  Pair none(0);
  BOOST_TEST(none.swap() == 0u);
}

BOOST_AUTO_TEST_CASE(a_prefix_in_the_host_is_brought_for_whoever_has_it) {
  Pair rig;
  rig.swap();
  rig.end_copies();
  rig.take_transfers();
  rig.bind(2, text(1, 5));  // held by 0, and yet of use
  BOOST_TEST(rig.cache.pin_prefix(2, 4, 20) == 2u);
  BOOST_TEST(rig.cache.plan_bring_in(2, 4).need == 2u);
  BOOST_TEST(rig.cache.bring_in(2, 4, 20) == 2u);
  KV_SOUND(rig);
  BOOST_TEST(rig.cache.plan_bring_in(0, 5).pending);
  rig.end_copies();
  KV_TOLD(rig, {2, Transfer::in});
  BOOST_TEST(rig.cache.host_copy(0) == 2u);  // what went to the device is there for 0 as well
  BOOST_TEST(rig.table(2).size() == 4u);
  BOOST_TEST(rig.cache.indexed(2) == 4u);
  const BringIn plan = rig.cache.plan_bring_in(0, 5);
  BOOST_TEST(plan.need == 2u);
  BOOST_TEST(plan.reach == 6u);
  rig.take_block_events();
  rig.cache.count_hits(2);
  BOOST_TEST(rig.take_block_events().size() == 4u);  // those brought are hits as those pinned
  BOOST_TEST(rig.cache.bring_in(0, 5, 21) == 2u);
  rig.end_copies();
  KV_TOLD(rig, {0, Transfer::in});
  BOOST_TEST(rig.table(0)[3] == rig.table(2)[3]);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(blocks_computed_again_meanwhile_are_taken) {
  Pair rig;
  rig.swap();
  rig.bind(2, text(1, 5));
  BOOST_TEST(rig.prefill(2, 5) == 2u);  // the copies are pending still
  KV_SOUND(rig);
  BOOST_TEST(rig.cache.host_copy(0) == 1u);
  KV_TOLD(rig, );
  rig.end_copies();
  KV_TOLD(rig, {0, Transfer::out});
  const BringIn plan = rig.cache.plan_bring_in(0, 5);
  BOOST_TEST(plan.need == 1u);
  BOOST_TEST(plan.reach == 6u);
  BOOST_TEST(rig.cache.bring_in(0, 5, 20) == 1u);
  BOOST_TEST(rig.table(0)[4] == rig.table(2)[4]);
  BOOST_TEST(rig.cache.indexed(0) == 5u);
  rig.end_copies();
  KV_SOUND(rig);
}

// Without its private block, so that all it waits for is replaced: it need not wait any more.
BOOST_AUTO_TEST_CASE(a_sequence_whose_copies_nobody_needs_is_told) {
  Pair rig;
  rig.swap(5);
  rig.bind(2, text(1, 5));
  rig.prefill(2, 5);
  KV_TOLD(rig, {0, Transfer::out});
  BOOST_TEST(rig.cache.host_copy(0) == 0u);
  const BringIn plan = rig.cache.plan_bring_in(0, 5);
  BOOST_TEST(plan.need == 0u);
  BOOST_TEST(plan.whole);
  BOOST_TEST(rig.cache.bring_in(0, 5, 20) == 0u);
  BOOST_TEST(rig.table(0).size() == 5u);
  rig.end_copies();
  KV_TOLD(rig, );
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(a_block_that_arrives_gives_way_to_the_trees) {
  Pair rig;
  rig.swap();
  rig.end_copies();
  rig.bind(2, text(1, 5));
  BOOST_TEST(rig.cache.bring_in(0, 5, 20) == 4u);
  BOOST_TEST(rig.prefill(2, 3) == 2u);  // computes again what is on its way
  const std::uint32_t free = rig.free();
  rig.cache.edits().clear();
  rig.end_copies(1);
  BOOST_TEST(rig.free() == free + 1);
  BOOST_TEST(rig.table(0)[2] == rig.table(2)[2]);
  BOOST_TEST(rig.cache.edits().size() == 1u);
  KV_SOUND(rig);
  rig.end_copies();
  BOOST_TEST(rig.cache.indexed(0) == 5u);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(a_copy_below_a_gap_is_of_no_use) {
  Pair rig;
  rig.swap();
  rig.end_copies();
  rig.cache.unbind(1);
  rig.take_transfers();
  // The tree tells of the gap where it has the host blocks: they leave with what is above them.
  const std::vector<sl_victim> prefix = rig.cache.fallback_victims(64);
  BOOST_TEST(rig.cache.apply(prefix).host_dropped == 3u);
  KV_TOLD(rig, {0, Transfer::lost});
  BOOST_TEST(rig.host().free == kHost);
  KV_IDLE(rig);

  // Where they are all private, the plan tells.
  rig.bind(3, text(7, 2));
  rig.bind(4, text(7, 2));
  rig.prefill(3, 2);
  rig.prefill(4, 2);
  rig.cache.extend(3, 3);
  BOOST_TEST(rig.cache.swap_out(3, 3, 30) == 1u);
  rig.end_copies();
  rig.cache.unbind(4);
  rig.cache.apply(rig.cache.fallback_victims(1));
  KV_TOLD(rig, {3, Transfer::out});
  BOOST_TEST(rig.cache.pin_prefix(3, 2, 31) == 1u);
  BOOST_TEST(!rig.cache.plan_bring_in(3, 2).whole);
  rig.cache.drop_copy(3, 32);
  BOOST_TEST(rig.cache.plan_bring_in(3, 2).whole);
  BOOST_TEST(rig.host().free == kHost);
  KV_TOLD(rig, );
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(a_copy_given_up_stays_cached) {
  Pair rig;
  rig.swap();
  rig.end_copies(1);
  rig.cache.drop_copy(0, 20);
  KV_SOUND(rig);
  rig.end_copies();
  KV_TOLD(rig, );
  BOOST_TEST(rig.host().evictable == 3u);
  BOOST_TEST(rig.host().free == kHost - 3);
  KV_SOUND(rig);
}

// A demoted prefix above a held copy: the copy's blocks are its children, and it comes back with them.
BOOST_AUTO_TEST_CASE(a_prefix_demoted_above_a_copy_is_brought_with_it) {
  Pair rig;
  rig.swap();
  rig.cache.unbind(1);
  std::vector<sl_victim> all = rig.cache.fallback_victims(64);
  for (sl_victim& victim : all) victim.to = SL_TIER_HOST;
  BOOST_TEST(rig.cache.apply(all).demoted == 4u);
  rig.end_copies();
  rig.take_transfers();
  BOOST_TEST(rig.free() == kDevice);
  BOOST_TEST(rig.cache.plan_bring_in(0, 5).need == 6u);
  const BlockId above = rig.block(rig.take_copies()[1].to).parent;  // of the copy's last indexed block
  const std::vector<sl_victim> held = {rig.victim(above)};
  BOOST_TEST(rig.cache.check(held, 0) == SL_REASON_PINNED);
  BOOST_TEST(rig.cache.bring_in(0, 5, 20) == 6u);
  rig.end_copies();
  KV_TOLD(rig, {0, Transfer::in});
  BOOST_TEST(rig.cache.indexed(0) == 5u);
  KV_SOUND(rig);
}

// Transient: what is held stays, in either tier, and goes with its last user.
BOOST_AUTO_TEST_CASE(transient_blocks_stay_while_a_swapped_sequence_needs_them) {
  Pair rig(kHost, true);
  rig.swap();
  rig.end_copies();
  rig.take_transfers();
  rig.cache.unbind(1);  // the prefix is used by nobody, and 0 will come back below it
  BOOST_TEST(rig.evictable() == 2u);
  BOOST_TEST(rig.cache.plan_bring_in(0, 5).reach == 6u);
  KV_SOUND(rig);
  BOOST_TEST(rig.cache.bring_in(0, 5, 20) == 4u);
  rig.end_copies();
  BOOST_TEST(rig.swap() == 6u);
  rig.end_copies();
  rig.take_transfers();
  BOOST_TEST(rig.host().free == kHost - 6);
  rig.cache.unbind(0);
  BOOST_TEST(rig.host().free == kHost);
  BOOST_TEST(rig.free() == kDevice);
  KV_IDLE(rig);

  Pair other(kHost, true);
  other.swap();
  other.end_copies();
  other.cache.unbind(1);
  other.cache.drop_copy(0, 30);  // the prefix goes with what it was kept for
  BOOST_TEST(other.free() == kDevice);
  BOOST_TEST(other.host().free == kHost);
  KV_IDLE(other);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::kv::test
