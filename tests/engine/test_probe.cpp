// What policies read, field by field, against the truth: probe plugins tell all that reached them, after each
// call. The truths are in truth_*.cpp, a table for each row; who knows them without those rows is in witness.hpp.
#include <boost/test/unit_test.hpp>

#include "probed.hpp"

namespace serveloop::test {

BOOST_AUTO_TEST_SUITE(probe_plugins)

BOOST_AUTO_TEST_CASE(every_field_is_the_truth_and_what_nothing_fills_is_listed) {
  Seen stated, silent;
  for (const std::uint32_t lag : {0u, 1u}) {
    Probed(lag, false).run(stated);
    Probed(lag, true).run(silent);
  }
  check_listed(stated, silent);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
