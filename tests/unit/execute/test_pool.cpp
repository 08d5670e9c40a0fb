// The pool: barriers where threads have cores of their own, where they share them, and where others have them; and how
// many workers a run takes.
#include <sched.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>

#include "execute/cpu/pool.hpp"

namespace serveloop::execute::cpu::test {

namespace {

using std::chrono::steady_clock;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 1000;
#else
constexpr int kRounds = 5000;
#endif
constexpr std::uint64_t kMs = 1'000'000;

// Threads that always compute, two for each core of this process.
class BusyCores {
 public:
  BusyCores() {
    cpu_set_t cores;
    BOOST_REQUIRE_EQUAL(sched_getaffinity(0, sizeof(cores), &cores), 0);
    for (int i = 0; i < 2 * CPU_COUNT(&cores); ++i)
      threads_.emplace_back([this] {
        while (!stop_.load(std::memory_order_relaxed)) {
        }
      });
  }
  ~BusyCores() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

void compute_for(std::chrono::microseconds time) {
  const auto until = steady_clock::now() + time;
  while (steady_clock::now() < until) {
  }
}

// Sums of what all wrote that are wrong, over rounds of two barriers each.
int wrong_sums(Pool& pool, int rounds) {
  std::vector<std::int64_t> written(pool.size());
  std::atomic<int> wrong{0};
  const auto work = [&](unsigned worker) noexcept {
    for (int round = 1; round <= rounds; ++round) {
      written[worker] = std::int64_t{round} * (worker + 1);
      pool.barrier();
      std::int64_t sum = 0;
      for (const std::int64_t one : written) sum += one;
      wrong += sum != std::int64_t{round} * pool.size() * (pool.size() + 1) / 2;
      pool.barrier();
    }
  };
  pool.run(work);
  return wrong;
}

double seconds_since(steady_clock::time_point begun) {
  return std::chrono::duration<double>(steady_clock::now() - begun).count();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pool)

BOOST_AUTO_TEST_CASE(workers_meet_at_barriers) {
  for (const unsigned threads : {1u, 2u, 5u}) {
    Pool pool(threads);
    std::vector<int> counts(threads);
    std::atomic<int> wrong{0};
    const auto work = [&](unsigned worker) noexcept {
      for (int round = 1; round <= 200; ++round) {
        counts[worker] = round;
        pool.barrier();
        for (const int count : counts) wrong += count != round;
        pool.barrier();
      }
    };
    for (int run = 0; run < 20; ++run) pool.run(work);
    BOOST_CHECK_EQUAL(wrong.load(), 0);
    std::int64_t at = 0;
    for (unsigned worker = 0; worker < threads; ++worker) {
      const Share share = pool.share(37, worker, 16);
      BOOST_CHECK_EQUAL(share.begin, at);
      BOOST_CHECK(share.end == 37 || share.end % 16 == 0);
      at = share.end;
    }
    BOOST_CHECK_EQUAL(at, 37);
  }
}

// Eight on two cores, say: most of them sleep at any time, and no wake-up is lost.
BOOST_AUTO_TEST_CASE(more_threads_than_cores_meet) {
  Pool pool(8);
  const auto begun = steady_clock::now();
  BOOST_CHECK_EQUAL(wrong_sums(pool, kRounds), 0);
  for (int run = 0; run < kRounds; ++run) BOOST_CHECK_EQUAL(wrong_sums(pool, 1), 0);
  BOOST_CHECK_LT(seconds_since(begun), 60);
}

// Beside threads that never sleep, one that waits must not give its time slices away: a round takes
// the longer of both workers' times, not several slices of milliseconds.
BOOST_AUTO_TEST_CASE(workers_meet_beside_busy_threads) {
  Pool pool(2);
  const BusyCores busy;
  const auto begun = steady_clock::now();
  const auto work = [&](unsigned worker) noexcept {
    for (unsigned round = 0; round < 2000; ++round) {
      if (round % 2 == worker) compute_for(std::chrono::microseconds(150));
      pool.barrier();
    }
  };
  pool.run(work);
  BOOST_TEST_MESSAGE(seconds_since(begun) << " s");
  BOOST_CHECK_LT(seconds_since(begun), 10);
}

// Runs between two sleeps of the workers, so that each has to wake them.
BOOST_AUTO_TEST_CASE(workers_that_sleep_are_woken) {
  Pool pool(3);
  for (int run = 0; run < 50; ++run) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    BOOST_CHECK_EQUAL(wrong_sums(pool, 2), 0);
  }
}

// Whoever sleeps for others more than half of the time does better with half of them, and tries again later.
BOOST_AUTO_TEST_CASE(a_crew_shrinks_while_it_waits_for_its_members) {
  Crew crew(4);
  crew.ran(19 * kMs, 18 * kMs);
  BOOST_CHECK_EQUAL(crew.workers(), 4u);  // too short to tell
  crew.ran(1 * kMs, 0);
  BOOST_CHECK_EQUAL(crew.workers(), 2u);
  crew.ran(20 * kMs, 11 * kMs);
  BOOST_CHECK_EQUAL(crew.workers(), 1u);
  for (int i = 0; i < 399; ++i) {
    crew.ran(1 * kMs, 0);
    BOOST_CHECK_EQUAL(crew.workers(), 1u);
  }
  crew.ran(1 * kMs, 0);  // twenty times the trial
  BOOST_CHECK_EQUAL(crew.workers(), 2u);
  crew.ran(1 * kMs, 0);
  BOOST_CHECK_EQUAL(crew.workers(), 4u);
  for (int i = 0; i < 100; ++i) crew.ran(10 * kMs, 5 * kMs);
  BOOST_CHECK_EQUAL(crew.workers(), 4u);  // half is not more than half
}

BOOST_AUTO_TEST_CASE(a_crew_bears_a_slow_moment_and_forgets_it) {
  Crew crew(2);
  for (int i = 0; i < 1000; ++i) {
    crew.ran(100 * kMs, i % 10 == 9 ? 90 * kMs : 0);
    BOOST_CHECK_EQUAL(crew.workers(), 2u);
  }
  Crew odd(5);
  odd.ran(30 * kMs, 20 * kMs);
  BOOST_CHECK_EQUAL(odd.workers(), 2u);
  odd.ran(600 * kMs, 0);
  odd.ran(1, 0);
  BOOST_CHECK_EQUAL(odd.workers(), 5u);
}

// A run by fewer: those alone work, and their shares cover all.
BOOST_AUTO_TEST_CASE(a_run_may_take_fewer_workers) {
  Pool pool(2, Staffing::fitting);
  std::atomic<int> covered{0};
  bool alone = false;
  const auto late = [&](unsigned worker) noexcept {
    if (worker == 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  };
  const auto count = [&](unsigned worker) noexcept {
    const Share share = pool.share(100, worker);
    covered += static_cast<int>(share.end - share.begin);
  };
  for (int run = 0; run < 200 && !alone; ++run) {
    pool.run(late);
    alone = pool.workers() == 1;
  }
  BOOST_CHECK(alone);
  pool.run(count);
  BOOST_CHECK_EQUAL(pool.workers(), 1u);
  BOOST_CHECK_EQUAL(covered.load(), 100);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::cpu::test
