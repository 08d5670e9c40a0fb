// A covering array: few settings in which every two values of any two factors meet (Cohen, Dalal, Fredman and Patton,
// 1997, the greedy way). Deterministic.
#pragma once

#include <cstddef>
#include <set>
#include <tuple>
#include <vector>

namespace serveloop::test {

using Row = std::vector<std::size_t>;                                         // one value a factor
using Pair = std::tuple<std::size_t, std::size_t, std::size_t, std::size_t>;  // factor, value, factor, value

// All pairs of values of two factors; sizes: how many values each factor has.
inline std::set<Pair> pairs_of(const std::vector<std::size_t>& sizes) {
  std::set<Pair> pairs;
  for (std::size_t a = 0; a < sizes.size(); ++a)
    for (std::size_t b = a + 1; b < sizes.size(); ++b)
      for (std::size_t i = 0; i < sizes[a]; ++i)
        for (std::size_t j = 0; j < sizes[b]; ++j) pairs.insert({a, i, b, j});
  return pairs;
}

inline std::set<Pair> pairs_in(const Row& row) {
  std::set<Pair> pairs;
  for (std::size_t a = 0; a < row.size(); ++a)
    for (std::size_t b = a + 1; b < row.size(); ++b) pairs.insert({a, row[a], b, row[b]});
  return pairs;
}

inline std::vector<Row> covering_array(const std::vector<std::size_t>& sizes) {
  constexpr std::size_t kOpen = static_cast<std::size_t>(-1);
  std::set<Pair> left = pairs_of(sizes);
  std::vector<Row> rows;
  while (!left.empty()) {
    const auto [a, i, b, j] = *left.begin();
    Row row(sizes.size(), kOpen);
    row[a] = i, row[b] = j;
    for (std::size_t factor = 0; factor < sizes.size(); ++factor) {
      if (row[factor] != kOpen) continue;
      std::size_t best = rows.size() % sizes[factor], most = 0;
      for (std::size_t value = 0; value < sizes[factor]; ++value) {
        std::size_t covers = 0;
        for (std::size_t other = 0; other < sizes.size(); ++other)
          if (row[other] != kOpen)
            covers += left.count(other < factor ? Pair{other, row[other], factor, value}
                                                : Pair{factor, value, other, row[other]});
        if (covers > most) best = value, most = covers;
      }
      row[factor] = best;
    }
    for (const Pair& pair : pairs_in(row)) left.erase(pair);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace serveloop::test
