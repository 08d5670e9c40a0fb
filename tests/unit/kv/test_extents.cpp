// Contiguous extents against a pool of single blocks that is searched from its start.
#include <boost/test/unit_test.hpp>
#include <random>
#include <vector>

#include "kv/extents.hpp"

namespace serveloop::test {

namespace {

// First fit, block by block.
class Bitmap {
 public:
  explicit Bitmap(std::uint32_t blocks) : taken_(blocks) {}
  std::optional<std::uint32_t> take(std::uint32_t blocks) {
    for (std::uint32_t start = 0; start + blocks <= taken_.size(); ++start) {
      if (std::any_of(taken_.begin() + start, taken_.begin() + start + blocks, [](bool t) { return t; }))
        continue;
      std::fill_n(taken_.begin() + start, blocks, true);
      return start;
    }
    return std::nullopt;
  }
  void give_back(std::uint32_t start, std::uint32_t blocks) {
    std::fill_n(taken_.begin() + start, blocks, false);
  }
  std::uint32_t free() const {
    return static_cast<std::uint32_t>(std::count(taken_.begin(), taken_.end(), false));
  }
  std::size_t pieces() const {
    std::size_t pieces = 0;
    for (std::size_t i = 0; i < taken_.size(); ++i) pieces += !taken_[i] && (i == 0 || taken_[i - 1]) ? 1 : 0;
    return pieces;
  }

 private:
  std::vector<bool> taken_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(extents)

BOOST_AUTO_TEST_CASE(first_fit_is_that_of_a_search_block_by_block) {
  std::mt19937 draw(5);
  std::size_t fragmented = 0, most_pieces = 0;
  for (const std::uint32_t size : {1u, 7u, 64u, 300u}) {
    kv::Extents extents(size);
    Bitmap model(size);
    struct Held {
      std::uint32_t start, blocks;
    };
    std::vector<Held> held;
    for (int i = 0; i < 10000; ++i) {
      if (draw() % 2 == 0 || held.empty()) {
        const std::uint32_t blocks = 1 + draw() % std::min(size, 24u);
        const auto start = extents.take(blocks);
        const auto expected = model.take(blocks);
        BOOST_REQUIRE(start == expected);
        if (start) held.push_back({*start, blocks});
        fragmented += !start && extents.free() >= blocks ? 1 : 0;
      } else {
        std::swap(held[draw() % held.size()], held.back());
        extents.give_back(held.back().start, held.back().blocks);
        model.give_back(held.back().start, held.back().blocks);
        held.pop_back();
      }
      BOOST_REQUIRE_EQUAL(extents.free(), model.free());
      BOOST_REQUIRE_EQUAL(extents.pieces(), model.pieces());
      most_pieces = std::max(most_pieces, extents.pieces());
    }
  }
  BOOST_TEST(fragmented >= 100u);
  BOOST_TEST(most_pieces >= 10u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
