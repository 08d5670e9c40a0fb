#include <boost/test/unit_test.hpp>
#include <cstring>
#include <map>
#include <memory>
#include <random>

#include "naive_ledger.hpp"

namespace serveloop::observe::test {
namespace {

// Drives both ledgers through the same random life of an engine.
class Pair {
 public:
  explicit Pair(std::uint64_t seed) : random_(seed) {}

  void slot() {
    const std::uint64_t start = now_;
    arrivals();
    host_work();
    for (auto& [id, open] : open_)  // the plan: a state for each new sequence, another one for some
      if (open.state == State::none ? draw(8) != 0 : draw(3) == 0) enter(id, open);
    const SlotEnd end = work_off(start);
    if (draw(6) == 0) arrivals();  // while the device was busy; its plan comes later
    host_work_until(end.end_ns);
    ledger_.end_slot(end);
    std::map<int, std::pair<std::uint32_t, std::uint32_t>> prefill;
    for (auto& [id, open] : open_) {
      if (open.state != State::prefill) continue;
      const std::uint32_t tokens = 1 + draw(9), recompute = draw(tokens + 1);
      prefill[id] = {recompute, tokens};
      ledger_.add_prefill(*open.account, recompute, tokens);
    }
    naive_.end_slot(end, prefill);
    now_ = end.end_ns;
    host_work();
    endings();
  }
  void finish() {
    while (!open_.empty()) close(open_.begin()->first);
  }

 private:
  struct Open {
    std::unique_ptr<Account> account = std::make_unique<Account>();
    State state = State::none;
    std::uint64_t arrival = 0;
  };
  std::uint32_t draw(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

  void arrivals() {
    for (std::uint32_t n = draw(3); n > 0; --n) {
      Open open;
      const std::uint64_t ready = now_ - std::min<std::uint64_t>(now_, draw(20));
      open.arrival = ready - std::min<std::uint64_t>(ready, draw(10));
      ledger_.open(*open.account, open.arrival, ready);
      naive_.open(next_id_, open.arrival, ready);
      open_[next_id_++] = std::move(open);
    }
  }
  void enter(int id, Open& open) {
    for (std::uint32_t n = 1 + draw(2); n > 0; --n) {  // the last one counts
      open.state = static_cast<State>(1 + draw(static_cast<std::uint32_t>(State::count) - 1));
      ledger_.enter(*open.account, open.state);
      naive_.enter(id, open.state);
    }
  }
  void host_work() {
    for (std::uint32_t n = draw(4); n > 0; --n) {
      now_ += draw(7);
      const auto phase = static_cast<Phase>(draw(3));
      ledger_.mark(phase, now_);
      naive_.mark(phase, now_);
    }
  }
  void host_work_until(std::uint64_t end) {
    if (draw(2) == 0) return;
    now_ = std::min(end, now_ + draw(5));
    ledger_.mark(Phase::policy, now_);
    naive_.mark(Phase::policy, now_);
  }
  // A device that may have started before this slot (lag 1), ends in it or runs nothing.
  SlotEnd work_off(std::uint64_t start) {
    SlotEnd end;
    end.end_ns = now_ + draw(30);
    end.exhausted = static_cast<Cause>(static_cast<std::uint32_t>(Cause::memory) + draw(4));
    if (draw(5) == 0) return end;
    end.device_start_ns = start - std::min<std::uint64_t>(start, draw(2) == 0 ? draw(10) : 0) + draw(5);
    end.device_end_ns = std::max<std::uint64_t>(end.device_start_ns,
                                                end.end_ns - std::min<std::uint64_t>(end.end_ns, draw(6)));
    end.decode_ns = draw(25);
    end.prefill_in_batch = draw(2) == 0;
    return end;
  }
  void endings() {
    std::vector<int> over;
    for (const auto& [id, open] : open_)
      if (draw(6) == 0) over.push_back(id);
    for (const int id : over) close(id);
  }
  void close(int id) {
    const Open& open = open_.at(id);
    const std::uint64_t end = std::max(now_, open.arrival);
    // The plan of the slot under way may have given it another state.
    const State state = draw(2) == 0
                            ? open.state
                            : static_cast<State>(1 + draw(static_cast<std::uint32_t>(State::count) - 1));
    const bool busy = draw(2) == 0;
    const Times times = ledger_.close(*open.account, end, state, busy),
                expected = naive_.close(id, end, state, busy);
    for (std::size_t c = 0; c < kCauses; ++c)
      BOOST_REQUIRE_MESSAGE(times[c] == expected[c], "sequence " << id << ", "
                                                                 << name_of(static_cast<Cause>(c)) << ": "
                                                                 << times[c] << " for " << expected[c]);
    BOOST_REQUIRE_EQUAL(sum(times), static_cast<std::int64_t>(end - open.arrival));
    open_.erase(id);
  }

  std::mt19937_64 random_;
  Ledger ledger_{0};
  NaiveLedger naive_;
  std::map<int, Open> open_;
  std::uint64_t now_ = 0;
  int next_id_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(ledger)

BOOST_AUTO_TEST_CASE(agrees_with_one_that_walks_every_sequence) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) BOOST_TEST_CONTEXT("seed " << seed) {
      Pair pair(seed);
      for (int i = 0; i < 60; ++i) pair.slot();
      pair.finish();
    }
}

// Law 5: a slot writes to no account whose state did not change.
BOOST_AUTO_TEST_CASE(unchanged_sequences_cost_nothing) {
  Ledger ledger(0);
  std::vector<Account> accounts(1000);
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    ledger.open(accounts[i], 0, 0);
    ledger.enter(accounts[i], static_cast<State>(1 + i % 9));  // all but prefill
  }
  ledger.end_slot({.end_ns = 10});
  std::vector<Account> before = accounts;
  for (std::uint64_t slot = 2; slot <= 1000; ++slot)
    ledger.end_slot({.end_ns = slot * 10,
                     .device_start_ns = slot * 10 - 8,
                     .device_end_ns = slot * 10 - 2,
                     .decode_ns = 5});
  BOOST_CHECK(std::memcmp(before.data(), accounts.data(), accounts.size() * sizeof(Account)) == 0);
  for (Account& account : accounts)
    BOOST_CHECK_EQUAL(sum(ledger.close(account, 10'000, account.state, false)), 10'000);
}

BOOST_AUTO_TEST_CASE(every_cause_has_a_name) {
  std::map<std::string, int> names;
  for (std::size_t c = 0; c < kCauses; ++c) ++names[name_of(static_cast<Cause>(c))];
  BOOST_CHECK_EQUAL(names.size(), kCauses);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::observe::test
