// A step that preempted admits only the entry it preempted for: else those who yielded would make room for
// newcomers.
#include <boost/test/unit_test.hpp>
#include <set>

#include "facts.hpp"
#include "world.hpp"

namespace serveloop::test {

namespace {

// A scheduler that admits on both sides of what runs, in a pool that is short.
class Pressed {
 public:
  explicit Pressed(std::uint32_t lag) : asks_(asks()), world_(setting(lag), asks_) {
    world_.watched_executor().submitted = [this](const execute::Batch& batch) {
      begun_.clear();
      for (const execute::Begin& begin : batch.begins) begun_.insert({begin.sampling->seed, begin.fork});
    };
  }

  void run() {
    std::uint64_t preemptions = 0, fell = 0;
    for (bool more = true; more;) {
      begun_.clear();
      more = world_.one_step();
      const engine::Counters& c = world_.counters();
      const auto by_memory = c.fell.find(SL_REASON_MEMORY);
      const std::uint64_t fell_now = by_memory == c.fell.end() ? 0 : by_memory->second;
      if (c.preemptions > preemptions)
        check_begun(fell_now > fell);
      else if (!begun_.empty() && fell_now > fell)
        ++waited_;
      preemptions = c.preemptions, fell = fell_now;
    }
    check_idle(world_);
    BOOST_CHECK(world_.counters().fallbacks.empty());
    BOOST_CHECK_GE(dropped_, 5u);  // steps that preempted, and let an admission fall
    BOOST_CHECK_GE(waited_, 5u);   // steps that admitted, and let a running one fall
  }

 private:
  static std::vector<Ask> asks() {
    std::vector<Ask> asks = mixed_asks(80, 11, 60);
    for (std::size_t i = 0; i < asks.size(); ++i) {
      asks[i].spec.sampling.seed = i;  // so that the executor knows whose a row is
      asks[i].cancel_after = 0;
    }
    return asks;
  }
  static Setting setting(std::uint32_t lag) {
    Setting s;
    s.scheduler = "both-sides";
    s.preemption = "probe-preemption";  // which tells for whom it was asked
    s.blocks = 24;
    s.max_sequences = 8;
    s.lag = lag;
    return s;
  }
  void check_begun(bool dropped) {
    const Facts facts = account_of(*world_.engine().policies().preemption);
    const auto for_seq = static_cast<sl_seq>(std::stoull(facts.at("preempt.for_seq")));
    const requests::Slot slot = SL_SEQ_SLOT(for_seq);
    const std::uint64_t request = world_.engine().requests().request_of(slot).request;
    const std::pair<std::uint64_t, std::uint32_t> needy(world_.ask_of(request),
                                                        world_.engine().requests().row(slot).fork);
    for (const auto& who : begun_)
      BOOST_CHECK_MESSAGE(who == needy, "step " << world_.engine().steps() - 1 << " preempted for request "
                                                << needy.first << " and admitted " << who.first);
    dropped_ += dropped ? 1 : 0;
  }

  std::vector<Ask> asks_;
  World world_;
  std::set<std::pair<std::uint64_t, std::uint32_t>> begun_;  // seed (the ask's index) and fork
  std::uint32_t dropped_ = 0, waited_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(preempting_steps)

BOOST_AUTO_TEST_CASE(admit_nobody_but_the_one_in_need) {
  for (const std::uint32_t lag : {0u, 1u}) BOOST_TEST_CONTEXT("lag " << lag) Pressed(lag).run();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
