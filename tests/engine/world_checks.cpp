// What tests hold a world against when it is done.
#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "world.hpp"

namespace serveloop::test {

void check_law_1(const World& world, const std::vector<Ask>& asks, const Outputs& reference) {
  for (const auto& [which, expected] : reference) {
    const auto found = world.outputs().find(which);
    const Tokens got = found == world.outputs().end() ? Tokens{} : found->second;
    const bool cut = asks[which.first].cancel_after > 0;
    if (cut)
      BOOST_REQUIRE_LE(got.size(), expected.size());
    else
      BOOST_REQUIRE_EQUAL(got.size(), expected.size());
    BOOST_REQUIRE(std::equal(got.begin(), got.end(), expected.begin()));
  }
}

void check_ends(const World& world, const Outputs& reference) {
  std::map<std::pair<std::uint64_t, std::uint32_t>, const engine::Finished*> ends;
  for (const engine::Finished& end : world.ends())
    BOOST_REQUIRE(ends.emplace(std::pair(world.ask_of(end.request), end.fork), &end).second);
  BOOST_REQUIRE_EQUAL(ends.size(), reference.size());
  for (const auto& [which, expected] : reference) {
    const engine::Finished& end = *ends.at(which);
    const Tokens& got = world.output_of(end.request, end.fork);
    if (end.finish == SL_FINISH_LENGTH || end.finish == SL_FINISH_STOP)
      BOOST_REQUIRE_EQUAL(got.size(), expected.size());
    else
      BOOST_REQUIRE_LE(got.size(), expected.size());
    BOOST_REQUIRE(std::equal(got.begin(), got.end(), expected.begin()));
  }
}

void check_idle(const World& world) {
  BOOST_REQUIRE_EQUAL(world.engine().audit(true), "");
  BOOST_REQUIRE(!world.engine().busy());
  BOOST_REQUIRE_EQUAL(world.engine().requests().waiting_count(), 0u);
  BOOST_REQUIRE_EQUAL(world.engine().requests().ready_count(), 0u);
  BOOST_REQUIRE(world.engine().requests().holders().empty());
}

}  // namespace serveloop::test
