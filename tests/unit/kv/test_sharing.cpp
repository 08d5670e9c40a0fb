// Blocks that several sequences use: in one step, by taking, by n > 1, for a while only, and as generated
// tokens.
#include <serveloop/reasons.h>

#include <boost/test/unit_test.hpp>

#include "rig.hpp"

namespace serveloop::kv::test {

BOOST_AUTO_TEST_SUITE(sharing)

BOOST_AUTO_TEST_CASE(a_later_entry_of_the_same_plan_hits_what_an_earlier_one_fills) {
  Rig rig(small());
  rig.bind(0, text(1, 6));
  rig.bind(1, text(1, 4) + text(2, 2));
  rig.cache.begin_plan();
  BOOST_TEST(rig.cache.planned_prefix(0, 6) == 0u);
  rig.cache.mark_planned(0, 5, 0);
  BOOST_TEST(rig.cache.planned_prefix(1, 6) == 4u);
  BOOST_TEST(rig.cache.planned_prefix(1, 3) == 3u);  // one token short
  rig.cache.mark_planned(1, 6, 4);
  BOOST_TEST(rig.cache.planned_prefix(1, 9) == 6u);
  rig.cache.extend(0, 5);
  rig.cache.index_path(0, 5, 0, 1);
  BOOST_TEST(rig.cache.pin_prefix(1, 6, 1) == 4u);
  rig.cache.extend(1, 6);
  rig.cache.index_path(1, 6, 4, 1);
  rig.cache.seal(1);
  BOOST_TEST(rig.node(rig.cache.node_of(1)).filling == 2u);
  KV_SOUND(rig);
  rig.cache.filled(1);
  BOOST_TEST(rig.node(rig.cache.node_of(1)).filling == 0u);
  rig.cache.begin_plan();  // the marks are gone, the blocks are there
  BOOST_TEST(rig.cache.planned_prefix(1, 9) == 6u);
  BOOST_TEST(rig.cache.planned_prefix(0, 9) == 5u);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(marks_follow_a_split) {
  Rig rig(small());
  rig.bind(0, text(1, 6));
  rig.cache.begin_plan();
  rig.cache.mark_planned(0, 5, 0);
  rig.bind(1, text(1, 3) + text(2, 1));
  rig.bind(2, text(1, 6));
  BOOST_TEST(rig.cache.planned_prefix(1, 9) == 3u);
  BOOST_TEST(rig.cache.planned_prefix(2, 9) == 5u);
  rig.cache.unbind(1);  // and the merge back
  BOOST_TEST(rig.cache.planned_prefix(2, 9) == 5u);
}

// 1 computed half of block 1 when 0 hung the same block in: its own stays private, until the next chunk takes
// the tree's.
BOOST_AUTO_TEST_CASE(a_private_block_gives_way_to_the_trees) {
  Rig rig(small());
  rig.bind(0, text(1, 4));
  rig.bind(1, text(1, 4));
  rig.prefill(0, 1);
  BOOST_TEST(rig.prefill(1, 1) == 1u);
  rig.cache.extend(1, 2);  // half of block 1 is computed
  rig.prefill(0, 2);
  rig.cache.begin_plan();
  rig.cache.mark_planned(1, 3, 1);
  BOOST_TEST(rig.cache.planned_prefix(0, 4) == 2u);  // 1 will stop at its own block 1: no promise
  rig.cache.extend(1, 3);
  rig.cache.index_path(1, 3, 1, 5);
  BOOST_TEST(rig.cache.indexed(1) == 1u);
  const BlockId own = rig.table(1)[1], after = rig.table(1)[2];
  KV_SOUND(rig);
  rig.cache.edits().clear();
  const std::uint32_t free = rig.free();
  BOOST_TEST(rig.cache.pin_prefix(1, 4, 6) == 3u);  // takes block 1; block 2 is nobody else's and stays
  BOOST_TEST(rig.cache.indexed(1) == 2u);
  BOOST_TEST(rig.table(1)[1] == rig.table(0)[1]);
  BOOST_TEST(rig.table(1)[1] != own);
  BOOST_TEST(rig.table(1)[2] == after);
  BOOST_TEST(rig.free() == free + 1);
  BOOST_TEST(rig.cache.edits().size() == 1u);
  BOOST_TEST((rig.cache.edits()[0] == TableEdit{1, 1, rig.table(0)[1]}));
  KV_SOUND(rig);
  rig.cache.extend(1, 4);
  rig.cache.index_path(1, 4, 3, 7);  // hangs in block 2, filled before, and block 3, to be filled
  BOOST_TEST(rig.cache.indexed(1) == 4u);
  BOOST_TEST(!(rig.block(after).flags & SL_BLOCK_FLAG_FILLING));
  BOOST_TEST((rig.block(rig.table(1)[3]).flags & SL_BLOCK_FLAG_FILLING));
  BOOST_TEST(rig.prefill(0, 4) == 4u);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(forks_share_their_prompt_and_part_with_their_tokens) {
  Rig rig(small());
  for (Slot slot = 0; slot < 3; ++slot) rig.bind(slot, text(1, 3));
  for (Slot slot = 0; slot < 3; ++slot) rig.prefill(slot, 3);
  BOOST_TEST(rig.block(rig.table(2)[2]).refs == 3u);
  BOOST_TEST(rig.free() == 61u);
  const NodeId prompt = rig.cache.node_of(0);
  for (Slot slot = 0; slot < 3; ++slot) {
    rig.cache.extend(slot, 4);
    rig.cache.index_generated(slot, 3, text(slot == 0 ? 5 : 6, 1), 9);
  }
  BOOST_TEST(rig.node(rig.cache.node_of(0)).parent == prompt);
  BOOST_TEST(rig.cache.node_of(1) == rig.cache.node_of(2));  // equal tokens: 2 took the block of 1
  BOOST_TEST(rig.table(1)[3] == rig.table(2)[3]);
  BOOST_TEST(rig.cache.frees(0, 0) == 1u);
  BOOST_TEST(rig.cache.frees(1, 0) == 0u);
  KV_SOUND(rig);
  for (Slot slot = 0; slot < 3; ++slot) rig.cache.unbind(slot);
  KV_IDLE(rig);
  BOOST_TEST(rig.evictable() == 5u);
}

BOOST_AUTO_TEST_CASE(a_lone_sequence_lengthens_its_leaf_in_place) {
  Rig rig(small());
  rig.bind(0, text(1, 2) + std::vector<Token>{1, 2});
  rig.prefill(0, 2);
  const NodeId node = rig.cache.node_of(0);
  rig.cache.extend(0, 5);
  for (std::uint32_t index = 2; index < 5; ++index)
    rig.cache.index_generated(0, index, text(7 + index, 1), index);
  BOOST_TEST(rig.cache.node_of(0) == node);
  BOOST_TEST(rig.node(node).edge_blocks == 5u);
  BOOST_TEST(rig.node(node).device_blocks == 5u);
  // A conversation goes on: prompt and answer are found again.
  rig.bind(1, text(1, 2) + text(9, 1) + text(10, 1) + text(11, 1) + text(3, 1));
  BOOST_TEST(rig.prefill(1, 6) == 5u);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(a_path_may_begin_with_generated_tokens) {
  Rig rig(small());
  rig.bind(0, {1, 2, 3});
  rig.cache.extend(0, 1);
  rig.cache.index_generated(0, 0, text(4, 1), 1);
  BOOST_TEST(rig.node(rig.cache.node_of(0)).live == 1u);
  BOOST_TEST(rig.cache.indexed(0) == 1u);
  rig.bind(1, text(4, 1));
  BOOST_TEST(rig.prefill(1, 1) == 1u);
  KV_SOUND(rig);
}

// 1 recomputes what 0 has hung in since: its next generated block brings its private ones in order.
BOOST_AUTO_TEST_CASE(a_generated_block_settles_the_private_ones_before_it) {
  Rig rig(small());
  rig.bind(0, text(1, 2));
  rig.bind(1, text(1, 2));
  rig.cache.extend(1, 2);  // computed, not hung in
  rig.prefill(0, 2);
  rig.cache.extend(1, 3);
  rig.cache.index_generated(1, 2, text(5, 1), 9);
  BOOST_TEST(rig.cache.indexed(1) == 3u);
  BOOST_TEST(rig.table(1)[1] == rig.table(0)[1]);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(transient_blocks_go_when_unpinned) {
  Rig rig(small());
  rig.bind(0, text(1, 3), 99, true);
  rig.bind(1, text(1, 3), 99, true);
  rig.prefill(0, 3);
  BOOST_TEST(rig.prefill(1, 3) == 3u);  // its sibling shares it
  rig.cache.extend(1, 4);
  rig.cache.index_generated(1, 3, text(5, 1), 9);
  BOOST_TEST(rig.cache.indexed(1) == 3u);
  rig.take_block_events();
  rig.cache.release(0, 0, 5);
  BOOST_TEST(rig.evictable() == 0u);
  rig.cache.unbind(1);
  BOOST_TEST(rig.evictable() == 0u);
  BOOST_TEST(rig.free() == 64u);
  const auto events = rig.take_block_events();
  BOOST_TEST(events.size() == 3u);
  for (std::uint32_t i = 0; i < 3; ++i) {
    BOOST_TEST(events[i].kind == SL_BLOCK_GONE);
    BOOST_TEST(events[i].reason == SL_REASON_NONE);
    BOOST_TEST(events[i].request == 2u);  // whose end it was
    BOOST_TEST(events[i].depth == 2 - i);
  }
  KV_SOUND(rig);
  rig.cache.unbind(0);
  KV_IDLE(rig);
}

BOOST_AUTO_TEST_CASE(frees_counts_what_nobody_else_holds) {
  Rig rig(small());
  rig.bind(0, text(1, 6));
  rig.bind(1, text(1, 4) + text(2, 4));
  rig.prefill(0, 6);
  rig.prefill(1, 8);
  rig.cache.extend(1, 9);
  BOOST_TEST(rig.cache.frees(1, 0) == 5u);
  BOOST_TEST(rig.cache.frees(1, 6) == 3u);
  BOOST_TEST(rig.cache.frees(1, 9) == 0u);
  BOOST_TEST(rig.cache.frees(0, 2) == 2u);
  rig.cache.release(0, 0, 9);
  BOOST_TEST(rig.cache.frees(1, 0) == 9u);
  BOOST_TEST(rig.cache.hit_tokens() == 16u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::kv::test
