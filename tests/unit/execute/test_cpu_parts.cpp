// What the executor is made of: threads that the system must give, RoPE tables, the time of decodes.
#include <sys/resource.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <system_error>

#include "base/steady_clock.hpp"
#include "execute/cpu/cpu_executor.hpp"
#include "tiny_models.hpp"

namespace serveloop::execute::cpu::test {

namespace {

// While it lives, the address space has room for some threads' stacks, not for hundreds.
class FewThreads {
 public:
  FewThreads() {
    getrlimit(RLIMIT_AS, &before_);
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit now = before_;
    now.rlim_cur = pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) + (std::size_t{100} << 20);
    setrlimit(RLIMIT_AS, &now);
  }
  ~FewThreads() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(cpu_parts)

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they map more than any limit
// A thousand threads' stacks do not fit: an error, and those that were started end.
BOOST_AUTO_TEST_CASE(too_few_threads_are_an_error) {
  SteadyClock clock;
  const model::Model model = random(qwen2());
  const auto made = [&] {
    const FewThreads few;
    BOOST_CHECK_THROW(Pool(1024), std::system_error);
    const model::Model again = model::random_model(model.architecture, 3, 1024).value();
    for (const model::Slot& slot : model::slots(model.architecture)) {
      const model::Tensor &a = at(model.weights, slot), &b = at(again.weights, slot);
      BOOST_CHECK_EQUAL(std::memcmp(a.data, b.data, a.bytes()), 0);
    }
    return CpuExecutor::create(clock, model, {1024, 0, 2, 16, 4, 8});
  }();
  BOOST_REQUIRE(!made);
  BOOST_CHECK_EQUAL(made.error().what, "engine.threads");
  BOOST_CHECK(CpuExecutor::create(clock, model, {4, 1, 2, 16, 4, 8}));
}
#endif

BOOST_AUTO_TEST_CASE(decode_time_is_learnt_from_decodes_alone) {
  DecodeTime time;
  BOOST_CHECK_EQUAL(time.of(4, 12, 1600), 400u);  // nothing known: its share of the tokens
  BOOST_CHECK_EQUAL(time.of(0, 12, 1600), 0u);
  BOOST_CHECK_EQUAL(time.of(4, 0, 1000), 1000u);
  BOOST_CHECK_EQUAL(time.of(5, 100, 9000), 1000u);   // 4 to 7 decodes are alike
  BOOST_CHECK_EQUAL(time.of(16, 100, 9000), 1000u);  // the nearest smaller
  BOOST_CHECK_EQUAL(time.of(1, 100, 9000), 1000u);   // else the nearest larger
  BOOST_CHECK_EQUAL(time.of(4, 0, 9000), 1000u);     // stretched by something else
  BOOST_CHECK_EQUAL(time.of(4, 0, 1500), 1500u);     // the average moved by an eighth of 8000, to 2000
}

BOOST_AUTO_TEST_CASE(rope_tables_grow_and_stay) {
  const model::Architecture a = gemma3();
  RopeTables tables(a);
  tables.reserve(1);
  const float* first = tables.cos(model::RopeKind::local, 0);
  tables.reserve(2500);
  BOOST_CHECK_EQUAL(tables.cos(model::RopeKind::local, 0), first);
  for (const model::RopeKind kind : {model::RopeKind::global, model::RopeKind::local}) {
    const std::vector<double> frequencies =
        model::rope_frequencies(a.ropes[static_cast<std::size_t>(kind)], a.head_dim);
    for (const std::uint32_t position : {0u, 1u, 1023u, 1024u, 2047u, 2048u, 2499u})
      for (std::size_t pair = 0; pair < frequencies.size(); ++pair) {
        BOOST_CHECK_EQUAL(tables.cos(kind, position)[pair],
                          static_cast<float>(std::cos(position * frequencies[pair])));
        BOOST_CHECK_EQUAL(tables.sin(kind, position)[pair],
                          static_cast<float>(std::sin(position * frequencies[pair])));
      }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::cpu::test
