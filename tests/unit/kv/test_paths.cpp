// The prompt tree: where paths end, what splits and merges keep.
#include <boost/test/unit_test.hpp>

#include "rig.hpp"

namespace serveloop::kv::test {

BOOST_AUTO_TEST_SUITE(paths)

BOOST_AUTO_TEST_CASE(a_prompt_without_a_whole_block_has_no_node) {
  Rig rig(small());
  rig.bind(0, {1, 2, 3});
  BOOST_TEST(rig.cache.node_of(0) == SL_NONE);
  BOOST_TEST(rig.cache.pin_prefix(0, 5, 1) == 0u);
  rig.cache.unbind(0);
  KV_IDLE(rig);
}

BOOST_AUTO_TEST_CASE(a_split_makes_a_new_upper_node_and_keeps_the_id_below) {
  Rig rig(small());
  rig.bind(0, text(1, 6));
  const NodeId lower = rig.cache.node_of(0);
  rig.prefill(0, 6);
  rig.cache.node_events().clear();
  rig.bind(1, text(1, 4) + text(2, 2));
  BOOST_TEST(rig.cache.node_of(0) == lower);
  const NodeId upper = rig.node(lower).parent;
  BOOST_TEST(rig.node(upper).edge_blocks == 4u);
  BOOST_TEST(rig.node(upper).device_blocks == 4u);
  BOOST_TEST(rig.node(upper).live == 0u);
  BOOST_TEST(rig.node(lower).depth_blocks == 4u);
  BOOST_TEST(rig.node(lower).edge_blocks == 2u);
  BOOST_TEST(rig.node(lower).live == 1u);
  BOOST_TEST(rig.block(rig.table(0)[3]).node == upper);
  BOOST_TEST(rig.block(rig.table(0)[4]).node == lower);
  const sl_event split = rig.cache.node_events().front();
  BOOST_TEST(split.kind == SL_EV_SPLIT);
  BOOST_TEST(split.node == lower);
  BOOST_TEST(split.a == upper);
  BOOST_TEST(split.b == 4u);
  BOOST_TEST(rig.prefill(1, 6) == 4u);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(a_path_that_ends_inside_an_edge_splits_it) {
  Rig rig(small());
  rig.bind(0, text(1, 6));
  rig.bind(1, text(1, 2));
  BOOST_TEST(rig.node(rig.cache.node_of(0)).parent == rig.cache.node_of(1));
  BOOST_TEST(rig.node(rig.cache.node_of(1)).edge_blocks == 2u);
  KV_SOUND(rig);
}

// Real keys never collide in a test, so equal ones are handed in for other tokens.
BOOST_AUTO_TEST_CASE(a_hit_stops_where_tokens_differ_though_keys_collide) {
  Rig rig(small());
  const std::vector<Token> mine = text(1, 6);
  rig.bind(0, mine);
  rig.prefill(0, 6);
  std::vector<Token> forged = mine;
  forged[3 * 4 + 1] ^= 1;  // within block 3
  rig.cache.bind(1, 2, kSalt, forged, rig.keys(mine), false);
  BOOST_TEST(rig.node(rig.cache.node_of(1)).depth_blocks + rig.node(rig.cache.node_of(1)).edge_blocks == 3u);
  BOOST_TEST(rig.prefill(1, 6) == 3u);
  BOOST_TEST(rig.cache.indexed(1) == 3u);  // the others stay private
  KV_SOUND(rig);

  forged[0] ^= 1;
  rig.cache.bind(2, 3, kSalt, forged, rig.keys(mine), false);
  BOOST_TEST(rig.cache.node_of(2) == 0u);
  BOOST_TEST(rig.prefill(2, 6) == 0u);
  rig.cache.index_generated(2, 6, text(9, 1), 9);  // its path ends at 0: nothing to lengthen
  BOOST_TEST(rig.cache.indexed(2) == 0u);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(equal_tokens_under_another_salt_are_not_shared_even_if_keys_collide) {
  Rig rig(small());
  rig.bind(0, text(1, 3), kSalt);
  rig.prefill(0, 3);
  rig.bind(1, text(1, 3), kSalt + 1);
  BOOST_TEST(rig.prefill(1, 3) == 0u);
  rig.cache.bind(2, 3, kSalt + 2, text(1, 3), rig.keys(text(1, 3), kSalt), false);
  BOOST_TEST(rig.prefill(2, 3) == 0u);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(salts_part_tenants_texts_numerics_and_requests) {
  const std::vector<Key> salts = {make_salt("a", "", 1, 0),   make_salt("", "a", 1, 0),
                                  make_salt("a", "", 2, 0),   make_salt("a", "", 1, 3),
                                  make_salt("ab", "c", 1, 0), make_salt("a", "bc", 1, 0)};
  for (std::size_t i = 0; i < salts.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) BOOST_TEST(salts[i] != salts[j]);
  BOOST_TEST(make_salt("a", "b", 1, 2) == make_salt("a", "b", 1, 2));
}

BOOST_AUTO_TEST_CASE(nodes_that_nobody_needs_go_and_branches_that_are_none_merge) {
  Rig rig(small());
  rig.bind(0, text(1, 6));
  const NodeId mine = rig.cache.node_of(0);
  for (std::uint32_t blocks = 1; blocks < 6; ++blocks) {  // nothing is cached: each split must be undone
    rig.bind(1, text(1, blocks) + text(2, 1));
    BOOST_TEST(rig.node(mine).parent != 0u);
    rig.cache.unbind(1);
    BOOST_TEST(rig.node(mine).parent == 0u);
    BOOST_TEST(rig.node(mine).edge_blocks == 6u);
    KV_SOUND(rig);
  }
  rig.bind(2, text(1, 6));
  BOOST_TEST(rig.cache.node_of(2) == mine);
  rig.cache.unbind(2);
  rig.cache.unbind(0);
  KV_IDLE(rig);
  BOOST_TEST(rig.node(mine).parent == SL_NONE);
}

BOOST_AUTO_TEST_CASE(a_tail_that_was_never_computed_goes_with_its_last_sequence) {
  Rig rig(small());
  rig.bind(0, text(1, 6));
  rig.prefill(0, 2);
  const NodeId node = rig.cache.node_of(0);
  rig.cache.unbind(0);
  BOOST_TEST(rig.node(node).edge_blocks == 2u);
  rig.bind(1, text(1, 6));
  BOOST_TEST(rig.prefill(1, 6) == 2u);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(with_no_node_left_a_path_ends_above) {
  Options options = small();
  options.max_nodes = 3;  // the root and two
  Rig rig(options);
  rig.bind(0, text(1, 4));
  rig.bind(1, text(2, 4));
  rig.bind(2, text(3, 4));
  BOOST_TEST(rig.cache.node_of(2) == 0u);
  rig.bind(3, text(1, 2));  // would split
  BOOST_TEST(rig.cache.node_of(3) == 0u);
  for (Slot slot = 0; slot < 4; ++slot) rig.prefill(slot, 2);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(waiters_and_changes_are_told_once_a_drain) {
  Rig rig(small());
  rig.bind(0, text(1, 3));
  rig.bind(1, text(1, 3));
  const NodeId node = rig.cache.node_of(0);
  rig.cache.set_waiting(0, true);
  rig.cache.set_waiting(1, true);
  rig.cache.set_waiting(1, true);
  BOOST_TEST(rig.node(node).waiting == 2u);
  BOOST_TEST(rig.node(node).live == 2u);
  BOOST_TEST(rig.cache.node_events().size() == 1u);
  BOOST_TEST(rig.cache.node_events()[0].kind == SL_EV_NODE_CHANGED);
  rig.cache.node_events().clear();
  rig.cache.set_waiting(0, false);
  BOOST_TEST(rig.cache.node_events().size() == 1u);
  rig.cache.node_events().clear();
  rig.cache.unbind(0);
  rig.cache.unbind(1);
  BOOST_TEST(rig.cache.node_events().back().kind == SL_EV_NODE_GONE);
  KV_IDLE(rig);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::kv::test
