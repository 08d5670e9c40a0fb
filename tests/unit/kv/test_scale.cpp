// Cost follows change: a step costs the same whatever is cached. Runs in suite `long`.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>

#include "rig.hpp"

namespace serveloop::kv::test {

namespace {

constexpr std::uint32_t kRunning = 256, kTokens = 16;

// `cached` idle blocks of old prompts, and a batch that decodes while requests come and go.
class Load {
 public:
  explicit Load(std::uint32_t cached) : rig({(1u << 20) + (1u << 16), 0, kTokens, kRunning + 1, 0}) {
    for (std::uint32_t i = 0; i * 256 < cached; ++i) {
      rig.bind(kRunning, text(100 + i / 4, 128, kTokens) + text(10000 + i, i % 4 == 0 ? 128 : 256, kTokens));
      rig.prefill(kRunning, i % 4 == 0 ? 256 : 384);
      rig.cache.unbind(kRunning);
      drain();
    }
    for (Slot slot = 0; slot < kRunning; ++slot) {
      rig.bind(slot, text(50000 + slot, 8, kTokens));
      rig.prefill(slot, 8);
      drain();
    }
  }

  double step_us() {
    const auto start = std::chrono::steady_clock::now();
    const std::uint32_t index = 8 + step_ / 16, from = kRunning / 16 * (step_ % 16);
    for (Slot slot = from; slot < from + kRunning / 16; ++slot) {
      rig.cache.extend(slot, index + 1);
      rig.cache.index_generated(slot, index, block_, step_);
    }
    rig.cache.begin_plan();
    rig.cache.bind(kRunning, step_, kSalt, prompt_, keys_, false);
    rig.prefill(kRunning, 64);
    rig.cache.unbind(kRunning);
    const auto victims = rig.cache.fallback_victims(64);
    BOOST_TEST_REQUIRE(rig.cache.check(victims, 64) == 0);
    rig.cache.apply(victims);
    drain();
    ++step_;
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  }

  Rig rig;

 private:
  void drain() {
    rig.cache.clear_block_events();
    rig.cache.node_events().clear();
    rig.cache.edits().clear();
  }
  std::uint32_t step_ = 0;
  std::vector<Token> block_ = text(7, 1, kTokens), prompt_ = text(8, 64, kTokens);
  std::vector<Key> keys_ = rig.keys(prompt_);
};

double median(std::vector<double> of) {
  std::nth_element(of.begin(), of.begin() + static_cast<std::ptrdiff_t>(of.size() / 2), of.end());
  return of[of.size() / 2];
}

}  // namespace

BOOST_AUTO_TEST_SUITE(scale, *boost::unit_test::disabled())

BOOST_AUTO_TEST_CASE(a_million_cached_blocks_do_not_slow_a_step) {
  const auto few = std::make_unique<Load>(1000), many = std::make_unique<Load>(1u << 20);
  BOOST_TEST(many->rig.evictable() >= 1000000u);
  std::vector<double> few_us, many_us;
  for (std::uint32_t step = 0; step < 1500; ++step) {  // interleaved, so that both see the same machine
    few_us.push_back(few->step_us());
    many_us.push_back(many->step_us());
  }
  const double ratio = median(many_us) / median(few_us);
  BOOST_TEST_MESSAGE("a step: " << median(few_us) << " us with 1 k cached blocks, " << median(many_us)
                                << " us with 1 M, ratio " << ratio);
  BOOST_TEST(ratio < 2.0);  // generous: cold memory; a scan would be hundreds
  BOOST_TEST(many->rig.cache.audit(false) == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::kv::test
