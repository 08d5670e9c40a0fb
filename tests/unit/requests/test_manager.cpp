// States, lists and events of sequences, from arrival to the end.
#include <boost/test/unit_test.hpp>

#include "rig.hpp"

namespace serveloop::requests {

using Slots = std::vector<Slot>;
using Kinds = std::vector<int>;

BOOST_AUTO_TEST_SUITE(manager)

BOOST_AUTO_TEST_CASE(an_arrival_is_not_ready_before_the_gates) {
  Rig rig;
  const Slot slot = rig.arrive(41);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).state, SL_WAITING);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).not_ready, SL_NOT_READY_UNGATED);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).runnable, 3u);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).tokens_left, 3u + 8u - 1u);
  BOOST_CHECK_EQUAL(rig.manager.waiting_count(), 1u);
  BOOST_CHECK_EQUAL(rig.manager.ready_count(), 0u);
  BOOST_CHECK(rig.told() == Kinds{SL_EV_ARRIVED});
  rig.manager.clear_not_ready(slot, SL_NOT_READY_UNGATED, 9);
  BOOST_CHECK(rig.ready_list() == Slots{slot});
  BOOST_CHECK_EQUAL(rig.manager.cold(slot).ready_ns, 9u);
  BOOST_CHECK(rig.told() == Kinds{SL_EV_READY});
  rig.manager.clear_not_ready(slot, SL_NOT_READY_UNGATED, 10);  // nothing to clear: nothing told
  BOOST_CHECK(rig.told().empty());
}

BOOST_AUTO_TEST_CASE(ready_keeps_the_order_of_arrival_and_preempted_ones_go_first) {
  Rig rig;
  const Slot a = rig.ready(1), b = rig.ready(2), c = rig.ready(3);
  BOOST_CHECK((rig.ready_list() == Slots{a, b, c}));
  rig.manager.admit(b, 0, 0, 5);
  BOOST_CHECK((rig.ready_list() == Slots{a, c}));
  BOOST_CHECK(rig.running() == Slots{b});
  rig.manager.preempt(b, SL_REASON_MEMORY, rig.id(a), false, 6);
  BOOST_CHECK((rig.ready_list() == Slots{b, a, c}));
  BOOST_CHECK(rig.running().empty());
  BOOST_CHECK_EQUAL(rig.manager.row(b).preemptions, 1u);
  BOOST_CHECK_EQUAL(rig.manager.at(b).life, 1u);
  BOOST_CHECK_EQUAL(rig.last_event().kind, SL_EV_PREEMPTED);
  BOOST_CHECK_EQUAL(rig.last_event().a, SL_REASON_MEMORY);
  BOOST_CHECK_EQUAL(rig.last_event().b, rig.id(a));
}

BOOST_AUTO_TEST_CASE(running_stays_in_the_order_of_admission) {
  Rig rig;
  const Slot a = rig.ready(1), b = rig.ready(2), c = rig.ready(3), d = rig.ready(4);
  for (const Slot slot : {c, a, d, b}) rig.manager.admit(slot, slot, 0, 5);
  BOOST_CHECK((rig.running() == Slots{c, a, d, b}));
  rig.manager.end(a, SL_FINISH_LENGTH);
  rig.manager.pause(b, SL_NEVER);
  BOOST_CHECK((rig.running() == Slots{c, d}));
  BOOST_CHECK_EQUAL(rig.manager.running_count(), 2u);
  BOOST_CHECK_EQUAL(rig.manager.live_count(), 3u);
  BOOST_CHECK_EQUAL(rig.manager.waiting_count(), 1u);
}

BOOST_AUTO_TEST_CASE(parked_until_all_bits_are_cleared) {
  Rig rig;
  const Slot slot = rig.arrive(1);
  rig.manager.park(slot, 0, 100, 300);
  BOOST_CHECK_EQUAL(rig.last_event().kind, SL_EV_PARKED);
  BOOST_CHECK_EQUAL(rig.last_event().a, 100u);
  BOOST_CHECK_EQUAL(rig.last_event().b, 300u);
  rig.manager.clear_not_ready(slot, SL_NOT_READY_UNGATED, 1);
  BOOST_CHECK_EQUAL(rig.manager.ready_count(), 0u);
  BOOST_CHECK_EQUAL(rig.manager.cold(slot).wake_ns, 100u);
  rig.manager.wake(slot, 99);
  BOOST_CHECK_EQUAL(rig.manager.ready_count(), 0u);
  rig.manager.wake(slot, 100);
  BOOST_CHECK_EQUAL(rig.manager.ready_count(), 1u);
  BOOST_CHECK_EQUAL(rig.manager.cold(slot).wake_ns, SL_NEVER);
  rig.manager.park(slot, kScheduler, SL_NEVER, 0);
  BOOST_CHECK_EQUAL(rig.manager.ready_count(), 0u);
}

// Each holder's last word counts, and the sequence waits for the latest of them.
BOOST_AUTO_TEST_CASE(holders_combine) {
  Rig rig;
  const Slot slot = rig.ready(1);
  rig.manager.park(slot, 0, 100, 0);
  rig.manager.park(slot, 1, 50, 0);
  BOOST_CHECK_EQUAL(rig.manager.cold(slot).wake_ns, 100u);
  rig.manager.park(slot, 1, 200, 0);
  BOOST_CHECK_EQUAL(rig.manager.cold(slot).wake_ns, 200u);
  rig.manager.park(slot, 1, 70, 0);
  BOOST_CHECK_EQUAL(rig.manager.cold(slot).wake_ns, 100u);
  rig.manager.wake(slot, 70);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).not_ready, SL_NOT_READY_GATE);
  rig.manager.wake(slot, 100);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).not_ready, 0);
}

// Who lets go lets go of his own hold alone.
BOOST_AUTO_TEST_CASE(holders_release_their_own) {
  Rig rig;
  const Slot slot = rig.ready(1), other = rig.ready(2);
  rig.manager.park(slot, 0, 100, 0);
  rig.manager.park(slot, 1, SL_NEVER, 0);
  rig.manager.park(slot, kScheduler, 30, 0);
  rig.manager.park(other, 1, 40, 0);
  BOOST_CHECK((rig.manager.held_by(1) == Slots{std::min(slot, other), std::max(slot, other)}));
  rig.manager.wake(slot, 100);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).not_ready, SL_NOT_READY_GATE);
  rig.manager.release(slot, 0, 110);  // woken long ago
  BOOST_CHECK_EQUAL(rig.manager.cold(slot).wake_ns, SL_NEVER);
  BOOST_CHECK_EQUAL(rig.manager.ready_count(), 0u);
  rig.manager.release(slot, 1, 120);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).not_ready, 0);
  BOOST_CHECK_EQUAL(rig.manager.cold(slot).ready_ns, 120u);
  rig.manager.end(other, SL_FINISH_CANCELLED);
  BOOST_CHECK(rig.manager.held_by(1).empty());
}

BOOST_AUTO_TEST_CASE(pause_and_resume_with_and_without_blocks) {
  Rig rig;
  const Slot a = rig.ready(1), b = rig.ready(2);
  rig.manager.admit(a, 0, 16, 5);
  BOOST_CHECK_EQUAL(rig.last_event().a, 16u);
  rig.told();
  rig.manager.pause(a, 77);
  rig.manager.pause(b, SL_NEVER);
  BOOST_CHECK_EQUAL(rig.manager.cold(a).pause_until_ns, 77u);
  BOOST_CHECK_EQUAL(rig.manager.row(a).state, SL_PAUSED);
  BOOST_CHECK_EQUAL(rig.manager.ready_count(), 0u);
  BOOST_CHECK((rig.manager.holders() == Slots{a}));  // b never ran, so it holds nothing
  rig.manager.resume(b, true, 8);                    // it has a host copy
  BOOST_CHECK_EQUAL(rig.last_event().a, 0u);
  rig.manager.row(a).blocks_device = 1;
  rig.manager.resume(a, false, 8);
  BOOST_CHECK_EQUAL(rig.last_event().a, 1u);
  BOOST_CHECK_EQUAL(rig.manager.row(a).state, SL_RESERVED);
  BOOST_CHECK_EQUAL(rig.manager.row(b).state, SL_SWAPPED);
  BOOST_CHECK((rig.ready_list() == Slots{a, b}));
  BOOST_CHECK((rig.told() == Kinds{SL_EV_PAUSED, SL_EV_PAUSED, SL_EV_RESUMED, SL_EV_RESUMED}));
  rig.manager.admit(a, 0, 0, 9);
  BOOST_CHECK(rig.manager.holders().empty());
}

BOOST_AUTO_TEST_CASE(resumed_while_parked_it_is_not_ready) {
  Rig rig;
  const Slot slot = rig.ready(1);
  rig.manager.park(slot, kScheduler, SL_NEVER, 0);
  rig.manager.pause(slot, SL_NEVER);
  rig.manager.resume(slot, false, 3);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).not_ready, SL_NOT_READY_PARKED);
  BOOST_CHECK_EQUAL(rig.manager.ready_count(), 0u);
}

BOOST_AUTO_TEST_CASE(preempted_while_paused_it_stays_paused) {
  Rig rig;
  const Slot slot = rig.ready(1);
  rig.manager.admit(slot, 0, 0, 5);
  rig.manager.pause(slot, SL_NEVER);
  rig.manager.preempt(slot, SL_REASON_MEMORY, SL_NO_SEQ, false, 6);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).state, SL_PAUSED);
  BOOST_CHECK_EQUAL(rig.manager.ready_count(), 0u);
}

// Out to host memory and back: not ready while blocks are copied, and told of both.
BOOST_AUTO_TEST_CASE(swapped_out_and_brought_back) {
  Rig rig;
  const Slot slot = rig.ready(1);
  rig.manager.admit(slot, 0, 0, 5);
  rig.told();
  rig.manager.preempt(slot, SL_REASON_MEMORY, SL_NO_SEQ, true, 6);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).state, SL_SWAPPED);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).not_ready, SL_NOT_READY_TRANSFER);
  BOOST_CHECK_EQUAL(rig.manager.ready_count(), 0u);
  rig.manager.transferred(slot, 3, SL_TIER_HOST, 7);
  BOOST_CHECK((rig.ready_list() == Slots{slot}));
  BOOST_CHECK((rig.told() == Kinds{SL_EV_PREEMPTED, SL_EV_TRANSFERRED, SL_EV_READY}));
  rig.manager.reserve(slot);
  rig.manager.transfer(slot);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).state, SL_RESERVED);
  BOOST_CHECK_EQUAL(rig.manager.ready_count(), 0u);
  rig.manager.transferred(slot, 3, SL_TIER_DEVICE, 8);
  BOOST_CHECK((rig.ready_list() == Slots{slot}));
  BOOST_CHECK((rig.told() == Kinds{SL_EV_IN_TRANSIT, SL_EV_TRANSFERRED, SL_EV_READY}));
}

BOOST_AUTO_TEST_CASE(a_lost_copy_leaves_it_waiting) {
  Rig rig;
  const Slot slot = rig.ready(1), paused = rig.ready(2);
  for (const Slot s : {slot, paused}) rig.manager.admit(s, s, 0, 5);
  rig.manager.pause(paused, SL_NEVER);
  for (const Slot s : {slot, paused}) {
    rig.manager.preempt(s, SL_REASON_MEMORY, SL_NO_SEQ, true, 6);
    rig.manager.copy_lost(s, 7);
  }
  BOOST_CHECK_EQUAL(rig.manager.row(slot).state, SL_WAITING);
  BOOST_CHECK_EQUAL(rig.manager.row(paused).state, SL_PAUSED);
  BOOST_CHECK((rig.ready_list() == Slots{slot}));
}

BOOST_AUTO_TEST_CASE(reserved_ones_are_holders_and_still_ready) {
  Rig rig;
  const Slot slot = rig.ready(1);
  rig.manager.reserve(slot);
  BOOST_CHECK_EQUAL(rig.manager.row(slot).state, SL_RESERVED);
  BOOST_CHECK((rig.manager.holders() == Slots{slot}));
  BOOST_CHECK((rig.ready_list() == Slots{slot}));
  rig.manager.end(slot, SL_FINISH_CANCELLED);
  BOOST_CHECK(rig.manager.holders().empty());
  BOOST_CHECK(rig.ready_list().empty());
}

// A random walk: every list and count agrees with the rows at each point.
BOOST_AUTO_TEST_CASE(lists_and_rows_agree_after_random_moves) {
  Rig rig({200, 50, 1 << 20});
  std::uint64_t next = 1, x = 88172645463325252u;
  const auto draw = [&](std::uint64_t n) { return x ^= x << 13, x ^= x >> 7, x ^= x << 17, x % n; };
  for (int i = 0; i < 20000; ++i) {
    const std::vector<Slot> live = rig.manager.live_slots();
    if (live.size() < 40 && draw(3) == 0) rig.arrive(next++, static_cast<std::uint32_t>(1 + draw(3)));
    if (live.empty()) continue;
    const Slot slot = live[draw(live.size())];
    const sl_seq_row& row = rig.manager.row(slot);
    switch (draw(11)) {
      case 0: rig.manager.clear_not_ready(slot, SL_NOT_READY_UNGATED | SL_NOT_READY_PARKED, 1); break;
      case 1:
        if (row.state == SL_WAITING) rig.manager.park(slot, kScheduler, 5, 0);
        break;
      case 2:
        if ((row.state == SL_WAITING || row.state == SL_RESERVED) && row.not_ready == 0 &&
            rig.manager.running_count() < 50)
          rig.manager.admit(slot, 0, 0, 1);
        break;
      case 3:
        if (row.state == SL_RUNNING) rig.manager.preempt(slot, 0, 0, false, 1);
        break;
      case 4:
        if (row.state != SL_PAUSED) rig.manager.pause(slot, 1);
        break;
      case 5:
        if (row.state == SL_PAUSED) {
          rig.manager.row(slot).blocks_device = static_cast<std::uint32_t>(draw(2));
          rig.manager.resume(slot, draw(2) == 0, 1);
        }
        break;
      case 6:
        if (row.state == SL_RUNNING) rig.manager.preempt(slot, 0, 0, true, 1);
        break;
      case 7:
        if (row.state == SL_SWAPPED || row.state == SL_RESERVED) rig.manager.transfer(slot);
        break;
      case 8:
        if ((row.not_ready & SL_NOT_READY_TRANSFER) != 0) rig.manager.transferred(slot, 1, SL_TIER_HOST, 1);
        break;
      case 9:
        if (row.state == SL_SWAPPED && draw(2) == 0)
          rig.manager.copy_lost(slot, 1);
        else if (row.state == SL_SWAPPED)
          rig.manager.reserve(slot);
        break;
      default:
        if (draw(3) == 0) rig.manager.end(slot, SL_FINISH_STOP);
    }
    std::size_t ready = 0, running = 0, waiting = 0, all = 0;
    for (const Slot s : rig.manager.live_slots()) {
      const sl_seq_row& r = rig.manager.row(s);
      const bool waits = r.state == SL_WAITING || r.state == SL_RESERVED || r.state == SL_SWAPPED;
      ready += waits && r.not_ready == 0;
      running += r.state == SL_RUNNING;
      waiting += r.state != SL_RUNNING;
      ++all;
    }
    BOOST_REQUIRE_EQUAL(rig.manager.ready_count(), ready);
    BOOST_REQUIRE_EQUAL(rig.ready_list().size(), ready);
    BOOST_REQUIRE_EQUAL(rig.running().size(), running);
    BOOST_REQUIRE_EQUAL(rig.manager.running_count(), running);
    BOOST_REQUIRE_EQUAL(rig.manager.waiting_count(), waiting);
    BOOST_REQUIRE_EQUAL(rig.manager.live_count(), all);
    if (i % 5 == 0) rig.told(), rig.manager.reclaim();
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::requests
