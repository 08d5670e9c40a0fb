// The gate on arrivals made by hand: who passes, who waits until exactly when, and who is told to go.
#include <boost/test/unit_test.hpp>
#include <map>
#include <optional>

#include "base/hash.hpp"
#include "tables.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint64_t kMs = 1000000, kStart = 1'700'000'000'000'000'000;
constexpr std::uint16_t kOverRate = SL_REASON_PLUGIN, kLargerThanBurst = SL_REASON_PLUGIN + 1;

toml::Table bucket(std::int64_t rate, std::int64_t burst, toml::Table more = {}) {
  toml::Table options{{"rate", rate}, {"burst", burst}};
  for (toml::Entry& entry : more) options.push_back(std::move(entry));
  return options;
}

// Keeps the rows as the engine would: parked until the hold's time, then ready, and told of it.
class Gate {
 public:
  explicit Gate(toml::Table options)
      : tables(limits_), gate_(need(build_host().load_gate({"token-bucket", std::move(options)}, limits_))) {
    tables.raw().now_ns = kStart;
  }

  std::uint32_t arrive(std::uint32_t prompt, std::uint32_t output, std::uint32_t tenant = 0,
                       std::uint32_t weight_milli = 1000) {
    sl_seq_row& row = tables.add(SL_WAITING, prompt, output);
    row.not_ready = SL_NOT_READY_UNGATED;
    tables.requests.back().tenant = tenant;
    tables.requests.back().tenant_weight_milli = weight_milli;
    tables.event(SL_EV_ARRIVED, row.id);
    return SL_SEQ_SLOT(row.id);
  }
  void cancel(std::uint32_t slot) {
    tables.seqs[slot].state = SL_ENDED;
    wakes_.erase(slot);
    tables.event(SL_EV_ENDED, tables.id(slot), SL_FINISH_CANCELLED);
  }
  void operator_releases(std::uint32_t slot) { let_go(slot); }

  // Time goes on to `ns` after the start: who wakes is told; then the gate is asked. Returns its entries.
  std::vector<sl_entry> at(std::uint64_t ns) {
    tables.raw().now_ns = kStart + ns;
    for (std::uint32_t slot = 0; slot < tables.seqs.size(); ++slot)
      if (const auto wake = wakes_.find(slot); wake != wakes_.end() && wake->second <= kStart + ns)
        let_go(slot);
    Buffers<sl_entry> b;
    BOOST_REQUIRE_EQUAL(gate_->plan(tables.view(), b.out, b.gauges), SL_OK);
    tables.events.clear();
    for (const sl_entry& entry : b.answer()) {
      const std::uint32_t slot = SL_SEQ_SLOT(entry.seq);
      BOOST_REQUIRE(tables.seqs[slot].state == SL_WAITING);
      if (entry.verb == SL_PARK) wakes_[slot] = entry.arg;
      if (entry.verb == SL_RELEASE) let_go(slot);
      if (entry.verb == SL_REJECT) tables.seqs[slot].state = SL_ENDED;
    }
    for (sl_seq_row& row : tables.seqs)
      if ((row.not_ready & SL_NOT_READY_UNGATED) != 0)
        row.not_ready = wakes_.contains(SL_SEQ_SLOT(row.id)) ? SL_NOT_READY_GATE : 0;
    BOOST_TEST(b.gauge(0) == static_cast<double>(wakes_.size()));
    return b.answer();
  }
  bool passed(std::uint32_t slot) const {
    return tables.seqs[slot].state == SL_WAITING && tables.seqs[slot].not_ready == 0;
  }
  // After the start; none where it does not wait.
  std::optional<std::uint64_t> wake(std::uint32_t slot) const {
    const auto found = wakes_.find(slot);
    return found == wakes_.end() ? std::nullopt : std::optional(found->second - kStart);
  }
  policy::Scheduler& policy() { return *gate_; }
  void replace(toml::Table options) {
    const auto next = need(build_host().load_gate({"token-bucket", std::move(options)}, limits_));
    BOOST_REQUIRE(need(policy::hand_over_state(*gate_, *next)));
    gate_ = next;
  }

 private:
  void let_go(std::uint32_t slot) {
    wakes_.erase(slot);
    tables.seqs[slot].not_ready = 0;
    tables.event(SL_EV_READY, tables.id(slot));
  }
  policy::Limits limits_ = [] {
    policy::Limits l = limits();
    l.sequence_slots = 4096;
    return l;
  }();

 public:
  Tables tables;

 private:
  std::shared_ptr<policy::Scheduler> gate_;
  std::map<std::uint32_t, std::uint64_t> wakes_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(token_bucket)

BOOST_AUTO_TEST_CASE(what_the_burst_pays_for_passes_and_the_rest_waits_exactly_as_long_as_it_must) {
  Gate gate(bucket(1000, 100));
  const auto a = gate.arrive(40, 20), b = gate.arrive(50, 10), c = gate.arrive(30, 30), d = gate.arrive(1, 1);
  const std::vector<sl_entry> entries = gate.at(0);
  BOOST_TEST(gate.passed(a));
  BOOST_REQUIRE_EQUAL(entries.size(), 3u);
  for (const sl_entry& entry : entries) {
    BOOST_TEST(entry.verb == SL_PARK);
    BOOST_TEST(entry.reason == kOverRate);
  }
  BOOST_TEST(gate.wake(b).value() == 20 * kMs);  // 40 left of 100, 60 needed, a token each ms
  BOOST_TEST(gate.wake(c).value() == 80 * kMs);
  BOOST_TEST(gate.wake(d).value() == 82 * kMs);
  BOOST_TEST(gate.at(20 * kMs - 1).empty());
  BOOST_TEST(!gate.passed(b));
  for (const std::uint64_t ms : {20, 80, 82}) BOOST_TEST(gate.at(ms * kMs).empty());
  BOOST_TEST(gate.passed(d));
}

// Neither the rate nor the weight divides what is asked: rounded up to the nanosecond, and nothing is lost on the way.
BOOST_AUTO_TEST_CASE(times_are_exact_to_the_nanosecond) {
  Gate gate(bucket(3, 7));
  gate.arrive(4, 3);
  const auto a = gate.arrive(1, 0), b = gate.arrive(1, 0), c = gate.arrive(1, 0);
  gate.at(0);
  BOOST_TEST(gate.wake(a).value() == 333333334u);
  BOOST_TEST(gate.wake(b).value() == 666666667u);
  BOOST_TEST(gate.wake(c).value() == 1000000000u);
}

BOOST_AUTO_TEST_CASE(a_tenants_weight_multiplies_rate_and_burst) {
  Gate gate(bucket(1000, 100));
  const auto a = gate.arrive(200, 50, 1, 2500), b = gate.arrive(20, 5, 1, 2500);
  const auto c = gate.arrive(40, 10, 2, 500), d = gate.arrive(4, 1, 2, 500), e = gate.arrive(50, 1, 2, 500);
  const std::vector<sl_entry> entries = gate.at(0);
  BOOST_TEST(gate.passed(a));
  BOOST_TEST(gate.wake(b).value() == 10 * kMs);  // 25 tokens at 2500 a second
  BOOST_TEST(gate.passed(c));
  BOOST_TEST(gate.wake(d).value() == 10 * kMs);  // 5 at 500
  BOOST_TEST(entries.back().seq == gate.tables.id(e));
  BOOST_TEST(entries.back().verb == SL_REJECT);  // 51 of a burst of 50
}

BOOST_AUTO_TEST_CASE(an_idle_bucket_is_full_and_no_fuller) {
  Gate gate(bucket(1000, 100));
  gate.arrive(100, 0);
  gate.at(0);
  const auto a = gate.arrive(100, 0), b = gate.arrive(1, 0);
  gate.at(3600'000 * kMs);
  BOOST_TEST(gate.passed(a));
  BOOST_TEST(gate.wake(b).value() == 3600'001 * kMs);
}

BOOST_AUTO_TEST_CASE(what_can_never_pass_is_rejected) {
  Gate gate(bucket(1000, 100));
  gate.arrive(80, 20);
  const auto large = gate.arrive(80, 21);
  const std::vector<sl_entry> entries = gate.at(0);
  BOOST_REQUIRE_EQUAL(entries.size(), 1u);
  BOOST_TEST(entries[0].seq == gate.tables.id(large));
  BOOST_TEST(entries[0].verb == SL_REJECT);
  BOOST_TEST(entries[0].reason == kLargerThanBurst);
}

// It waits for a full bucket, and the next pays for what it took beyond it.
BOOST_AUTO_TEST_CASE(what_is_larger_than_the_burst_may_wait_for_all_of_it) {
  Gate gate(bucket(1000, 100, {{"reject_oversized", false}}));
  gate.arrive(10, 0);
  const auto large = gate.arrive(250, 50), after = gate.arrive(20, 0);
  gate.at(0);
  BOOST_TEST(gate.wake(large).value() == 10 * kMs);
  BOOST_TEST(gate.wake(after).value() == 230 * kMs);  // from a debt of 200
}

BOOST_AUTO_TEST_CASE(output_tokens_as_predicted) {
  for (const char* output : {"predicted_p50", "predicted_p90", "predicted_p99"}) {
    Gate gate(bucket(1000, 100, {{"output", output}}));
    const auto a = gate.arrive(10, 80), b = gate.arrive(10, 80), c = gate.arrive(1, 5),
               d = gate.arrive(0, 30);
    gate.tables.requests[a].predicted_p50 = 20;
    gate.tables.requests[a].predicted_p90 = 40;
    gate.tables.requests[a].predicted_p99 = 60;
    gate.tables.requests[c].predicted_p50 = gate.tables.requests[c].predicted_p90 =
        90;  // no more than max_tokens
    gate.tables.requests[c].predicted_p99 = 90;
    gate.at(0);
    const std::uint64_t first = output == std::string("predicted_p50")   ? 30
                                : output == std::string("predicted_p90") ? 50
                                                                         : 70;
    BOOST_TEST(gate.wake(b).value() == (first - 10) * kMs);  // not predicted: 90
    BOOST_TEST(gate.wake(c).value() == (first - 10 + 6) * kMs);
    BOOST_TEST(gate.wake(d).value() == (first - 10 + 6 + 30) * kMs);
  }
}

BOOST_AUTO_TEST_CASE(forks_share_the_prompt) {
  Gate gate(bucket(1000, 100));
  const auto a = gate.arrive(60, 20), b = gate.arrive(60, 20), c = gate.arrive(60, 20);
  gate.tables.seqs[b].fork = 1, gate.tables.seqs[c].fork = 2;
  gate.at(0);
  BOOST_TEST(gate.passed(a));
  BOOST_TEST(gate.passed(b));
  BOOST_TEST(gate.wake(c).value() == 20 * kMs);
}

BOOST_AUTO_TEST_CASE(those_behind_one_that_is_cancelled_move_up) {
  Gate gate(bucket(1000, 100));
  gate.arrive(100, 0);
  const auto a = gate.arrive(50, 0), b = gate.arrive(30, 0), c = gate.arrive(10, 0), d = gate.arrive(5, 0);
  gate.at(0);
  BOOST_TEST(gate.wake(d).value() == 95 * kMs);
  gate.cancel(a);
  std::vector<sl_entry> entries = gate.at(10 * kMs);
  BOOST_REQUIRE_EQUAL(entries.size(), 1u);  // the head alone
  BOOST_TEST(gate.wake(b).value() == 30 * kMs);
  gate.cancel(c);
  BOOST_TEST(gate.at(20 * kMs).empty());
  BOOST_TEST(gate.at(30 * kMs).size() == 1u);
  BOOST_TEST(gate.wake(d).value() == 35 * kMs);
  gate.cancel(d);
  gate.at(31 * kMs);
  const auto e = gate.arrive(10, 0);
  gate.at(31 * kMs);
  BOOST_TEST(gate.wake(e).value() == 40 * kMs);  // nothing is left of those that went
}

BOOST_AUTO_TEST_CASE(one_that_the_bucket_can_pay_for_at_once_is_let_go_at_once) {
  Gate gate(bucket(1000, 100));
  gate.arrive(100, 0);
  const auto a = gate.arrive(50, 0), b = gate.arrive(10, 0), c = gate.arrive(10, 0), d = gate.arrive(10, 0);
  gate.at(0);
  gate.cancel(a);
  const std::vector<sl_entry> entries = gate.at(25 * kMs);
  BOOST_REQUIRE_EQUAL(entries.size(), 3u);
  BOOST_TEST(entries[0].verb == SL_RELEASE);
  BOOST_TEST(entries[1].verb == SL_RELEASE);
  BOOST_TEST(gate.passed(b));
  BOOST_TEST(gate.passed(c));
  BOOST_TEST(gate.wake(d).value() == 30 * kMs);
}

BOOST_AUTO_TEST_CASE(what_an_operator_releases_is_not_paid_for) {
  Gate gate(bucket(1000, 100));
  gate.arrive(100, 0);
  const auto a = gate.arrive(50, 0), b = gate.arrive(10, 0);
  gate.at(0);
  gate.operator_releases(a);
  gate.at(1 * kMs);
  BOOST_TEST(gate.wake(b).value() == 10 * kMs);
}

// Against a queue that counts in whole billionths of a token, at random arrivals, cancellations and late calls.
BOOST_AUTO_TEST_CASE(each_passes_as_early_as_the_bucket_allows) {
  std::uint32_t waited = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const std::int64_t rate = 100 + static_cast<std::int64_t>(mix(seed, 1) % 3000),
                       burst = 64 + static_cast<std::int64_t>(mix(seed, 2) % 200);
    Gate gate(bucket(rate, burst));
    std::vector<std::pair<std::uint32_t, std::int64_t>> queue;  // slot, cost
    std::int64_t level = burst * 1000000000;
    std::uint64_t now = 0, draws = 2;
    const auto draw = [&](std::uint64_t n) { return mix(seed, ++draws) % n; };
    const auto due = [&]() -> std::uint64_t {  // of the queue's head
      const std::int64_t missing = queue.front().second - level;
      return missing <= 0 ? now : now + static_cast<std::uint64_t>((missing + rate - 1) / rate);
    };
    const auto go_on = [&](std::uint64_t until) {
      level =
          std::min<std::int64_t>(burst * 1000000000, level + static_cast<std::int64_t>(until - now) * rate);
      now = until;
    };
    for (std::uint64_t i = 0; i < 60 || !queue.empty(); ++i) {
      std::uint64_t next = now + draw(60) * kMs + draw(kMs);
      if (i >= 60) next = SL_NEVER;
      if (!queue.empty()) next = std::min(next, due());
      go_on(next);
      while (!queue.empty() && queue.front().second <= level) {
        level -= queue.front().second;
        const std::uint32_t slot = queue.front().first;
        queue.erase(queue.begin());
        static_cast<void>(gate.at(now));
        BOOST_REQUIRE_MESSAGE(gate.passed(slot), "seed " << seed << ": " << slot << " is late at " << now);
        ++waited;
      }
      for (const auto& [slot, cost] : queue) BOOST_REQUIRE(!gate.passed(slot));
      if (!queue.empty() && draw(4) == 0) {
        const std::size_t which = draw(queue.size());
        gate.cancel(queue[which].first);
        queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(which));
        gate.at(now);
        while (!queue.empty() && queue.front().second <= level) {
          level -= queue.front().second;
          BOOST_REQUIRE(gate.passed(queue.front().first));
          queue.erase(queue.begin());
        }
      }
      if (i >= 60) continue;
      const auto tokens = static_cast<std::uint32_t>(1 + draw(60));
      const std::int64_t cost = static_cast<std::int64_t>(tokens) * 1000000000;
      const std::uint32_t slot = gate.arrive(tokens, 0);
      gate.at(now);
      if (queue.empty() && cost <= level) {
        level -= cost;
        BOOST_REQUIRE(gate.passed(slot));
      } else {
        BOOST_REQUIRE(!gate.passed(slot));
        queue.emplace_back(slot, cost);
      }
    }
  }
  BOOST_TEST(waited >= 500u);
}

BOOST_AUTO_TEST_CASE(levels_and_those_that_wait_outlive_a_hot_swap) {
  Gate gate(bucket(1000, 100));
  gate.arrive(70, 0);
  const auto a = gate.arrive(50, 0), b = gate.arrive(30, 0), c = gate.arrive(40, 0, 1);
  gate.at(0);
  BOOST_TEST(gate.passed(c));
  gate.replace(bucket(1000, 100));
  BOOST_TEST(gate.at(5 * kMs).empty());  // the same times
  const auto d = gate.arrive(70, 0, 1);
  gate.at(6 * kMs);
  BOOST_TEST(gate.wake(d).value() == 10 * kMs);  // the other tenant's level, too
  gate.replace(bucket(500, 100));
  BOOST_TEST(gate.at(9 * kMs).size() == 3u);
  BOOST_TEST(gate.wake(a).value() == 40 * kMs);   // 20 missing since 0
  BOOST_TEST(gate.wake(b).value() == 100 * kMs);  // 30 more
  BOOST_TEST(gate.wake(d).value() == 14 * kMs);   // 4 missing since 6
  gate.replace(bucket(10000, 100));
  BOOST_TEST(gate.at(13 * kMs).size() == 3u);
  for (const auto slot : {a, b, d}) BOOST_TEST(gate.passed(slot));
}

BOOST_AUTO_TEST_CASE(damaged_state_is_refused_and_changes_nothing) {
  Gate gate(bucket(1000, 100));
  gate.arrive(70, 0);
  const auto a = gate.arrive(50, 0);
  gate.at(0);
  const std::vector<std::uint8_t> good = need(gate.policy().save());
  Gate other(bucket(1000, 100));
  for (std::size_t size = 1; size < good.size(); ++size)
    BOOST_TEST(!other.policy().load(std::span(good).first(size)));
  std::vector<std::uint8_t> bad = good;
  bad.push_back(0);
  BOOST_TEST(!other.policy().load(bad));
  bad = good;
  bad[16] = bad[17] = bad[20] = 0xff;  // how many wait
  BOOST_TEST(!other.policy().load(bad));
  other.arrive(100, 0);
  other.at(0);
  BOOST_TEST(other.passed(0));
  BOOST_TEST(gate.wake(a).value() == 20 * kMs);
}

// Handed over by events: what the gate before had parked for good is let go, and nothing is paid for what is there.
BOOST_AUTO_TEST_CASE(after_another_gate) {
  Gate gate(bucket(1000, 100));
  const auto a = gate.arrive(50, 0), b = gate.arrive(50, 0);
  gate.tables.events.clear();
  gate.tables.seqs[a].not_ready = SL_NOT_READY_GATE;
  gate.tables.seqs[b].not_ready = 0;
  for (const auto slot : {a, b}) gate.tables.event(SL_EV_ARRIVED, gate.tables.id(slot), 0, SL_EVENT_HANDOVER);
  gate.tables.event(SL_EV_PARKED, gate.tables.id(a), SL_NEVER, SL_EVENT_HANDOVER);
  gate.tables.event(SL_EV_PARKED, gate.tables.id(a), SL_NEVER);  // once more, meanwhile
  BOOST_REQUIRE_EQUAL(gate.policy().note(gate.tables.view()), SL_OK);
  gate.tables.events.clear();
  const auto c = gate.arrive(100, 0);
  const std::vector<sl_entry> entries = gate.at(0);
  BOOST_REQUIRE_EQUAL(entries.size(), 1u);
  BOOST_TEST(entries[0].verb == SL_RELEASE);
  BOOST_TEST(entries[0].seq == gate.tables.id(a));
  BOOST_TEST(gate.passed(c));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
