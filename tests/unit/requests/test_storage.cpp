// Ids with generations, rows used again, the heap, timers.
#include <boost/test/unit_test.hpp>
#include <cstring>

#include "rig.hpp"

namespace serveloop::requests {

BOOST_AUTO_TEST_SUITE(storage)

BOOST_AUTO_TEST_CASE(a_stale_id_is_refused) {
  Rig rig;
  const Slot slot = rig.ready(1);
  const sl_seq first = rig.id(slot);
  BOOST_CHECK_GT(SL_SEQ_GENERATION(first), 0u);
  BOOST_CHECK(rig.manager.alive(first));
  BOOST_CHECK(!rig.manager.alive(SL_NO_SEQ));
  BOOST_CHECK(!rig.manager.alive(first + 1));                               // a slot never used
  BOOST_CHECK(!rig.manager.alive((first & ~0xffffffffull) | 0xfffffff0u));  // one that does not exist
  rig.manager.end(slot, SL_FINISH_STOP);
  BOOST_CHECK(!rig.manager.alive(first));  // from its end on, told or not
  BOOST_CHECK_EQUAL(rig.manager.row(slot).id, first);
  rig.manager.reclaim();
  const Slot again = rig.ready(2);
  BOOST_REQUIRE_EQUAL(again, slot);
  BOOST_CHECK(!rig.manager.alive(first));
  BOOST_CHECK(rig.manager.alive(rig.id(again)));
  BOOST_CHECK_EQUAL(SL_SEQ_GENERATION(rig.id(again)), SL_SEQ_GENERATION(first) + 1);
}

// A slot is not given away before its end was told.
BOOST_AUTO_TEST_CASE(slots_come_back_when_events_were_delivered) {
  Rig rig({2, 1, 1 << 20});  // four slots
  for (std::uint64_t id = 1; id <= 4; ++id) rig.ready(id);
  BOOST_CHECK(!rig.manager.room(1));
  const Slot slot = rig.manager.live_slots()[2];
  rig.manager.end(slot, SL_FINISH_STOP);
  BOOST_CHECK(!rig.manager.room(1));
  rig.manager.reclaim();
  BOOST_CHECK(rig.manager.room(1));
  BOOST_CHECK(!rig.manager.room(2));
  BOOST_CHECK_EQUAL(rig.manager.row(slot).state, SL_FREE);
  BOOST_CHECK_EQUAL(rig.ready(5), slot);
}

// Prompt, hints and retention come together or not at all: a row never points at what is not there.
BOOST_AUTO_TEST_CASE(a_request_without_room_for_its_hints_is_refused_whole) {
  for (std::size_t heap = 512; heap <= 8192; heap += 512) {
    Rig rig({16, 16, heap});
    RequestSpec spec;
    spec.prompt.assign(64, 7);
    spec.hints.resize(16);
    spec.retention.resize(16);
    std::vector<Slot> slots;
    std::uint64_t id = 1;
    while (rig.manager.room(1) && rig.manager.arrive(id, spec, spec.prompt, 8, {}, slots)) ++id;
    const auto* requests = static_cast<const sl_request_row*>(rig.manager.request_table().base);
    const auto known = rig.manager.live_slots();
    const std::vector<Slot> live(known.begin(), known.end());
    BOOST_CHECK_EQUAL(live.size(), id - 1);
    for (const Slot slot : live) {
      const sl_request_row& row = requests[rig.manager.row(slot).request];
      BOOST_CHECK_LT(row.prompt_at, heap);
      BOOST_CHECK_LT(row.hints_at, heap);
      BOOST_CHECK_LT(row.retention_at, heap);
    }
    for (const Slot slot : live) rig.manager.end(slot, SL_FINISH_STOP);
    rig.manager.reclaim();
    for (std::uint64_t again = 1; again < id; ++again)  // what was given back serves as many once more
      BOOST_CHECK(rig.manager.arrive(100 + again, spec, spec.prompt, 8, {}, slots));
  }
}

BOOST_AUTO_TEST_CASE(a_request_row_lives_as_long_as_its_last_sequence) {
  Rig rig;
  const Slot first = rig.arrive(9, 3);
  const std::uint32_t index = rig.manager.row(first).request;
  const auto* requests = static_cast<const sl_request_row*>(rig.manager.request_table().base);
  BOOST_CHECK_EQUAL(requests[index].n, 3u);
  for (std::uint32_t left = 3; left > 0; --left) {
    BOOST_CHECK_EQUAL(requests[index].live, left);
    BOOST_CHECK_EQUAL(requests[index].request, 9u);
    rig.manager.end(rig.manager.live_slots().front(), SL_FINISH_STOP);
    rig.manager.reclaim();
  }
  BOOST_CHECK_EQUAL(requests[index].live, 0u);
  BOOST_CHECK_EQUAL(requests[index].request, 0u);
}

BOOST_AUTO_TEST_CASE(every_field_of_a_spec_is_in_the_row_or_the_heap) {
  Rig rig;
  RequestSpec spec;
  spec.prompt = {5, 6, 7, 8, 9};
  spec.arrival_ns = 1000;
  spec.session = "s", spec.program = "p", spec.parent = 3, spec.turn = 4;
  spec.ttft_deadline_ns = 10, spec.tbt_target_ns = 20, spec.end_deadline_ns = 30;
  spec.predicted_p50 = 1, spec.predicted_p90 = 2, spec.predicted_p99 = 3;
  spec.hints = {{11, 0.5}, {12, -2.0}};
  spec.retention = {{0, 16, 80, SL_TIER_DEVICE, 99}};
  Labels labels;
  labels.tenant = 2, labels.tenant_weight_milli = 500, labels.category = 3, labels.service_class = 4,
  labels.priority = -7;
  const Slot slot = rig.arrive(21, spec, 8, labels);
  const sl_request_row& r = rig.manager.request_of(slot);
  BOOST_CHECK_EQUAL(r.ttft_deadline_ns, 1010u);
  BOOST_CHECK_EQUAL(r.tbt_target_ns, 20u);
  BOOST_CHECK_EQUAL(r.end_deadline_ns, 1030u);
  BOOST_CHECK_EQUAL(r.tenant, 2u);
  BOOST_CHECK_EQUAL(r.tenant_weight_milli, 500u);
  BOOST_CHECK_EQUAL(r.category, 3u);
  BOOST_CHECK_EQUAL(r.service_class, 4u);
  BOOST_CHECK_EQUAL(r.priority, -7);
  BOOST_CHECK_EQUAL(r.parent, 3u);
  BOOST_CHECK_EQUAL(r.turn, 4u);
  BOOST_CHECK(r.session != 0 && r.program != 0 && r.session != r.program);
  BOOST_CHECK(r.predicted_p50 == 1 && r.predicted_p90 == 2 && r.predicted_p99 == 3);
  BOOST_CHECK(std::equal(spec.prompt.begin(), spec.prompt.end(), rig.manager.prompt(slot).begin()));
  const std::uint8_t* heap = rig.manager.heap();
  BOOST_REQUIRE_EQUAL(r.hints_count, 2u);
  BOOST_CHECK_EQUAL(std::memcmp(heap + r.hints_at, spec.hints.data(), 2 * sizeof(sl_hint)), 0);
  BOOST_REQUIRE_EQUAL(r.retention_count, 1u);
  BOOST_CHECK_EQUAL(std::memcmp(heap + r.retention_at, spec.retention.data(), sizeof(sl_retention)), 0);
}

// Freed prompts make room for others: ten thousand requests fit into a heap for a few.
BOOST_AUTO_TEST_CASE(the_heap_is_used_again) {
  Rig rig({16, 4, 64 << 10});
  RequestSpec spec;
  for (std::uint32_t i = 0; i < 10000; ++i) {
    spec.prompt.assign(1 + i % 1500, i);
    spec.hints.assign(i % 3, {i, 1.0});
    const Slot slot = rig.arrive(i + 1, spec);
    BOOST_REQUIRE_EQUAL(rig.manager.prompt(slot).back(), i);
    rig.manager.end(slot, SL_FINISH_STOP);
    rig.told();
    rig.manager.reclaim();
  }
}

BOOST_AUTO_TEST_CASE(a_full_heap_refuses_the_request_and_loses_nothing) {
  Rig rig({16, 4, 4096});
  RequestSpec large;
  large.prompt.assign(5000, 1);
  BOOST_CHECK_THROW(rig.arrive(1, large), std::runtime_error);
  BOOST_CHECK_EQUAL(rig.manager.live_count(), 0u);
  BOOST_CHECK(rig.told().empty());
  BOOST_CHECK(rig.manager.alive(rig.id(rig.ready(2))));
}

BOOST_AUTO_TEST_CASE(timers_come_due_in_order) {
  Rig rig;
  Timers& timers = rig.manager.timers();
  BOOST_CHECK_EQUAL(timers.next_ns(), SL_NEVER);
  BOOST_CHECK(!timers.pop_due(SL_NEVER));
  RequestSpec spec;
  spec.prompt = {1};
  spec.arrival_ns = 100;
  spec.end_deadline_ns = 50;
  const Slot slot = rig.arrive(1, spec);
  rig.manager.park(slot, 0, 120, 0);
  rig.manager.park(slot, 0, SL_NEVER, 0);  // for ever: no timer
  BOOST_CHECK_EQUAL(timers.next_ns(), 120u);
  BOOST_CHECK(!timers.pop_due(119));
  BOOST_CHECK_EQUAL(timers.pop_due(120)->why, Timer::wake);
  const std::optional<Timer> deadline = timers.pop_due(1000);
  BOOST_REQUIRE(deadline);
  BOOST_CHECK_EQUAL(deadline->why, Timer::deadline);
  BOOST_CHECK_EQUAL(deadline->at_ns, 150u);
  BOOST_CHECK_EQUAL(deadline->seq, rig.id(slot));
  BOOST_CHECK(!timers.pop_due(SL_NEVER - 1));
}

// Large tables begin at a page of 2 MiB, small ones are aligned as their rows ask; both hold what is put in.
BOOST_AUTO_TEST_CASE(tables_on_large_pages_hold_what_is_put_in) {
  constexpr std::uintptr_t kPage = 2u << 20;
  for (const std::size_t rows : {std::size_t{3}, std::size_t{100000}}) {
    HugeVector<Sequence> table(rows);
    const auto at = reinterpret_cast<std::uintptr_t>(table.data());
    BOOST_CHECK_EQUAL(at % (rows == 3 ? 64 : kPage), 0u);
    for (std::size_t i = 0; i < rows; ++i) table[i].life = static_cast<std::uint32_t>(i);
    table.resize(2 * rows);
    for (std::size_t i = 0; i < rows; ++i) BOOST_REQUIRE_EQUAL(table[i].life, i);

    HugeArray<std::uint64_t> array(rows);
    array.populate(rows + 1000);  // at most what there is
    for (std::size_t i = 0; i < rows; ++i) array.data()[i] = i;
    const HugeArray<std::uint64_t> moved(std::move(array));
    for (std::size_t i = 0; i < rows; ++i) BOOST_REQUIRE_EQUAL(moved.data()[i], i);
  }
}

// Lists that grow in turn share one store, and every range of each reads as it was written.
BOOST_AUTO_TEST_CASE(generated_tokens_read_back_across_chunks) {
  constexpr std::uint32_t kTokens = 302;  // the last two not in the store
  TokenStore store;
  TokenList lists[3];
  for (std::uint32_t i = 0; i < kTokens; ++i)
    for (std::uint32_t l = 0; l < 3; ++l) store.push(lists[l], l * 1000 + i);
  for (std::uint32_t l = 0; l < 3; ++l)
    for (std::uint32_t from = 0; from < kTokens; from += 7)
      for (std::uint32_t size = 0; from + size <= kTokens; size += 13) {
        std::vector<Token> into(size);
        store.copy(lists[l], from, into);
        for (std::uint32_t i = 0; i < size; ++i) BOOST_REQUIRE_EQUAL(into[i], l * 1000 + from + i);
      }
  BOOST_CHECK_EQUAL(store.all(lists[1]).size(), kTokens);
  const std::size_t used = store.chunks_used();
  store.clear(lists[1]);
  BOOST_CHECK_EQUAL(store.chunks_used(), used / 3 * 2);
  for (std::uint32_t i = 0; i < kTokens; ++i) store.push(lists[1], i);
  BOOST_CHECK_EQUAL(store.chunks_used(), used);  // memory is used again
  BOOST_CHECK_EQUAL(store.all(lists[0]).back(), kTokens - 1);
}

// A list of any length, as it grows: the newest tokens are in its tail, in a chunk, or in a chunk of their own.
BOOST_AUTO_TEST_CASE(generated_tokens_read_back_after_every_push) {
  TokenStore store;
  TokenList list;
  for (std::uint32_t count = 0; count < 200; ++count) {
    const std::vector<Token> all = store.all(list);
    BOOST_REQUIRE_EQUAL(all.size(), count);
    for (std::uint32_t i = 0; i < count; ++i) BOOST_REQUIRE_EQUAL(all[i], 1000 + i);
    store.push(list, 1000 + count);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::requests
