// Copies that fail, and sequences that end or yield while theirs are under way.
#include <serveloop/reasons.h>

#include <boost/test/unit_test.hpp>

#include "rig.hpp"

namespace serveloop::kv::test {

namespace {
constexpr std::uint32_t kDevice = 64, kHost = 16;

// Sequence 0: 4 blocks of its prompt in the tree, and one private block. Swapped.
struct Swapped : Rig {
  Swapped() : Rig(small(kDevice, 8, kHost)) {
    bind(0, text(1, 4));
    prefill(0, 4);
    cache.extend(0, 5);
    BOOST_TEST(cache.swap_out(0, 5, ++now) == 5u);
    take_block_events();
  }
  void come_back() {
    end_copies();
    KV_TOLD(*this, {0, Transfer::out});
    BOOST_TEST(cache.bring_in(0, 4, ++now) == 5u);
  }
};
}  // namespace

BOOST_AUTO_TEST_SUITE(transfer)

BOOST_AUTO_TEST_CASE(a_failed_copy_to_the_host_loses_the_whole) {
  for (const std::uint64_t place : {0u, 1u, 2u, 4u}) {  // 0: the private block's; 4: the first block's
    Swapped rig;
    rig.end_copies(place);
    rig.end_copies(1, {0});
    KV_TOLD(rig, {0, Transfer::lost});
    BOOST_TEST(rig.cache.host_copy(0) == 0u);
    KV_SOUND(rig);
    rig.end_copies();
    KV_TOLD(rig, );
    BOOST_TEST(rig.free() == kDevice);
    BOOST_TEST(rig.host().evictable == 4u - place);  // those above the failed one stay cached
    BOOST_TEST(rig.host().free == kHost - rig.host().evictable);
    KV_IDLE(rig);
  }
}

BOOST_AUTO_TEST_CASE(a_failed_copy_to_the_device_keeps_what_came_before) {
  Swapped rig;
  rig.come_back();
  rig.end_copies(3, {2});
  KV_TOLD(rig, {0, Transfer::cut});
  BOOST_TEST(rig.table(0).size() == 2u);
  BOOST_TEST(rig.cache.indexed(0) == 2u);
  KV_SOUND(rig);
  BOOST_TEST(rig.host().in_transit == 2u);
  std::uint32_t gone = 0;  // the failed one, and the one below it
  for (const sl_block_event& event : rig.take_block_events())
    gone += event.kind == SL_BLOCK_GONE && event.reason == SL_REASON_COPY_FAILED ? 1 : 0;
  BOOST_TEST(gone == 2u);
  rig.end_copies();
  KV_TOLD(rig, );
  BOOST_TEST(rig.host().free == kHost);
  BOOST_TEST(rig.free() == kDevice - 2);
  BOOST_TEST(rig.cache.plan_bring_in(0, 4).need == 0u);  // it is not tried again
  rig.prefill(0, 4);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(a_failed_private_block_leaves_those_of_the_tree) {
  Swapped rig;
  rig.come_back();
  rig.end_copies(5, {4});
  KV_TOLD(rig, {0, Transfer::cut});
  BOOST_TEST(rig.table(0).size() == 4u);
  BOOST_TEST(rig.cache.indexed(0) == 4u);
  BOOST_TEST(rig.host().free == kHost);
  KV_SOUND(rig);
}

BOOST_AUTO_TEST_CASE(several_fail_in_one_call) {
  Swapped rig;
  rig.bind(1, text(2, 2));
  rig.prefill(1, 2);
  BOOST_TEST(rig.cache.swap_out(1, 2, 9) == 2u);
  rig.end_copies(7, {1, 6});
  const std::vector<Transfer> told = rig.take_transfers();
  BOOST_TEST_REQUIRE(told.size() == 2u);
  BOOST_TEST(told[0] == (Transfer{0, Transfer::lost}));
  BOOST_TEST(told[1] == (Transfer{1, Transfer::lost}));
  BOOST_TEST(rig.free() == kDevice);
  KV_IDLE(rig);
}

BOOST_AUTO_TEST_CASE(a_sequence_ends_while_its_blocks_leave) {
  Swapped rig;
  rig.end_copies(1);
  rig.cache.unbind(0);
  KV_SOUND(rig);
  BOOST_TEST(rig.host().free ==
             kHost - 4);    // its private block is no more; the others are cached, or will be
  rig.bind(0, text(9, 1));  // the slot's next life hears nothing of it
  rig.end_copies();
  KV_TOLD(rig, );
  BOOST_TEST(rig.host().evictable == 4u);
  rig.cache.unbind(0);
  KV_IDLE(rig);
}

BOOST_AUTO_TEST_CASE(a_sequence_ends_while_its_blocks_arrive) {
  Swapped rig;
  rig.come_back();
  rig.end_copies(2);
  rig.take_block_events();
  rig.cache.unbind(0);
  KV_SOUND(rig);
  BOOST_TEST(rig.evictable() == 2u);
  BOOST_TEST(rig.cache.tier(SL_TIER_DEVICE).in_transit == 3u);
  BOOST_TEST(rig.free() == kDevice - 5);
  rig.bind(0, text(9, 1));
  rig.end_copies(1);
  BOOST_TEST(rig.host().evictable == 1u);  // it stays where it was
  rig.end_copies(2, {0});                  // but for the one that failed
  KV_TOLD(rig, );
  BOOST_TEST(rig.host().evictable == 1u);
  BOOST_TEST(rig.host().free == kHost - 1);
  BOOST_TEST(rig.free() == kDevice - 2);
  rig.cache.unbind(0);
  KV_IDLE(rig);
}

BOOST_AUTO_TEST_CASE(a_sequence_yields_while_its_blocks_arrive) {
  Swapped rig;
  rig.come_back();
  rig.end_copies(1);
  BOOST_TEST(rig.cache.frees(0, 0) == 1u);
  rig.cache.release(0, 3, 20);  // one is there, two arrive, two are given up
  KV_SOUND(rig);
  BOOST_TEST(rig.cache.frees(0, 0) == 1u);
  rig.end_copies(2);
  KV_TOLD(rig, {0, Transfer::in});
  BOOST_TEST(rig.cache.indexed(0) == 3u);
  rig.end_copies();
  KV_TOLD(rig, );
  BOOST_TEST(rig.host().evictable == 1u);
  KV_SOUND(rig);
  rig.cache.release(0, 0, 21);
  KV_IDLE(rig);
}

// The step that wrote the prefix fails while blocks below it arrive: the table is released, the rest leaves.
BOOST_AUTO_TEST_CASE(a_failed_step_takes_the_host_blocks_below) {
  Swapped rig;
  rig.end_copies();
  rig.take_transfers();
  rig.bind(1, text(1, 4));
  rig.cache.extend(1, 1);
  rig.cache.index_path(1, 1, 0, 20);  // computes the first block again
  rig.cache.seal(20);
  BOOST_TEST(rig.cache.host_copy(0) == 4u);
  BOOST_TEST(rig.cache.bring_in(0, 4, 21) == 4u);
  rig.cache.release(0, 0, 22);
  rig.cache.release(1, 0, 22);
  rig.cache.failed(20);
  KV_SOUND(rig);
  rig.end_copies();
  KV_TOLD(rig, );
  BOOST_TEST(rig.free() == kDevice);
  BOOST_TEST(rig.host().free == kHost);
  KV_IDLE(rig);

  Swapped held;  // the same with the copy still in the host
  held.end_copies();
  held.take_transfers();
  held.bind(1, text(1, 4));
  held.cache.extend(1, 1);
  held.cache.index_path(1, 1, 0, 20);
  held.cache.seal(20);
  held.cache.release(1, 0, 22);
  held.cache.failed(20);
  KV_TOLD(held, {0, Transfer::lost});
  BOOST_TEST(held.host().free == kHost);
  KV_IDLE(held);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::kv::test
