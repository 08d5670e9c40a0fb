#define BOOST_TEST_MODULE workloads
#include <spdlog/spdlog.h>

#include <boost/test/unit_test.hpp>

struct Quiet {
  Quiet() { spdlog::set_level(spdlog::level::off); }
};
BOOST_TEST_GLOBAL_FIXTURE(Quiet);
