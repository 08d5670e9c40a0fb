// That causes are true: 50 ms put somewhere appear in that cause alone, less what a lagging device covers.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <functional>

#include "stage.hpp"

namespace serveloop::test {
namespace {

using observe::Cause;

constexpr std::uint64_t kLate = 50'000'000, kAt = 10;  // ns, a step

struct Ran {
  std::vector<engine::Finished> ends;
  std::vector<std::uint64_t> device_ns;  // of each step, by number
};

// Four requests that decode from step 1 on; `more` adds to the script.
Ran run(std::uint32_t lag, const std::function<void(Stage&)>& more) {
  Scene scene;
  scene.lag = lag;
  scene.max_sequences = 5;
  Stage stage(scene);
  Ran ran;
  std::uint64_t before = 0;
  std::vector<std::uint64_t> collected;
  stage.at(0, [&] {
    for (std::uint64_t i = 0; i < 4; ++i) stage.request(ask(10 + i, 12, 40));
  });
  stage.after_each_step([&] {
    const std::uint64_t now = stage.engine().counters().device_ns;
    collected.push_back(now - before);
    before = now;
  });
  more(stage);
  stage.run();
  ran.ends = stage.ends();
  ran.device_ns.assign(collected.begin() + lag, collected.end());  // step k is collected lag steps later
  return ran;
}

// Each request's causes differ by `growth` in `cause` of those named, and nowhere else.
void check_growth(const Ran& base, const Ran& late,
                  const std::map<std::uint64_t, std::pair<Cause, std::int64_t>>& growth) {
  BOOST_REQUIRE_EQUAL(base.ends.size(), late.ends.size());
  for (std::size_t i = 0; i < base.ends.size(); ++i) {
    const engine::Finished &a = base.ends[i], &b = late.ends[i];
    BOOST_REQUIRE_EQUAL(a.request, b.request);
    const auto grows = growth.find(a.request);
    for (std::size_t c = 0; c < observe::kCauses; ++c) {
      const auto cause = static_cast<Cause>(c);
      const std::int64_t expected =
          grows != growth.end() && grows->second.first == cause ? grows->second.second : 0;
      BOOST_CHECK_MESSAGE(b.causes[c] - a.causes[c] == expected,
                          fmt::format("request {}: {} grew by {} ns, not by {}", a.request,
                                      observe::name_of(cause), b.causes[c] - a.causes[c], expected));
    }
  }
}

std::map<std::uint64_t, std::pair<Cause, std::int64_t>> all_four(Cause cause, std::uint64_t ns) {
  std::map<std::uint64_t, std::pair<Cause, std::int64_t>> growth;
  for (std::uint64_t id = 1; id <= 4; ++id) growth[id] = {cause, static_cast<std::int64_t>(ns)};
  return growth;
}

void nothing(Stage&) {}

}  // namespace

BOOST_AUTO_TEST_SUITE(injection)

// At lag 1 the device works off step kAt - 1 while the host plans kAt.
BOOST_AUTO_TEST_CASE(in_a_policy) {
  for (const std::uint32_t lag : {0u, 1u}) {
    const Ran base = run(lag, nothing);
    const Ran late =
        run(lag, [](Stage& s) { s.at(kAt, [&s] { s.clock().delay_next(Phase::policy, kLate); }); });
    const std::uint64_t covered = lag == 0 ? 0 : base.device_ns[kAt - 1];
    if (lag == 1) BOOST_CHECK_GT(covered, 1'000'000u);
    check_growth(base, late, all_four(Cause::host_policy, kLate - covered));
  }
}

// Tokens are handed out after step kAt - lag was collected; at lag 1 the device then works off step kAt.
BOOST_AUTO_TEST_CASE(in_handing_out_tokens) {
  for (const std::uint32_t lag : {0u, 1u}) {
    const Ran base = run(lag, nothing);
    const Ran late =
        run(lag, [](Stage& s) { s.at(kAt, [&s] { s.clock().delay_next(Phase::tokens, kLate); }); });
    check_growth(base, late, all_four(Cause::host_tokens, kLate - (lag == 0 ? 0 : base.device_ns[kAt])));
  }
}

BOOST_AUTO_TEST_CASE(in_the_hosts_own_work) {
  for (const std::uint32_t lag : {0u, 1u}) {
    const Ran base = run(lag, nothing);
    const Ran late =
        run(lag, [](Stage& s) { s.at(kAt, [&s] { s.clock().delay_next(Phase::other, kLate); }); });
    check_growth(base, late, all_four(Cause::host_other, kLate - (lag == 0 ? 0 : base.device_ns[kAt - 1])));
  }
}

BOOST_AUTO_TEST_CASE(in_the_executor) {
  for (const std::uint32_t lag : {0u, 1u}) {
    const Ran base = run(lag, nothing);
    const Ran late = run(lag, [](Stage& s) { s.device().delay_step(kAt, kLate); });
    check_growth(base, late, all_four(Cause::device, kLate));
  }
}

BOOST_AUTO_TEST_CASE(in_anothers_prefill) {
  for (const std::uint32_t lag : {0u, 1u}) {
    const auto fifth = [](Stage& s) { s.at(kAt, [&s] { s.request(ask(99, 64, 5)); }); };
    const Ran base = run(lag, fifth);
    const Ran late = run(lag, [&](Stage& s) {
      fifth(s);
      s.device().delay_step(kAt, kLate);
    });
    auto growth = all_four(Cause::stretched, kLate);
    growth[5] = {Cause::prefill, static_cast<std::int64_t>(kLate)};
    check_growth(base, late, growth);
  }
}

// A sixth request that waits for one of five slots meanwhile sees only the wait grow.
BOOST_AUTO_TEST_CASE(while_another_waits) {
  for (const std::uint32_t lag : {0u, 1u}) {
    const auto two = [](Stage& s) {
      s.at(3, [&s] {
        s.request(ask(98, 8, 40));
        s.request(ask(99, 8, 5));
      });
    };
    const Ran base = run(lag, two);
    const Ran late = run(lag, [&](Stage& s) {
      two(s);
      s.device().delay_step(kAt, kLate);
    });
    auto growth = all_four(Cause::device, kLate);
    growth[5] = {Cause::device, static_cast<std::int64_t>(kLate)};
    growth[6] = {Cause::slots, static_cast<std::int64_t>(kLate)};
    check_growth(base, late, growth);
  }
}

// A front end that takes 50 ms to make tokens of the text.
BOOST_AUTO_TEST_CASE(in_intake) {
  for (const std::uint32_t lag : {0u, 1u}) {
    observe::Times causes[2];
    for (const bool slow : {false, true}) {
      Scene scene;
      scene.lag = lag;
      Stage stage(scene);
      stage.at(0, [&] {
        requests::RequestSpec spec = ask(1, 8, 10);
        spec.arrival_ns = stage.clock().now_ns();
        engine::Message message;
        message.what = engine::Message::What::arrive;
        message.arrival = *stage.engine().prepare(spec);
        if (slow) stage.wait(kLate);
        message.arrival->ready_ns = stage.clock().now_ns();
        stage.engine().inject(std::move(message));
      });
      stage.run();
      causes[slow] = stage.ends().front().causes;
    }
    causes[0][static_cast<std::size_t>(Cause::intake)] += kLate;
    BOOST_CHECK(causes[0] == causes[1]);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
