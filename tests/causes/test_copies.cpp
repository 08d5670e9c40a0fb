// That `transfer` is true: 50 ms in a copy between device and host memory appear there, and nowhere else.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <functional>

#include "stage.hpp"

namespace serveloop::test {
namespace {

using observe::Cause;

constexpr std::int64_t kLate = 50'000'000, kNear = 2'000'000;  // ns; near: what two steps' borders may add

struct Ran {
  std::map<std::uint64_t, engine::Finished> ends;  // by request
  // Copies by ordinal: of the first swap out, of what first came back.
  std::uint64_t first_out = 0, last_out = 0, last_in = 0;
};

using Script = std::function<void(Stage&)>;

Ran run(const Scene& scene, const Script& script, const Script& late = nullptr) {
  Stage stage(scene);
  script(stage);
  if (late) late(stage);
  Ran ran;
  std::uint64_t before_out = 0, before_in = 0;
  stage.after_each_step([&] {  // within a step, what comes back is handed over last
    const engine::Counters& c = stage.engine().counters();
    if (c.swapped_out == 0) before_out = c.copies;
    if (c.brought_in_blocks == 0) before_in = c.copies;
    if (ran.last_out == 0 && c.copies > before_out) ran.first_out = before_out, ran.last_out = c.copies - 1;
    if (ran.last_in == 0 && c.copies > before_in) ran.last_in = c.copies - 1;
  });
  stage.run();
  for (const engine::Finished& end : stage.ends()) ran.ends[end.request] = end;
  BOOST_TEST(stage.engine().counters().copies_failed == 0u);
  return ran;
}

Script delay(std::uint64_t copy) {
  return [copy](Stage& stage) { stage.copies().delay_copy(copy, kLate); };
}

std::int64_t of(const observe::Times& times, Cause cause) { return times[static_cast<std::size_t>(cause)]; }

observe::Times growth(const Ran& base, const Ran& late, std::uint64_t request) {
  observe::Times grown = late.ends.at(request).causes;
  for (std::size_t i = 0; i < observe::kCauses; ++i) grown[i] -= base.ends.at(request).causes[i];
  return grown;
}

// A request's causes grew by so much, those that are not named by nothing, each within `near`.
void check_growth(const observe::Times& grown, const std::map<Cause, std::int64_t>& expected,
                  std::int64_t near) {
  for (std::size_t i = 0; i < observe::kCauses; ++i) {
    const auto cause = static_cast<Cause>(i);
    const std::int64_t by = expected.contains(cause) ? expected.at(cause) : 0;
    BOOST_CHECK_MESSAGE(
        std::abs(grown[i] - by) <= near,
        fmt::format("{} grew by {} ns, not by {} within {}", observe::name_of(cause), grown[i], by, near));
  }
}

// Two requests for which 20 blocks are too few: the second yields, and comes back when the first has ended.
Scene two_on_twenty(std::uint32_t lag) {
  Scene scene;
  scene.preemption = "swap";
  scene.lag = lag;
  scene.blocks = 20;
  scene.host_blocks = 64;
  scene.prefix_cache = false;
  return scene;
}

void two(Stage& stage) {
  stage.at(0, [&stage] {
    stage.request(ask(1, 40, 100));
    stage.request(ask(2, 40, 50));
  });
}

// Runs it; the second request was swapped, once.
Ran swapped(const Scene& scene, const Script& script) {
  const Ran base = run(scene, script);
  BOOST_TEST_REQUIRE(base.ends.at(2).preemptions == 1u);
  BOOST_TEST_REQUIRE(base.ends.at(2).recomputed_tokens <= 1u);
  BOOST_TEST_REQUIRE(base.last_out >= 8u);
  BOOST_TEST_REQUIRE(base.last_in >= 2 * base.last_out);
  return base;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(copies)

// Nobody else runs, so that the loop waits for the copy alone, to the nanosecond.
BOOST_AUTO_TEST_CASE(a_late_copy_in) {
  for (const std::uint32_t lag : {0u, 1u}) BOOST_TEST_CONTEXT("lag " << lag) {
      const Scene scene = two_on_twenty(lag);
      const Ran base = swapped(scene, two);
      for (const std::uint64_t which :
           {base.last_out + 1, base.last_in}) {  // the first that comes back, the last
        const Ran late = run(scene, two, delay(which));
        check_growth(growth(base, late, 1), {}, 0);
        check_growth(growth(base, late, 2), {{Cause::transfer, kLate}}, 0);
      }
    }
}

// A third request decodes meanwhile. It is not held up; who waits for the copy waits until the end of a step.
BOOST_AUTO_TEST_CASE(a_late_copy_in_beside_others) {
  for (const std::uint32_t lag : {0u, 1u}) BOOST_TEST_CONTEXT("lag " << lag) {
      const Scene scene = two_on_twenty(lag);
      const auto three = [](Stage& stage) {
        two(stage);
        stage.at(90, [&stage] { stage.request(ask(3, 8, 55)); });
      };
      const Ran base = swapped(scene, three), late = run(scene, three, delay(base.last_in));
      BOOST_TEST(base.ends.at(3).preemptions == 0u);
      BOOST_TEST(base.ends.at(2).end_ns < base.ends.at(3).end_ns);  // it runs beside the copy and after it
      check_growth(growth(base, late, 1), {}, 0);
      check_growth(growth(base, late, 2), {{Cause::transfer, kLate}}, kNear);
      check_growth(growth(base, late, 3), {}, kNear);
    }
}

// The last block to leave is late. The first request has its memory before that; the second has nothing to wait for but its
// copy, and by so much less for the first one's memory.
BOOST_AUTO_TEST_CASE(a_late_copy_out) {
  for (const std::uint32_t lag : {0u, 1u}) BOOST_TEST_CONTEXT("lag " << lag) {
      const Scene scene = two_on_twenty(lag);
      const Ran base = swapped(scene, two), late = run(scene, two, delay(base.last_out));
      check_growth(growth(base, late, 1), {}, 0);
      BOOST_TEST(observe::sum(growth(base, late, 2)) == 0);
      check_growth(growth(base, late, 2), {{Cause::transfer, kLate}, {Cause::memory, -kLate}}, kNear);
    }
}

// The first block to leave is late: it is the one that the first request needs.
BOOST_AUTO_TEST_CASE(a_late_copy_out_of_memory_in_need) {
  for (const std::uint32_t lag : {0u, 1u}) BOOST_TEST_CONTEXT("lag " << lag) {
      const Scene scene = two_on_twenty(lag);
      const Ran base = swapped(scene, two), late = run(scene, two, delay(base.first_out));
      check_growth(growth(base, late, 1), {{Cause::transfer, kLate}}, kNear);
    }
}

// It is never named while there is no room for it: what holds the room is what it waits for.
BOOST_AUTO_TEST_CASE(one_in_host_memory_waits_for_memory) {
  for (const std::uint32_t lag : {0u, 1u}) BOOST_TEST_CONTEXT("lag " << lag) {
      const Ran base = swapped(two_on_twenty(lag), two);
      const engine::Finished& second = base.ends.at(2);
      BOOST_TEST(of(second.causes, Cause::memory) >= 10 * kNear);
      BOOST_TEST(of(second.causes, Cause::policy) <= kNear);
      BOOST_TEST(second.blocked_by == 1u);
    }
}

// One request at a time. The third drives the second's prompt out to the host, from where it comes for the fourth.
BOOST_AUTO_TEST_CASE(a_late_prefetch) {
  for (const std::uint32_t lag : {0u, 1u}) BOOST_TEST_CONTEXT("lag " << lag) {
      Scene scene;
      scene.lag = lag;
      scene.blocks = 20;
      scene.host_blocks = 40;
      scene.eviction_options = toml::Table{{"ahead_share", 0.5}};
      const auto four = [](Stage& stage) {
        for (const auto& [at, text] :
             std::map<std::uint64_t, std::uint64_t>{{0, 1}, {50, 2}, {100, 3}, {150, 2}})
          stage.at(at, [&stage, text = text] { stage.request(ask(text, 64, 2)); });
      };
      const Ran base = run(scene, four);
      BOOST_TEST(base.ends.at(4).hit_tokens == 56u);
      const Ran late = run(scene, four, delay(base.last_in));
      for (const std::uint64_t request : {1, 2, 3}) check_growth(growth(base, late, request), {}, 0);
      check_growth(growth(base, late, 4), {{Cause::transfer, kLate}}, 0);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
