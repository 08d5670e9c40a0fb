// A run opens with its workers' seats and closes with a barrier, so all that a run wrote is seen by whoever called it.
// Who takes no part is not woken and reads nothing of it.
#include "execute/cpu/pool.hpp"

#include <sched.h>

#include <chrono>

namespace serveloop::execute::cpu {
namespace {

// Between phases of microseconds, workers with cores of their own are hardly ever later than that.
constexpr std::uint64_t kSpinNs = 50'000;

// Where threads share cores, a spinning one keeps the core from whom it waits for.
std::uint64_t spin_ns(unsigned threads) {
  cpu_set_t cores;
  const bool known = sched_getaffinity(0, sizeof(cores), &cores) == 0;
  return known && threads > static_cast<unsigned>(CPU_COUNT(&cores)) ? 0 : kSpinNs;
}

std::uint64_t steady_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

thread_local const Pool* served = nullptr;  // by this thread

}  // namespace

Pool::Pool(unsigned threads, Staffing staffing)
    : staffing_(staffing),
      crew_(threads),
      workers_(threads),
      spin_ns_(spin_ns(threads)),
      seats_(threads),
      threads_(threads - 1) {
  try {
    for (unsigned i = 1; i < threads; ++i) threads_[i - 1] = std::thread([this, i] { serve(i); });
  } catch (...) {
    end();
    throw;
  }
}

void Pool::end() {
  function_ = nullptr;
  for (Signal& seat : seats_) seat.advance();
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

void Pool::start(Function function, const void* argument) {
  if (size() == 1) return function(argument, 0);
  workers_ = staffing_ == Staffing::all ? size() : crew_.workers();
  function_ = function;
  argument_ = argument;
  late_ns_ = 0;
  const std::uint64_t begun = steady_ns();
  for (unsigned worker = 1; worker < workers_; ++worker) seats_[worker].advance();
  function(argument, 0);
  barrier();
  crew_.ran(steady_ns() - begun, late_ns_);
}

void Pool::serve(unsigned worker) {
  served = this;
  for (std::uint32_t seen = 0;; ++seen) {
    seats_[worker].wait_while(seen, spin_ns_);
    if (function_ == nullptr) return;
    function_(argument_, worker);
    barrier();
  }
}

void Pool::meet() {
  const std::uint32_t before = passed_.value();  // cannot move until this one arrived
  const unsigned all = workers_;                 // the next run may change it as soon as this one arrived
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == all) {
    arrived_.store(0, std::memory_order_relaxed);
    return passed_.advance();
  }
  const std::uint64_t slept = passed_.wait_while(before, spin_ns_);
  if (slept > 0 && served != this) late_ns_ += slept;  // worker 0's alone
}

}  // namespace serveloop::execute::cpu
