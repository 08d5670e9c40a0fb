// Copies between device and host memory: what moves, what fails, and that passes go on meanwhile.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "small_executor.hpp"

namespace serveloop::execute::cpu::test {

namespace {

const std::vector<std::uint32_t> kOther = {9, 8, 7, 6, 5, 4};

// Where a copy is held up until a test lets it go, and a pass until the copy is under way. Who waits for long gives up, so
// that an executor which does one after the other fails a test instead of hanging.
class Meeting {
 public:
  void copy_comes() {
    std::unique_lock lock(mutex_);
    under_way_ = true;
    changed_.notify_all();
    in_time_ = changed_.wait_for(lock, kPatience, [this] { return let_go_; }) && in_time_;
  }
  void await_copy() {
    std::unique_lock lock(mutex_);
    in_time_ = changed_.wait_for(lock, kPatience, [this] { return under_way_; }) && in_time_;
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    let_go_ = true;
    changed_.notify_all();
  }
  bool in_time() {
    const std::lock_guard lock(mutex_);
    return in_time_;
  }

 private:
  static constexpr std::chrono::seconds kPatience{10};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool under_way_ = false, let_go_ = false, in_time_ = true;
};

// The end of a pass: not before the copy is under way.
class Waiting final : public Sampler {
 public:
  explicit Waiting(Meeting& meeting) : meeting_(meeting) {}
  std::uint32_t sample(const SampleAt&, float*, int, std::vector<TokenLogprob>&) const override {
    meeting_.await_copy();
    return 3;
  }

 private:
  Meeting& meeting_;
};

// Sequence 0's two blocks, computed into blocks 3 and 1. Returns the token behind them.
std::uint32_t fill(Small& s) {
  s.begin(0, kPrompt, {3, 1});
  return s.run({{0, 0, 6, true, false}}).tokens[0];
}

// The same token, where its first block is read from `first`.
std::uint32_t token_with(Small& s, std::uint32_t first) {
  s.begin(0, kPrompt, {first, 2});
  const Collected done = s.run({{0, 4, 2, true, false}});
  BOOST_REQUIRE_MESSAGE(!done.failed, done.why);
  return done.tokens[0];
}

void await_copies(Small& s, std::uint64_t ended) {
  for (Collected done = s.run({}); done.copies_ended < ended; done = s.run({}))
    BOOST_REQUIRE(done.copies_failed.empty());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cpu_copies)

// Out to host memory, overwritten on the device meanwhile, and back into another block.
BOOST_AUTO_TEST_CASE(a_block_comes_back_from_host_memory) {
  for (const std::uint32_t lag : {0u, 1u}) {
    Small s(lag, 1, 2);
    s.begin(0, kPrompt, {3, 1});
    const std::uint32_t first = s.run({{0, 0, 6, true, false}}).tokens[0];
    s.copies = {{3, 1, SL_TIER_DEVICE, SL_TIER_HOST}};
    Collected done = s.run({});  // without rows it waits for the copy
    BOOST_REQUIRE_EQUAL(done.copies_ended, 1u);
    s.begin(1, {9, 9, 9, 9, 9}, {3, 2});
    s.run({{1, 0, 5, true, false}});
    s.copies = {{1, 5, SL_TIER_HOST, SL_TIER_DEVICE}};
    done = s.run({});
    BOOST_REQUIRE_EQUAL(done.copies_ended, 2u);
    BOOST_CHECK(done.copies_failed.empty());
    s.begin(1, kPrompt, {5, 6});
    done = s.run({{1, 4, 2, true, false}});
    BOOST_REQUIRE_MESSAGE(!done.failed, done.why);
    BOOST_CHECK_EQUAL(done.tokens[0], first);
  }
}

BOOST_AUTO_TEST_CASE(a_copy_of_no_block_fails_and_touches_nothing) {
  Small s(1, 1, 2);
  s.begin(0, kPrompt, {3, 1});
  const std::uint32_t first = s.run({{0, 0, 6, true, false}}).tokens[0];
  s.copies = {{3, 0, SL_TIER_DEVICE, SL_TIER_HOST},
              {3, 2, SL_TIER_DEVICE, SL_TIER_HOST},
              {8, 1, SL_TIER_DEVICE, SL_TIER_HOST},
              {0, 3, SL_TIER_HOST, SL_TIER_NONE}};
  std::vector<std::uint64_t> failed;
  std::uint64_t ended = 0;
  while (ended < 4) {
    const Collected done = s.run({});
    BOOST_REQUIRE_GT(done.copies_ended, ended);
    ended = done.copies_ended;
    failed.insert(failed.end(), done.copies_failed.begin(), done.copies_failed.end());
  }
  BOOST_CHECK((failed == std::vector<std::uint64_t>{1, 2, 3}));
  s.begin(1, kPrompt, {3, 1});
  BOOST_CHECK_EQUAL(s.run({{1, 4, 2, true, false}}).tokens[0], first);
}

// Two passes begin and end between a copy's beginning and its end.
BOOST_AUTO_TEST_CASE(passes_go_on_while_a_copy_is_under_way) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const unsigned threads : {1u, 2u}) BOOST_TEST_CONTEXT("lag " << lag << ", threads " << threads) {
        Meeting meeting;
        Small s(lag, threads, 2);
        fill(s);
        s.executor->set_sampler(std::make_unique<Waiting>(meeting));
        s.executor->watch_copies([&](const BlockCopy&) {
          meeting.copy_comes();
          return true;
        });
        s.begin(1, kOther, {0, 7});
        s.copies = {{3, 0, SL_TIER_DEVICE, SL_TIER_HOST}};
        Collected done = s.run({{1, 0, 6, true, false}});
        BOOST_CHECK_MESSAGE(!done.failed, done.why);
        BOOST_CHECK_EQUAL(done.tokens[0], 3u);
        BOOST_CHECK_EQUAL(done.copies_ended, 0u);
        done = s.run({{1, 6, 1, true, true}});
        BOOST_CHECK_MESSAGE(!done.failed, done.why);
        BOOST_CHECK_EQUAL(done.copies_ended, 0u);
        meeting.let_go();
        done = s.run({});
        BOOST_CHECK_EQUAL(done.copies_ended, 1u);
        BOOST_CHECK(meeting.in_time());
      }
}

// Nobody waits for anybody but for what the contract says, so that ThreadSanitizer sees any other meeting: one sequence's
// blocks go out again and again beside passes of another one.
BOOST_AUTO_TEST_CASE(copies_and_passes_share_nothing) {
  constexpr std::uint64_t kRounds = 64;
  for (const std::uint32_t lag : {0u, 1u})
    for (const unsigned threads : {1u, 2u}) BOOST_TEST_CONTEXT("lag " << lag << ", threads " << threads) {
        Small s(lag, threads, 4);
        const std::uint32_t token = fill(s);
        s.begin(1, kOther, {0, 7});
        const std::uint32_t other = s.run({{1, 0, 6, true, false}}).tokens[0];
        std::uint64_t late = 0;
        for (std::uint64_t round = 0; round < kRounds; ++round) {
          for (const std::uint32_t host : {0u, 1u, 2u, 3u})
            s.copies.push_back({3, host, SL_TIER_DEVICE, SL_TIER_HOST});
          s.begin(1, kOther, {0, 7});
          const Collected done = s.run({{1, 0, 6, true, false}});
          BOOST_REQUIRE_MESSAGE(!done.failed, done.why);
          BOOST_REQUIRE_EQUAL(done.tokens[0], other);
          late += done.copies_ended < s.handed_over ? 1 : 0;
        }
        BOOST_TEST_MESSAGE(late << " of " << kRounds << " batches came back before their copies");
        await_copies(s, s.handed_over);
        for (const std::uint32_t host : {0u, 1u, 2u, 3u}) {
          s.copies = {{host, 5, SL_TIER_HOST, SL_TIER_DEVICE}};
          await_copies(s, s.handed_over + 1);
          BOOST_CHECK_EQUAL(token_with(s, 5), token);
        }
      }
}

// Where the watcher says so, which stands for a device's error: the others go on.
BOOST_AUTO_TEST_CASE(a_copy_can_be_made_to_fail) {
  Small s(0, 1, 3);
  fill(s);
  s.executor->watch_copies([](const BlockCopy& copy) { return copy.to != 1; });
  s.copies = {{3, 0, SL_TIER_DEVICE, SL_TIER_HOST},
              {3, 1, SL_TIER_DEVICE, SL_TIER_HOST},
              {3, 2, SL_TIER_DEVICE, SL_TIER_HOST}};
  std::vector<std::uint64_t> failed;
  for (std::uint64_t ended = 0; ended < 3;) {
    const Collected done = s.run({});
    ended = done.copies_ended;
    failed.insert(failed.end(), done.copies_failed.begin(), done.copies_failed.end());
  }
  BOOST_CHECK((failed == std::vector<std::uint64_t>{1}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::cpu::test
