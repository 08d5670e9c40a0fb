// Tables of truths: for each field of a row, what it must read, by whoever knows it without that row.
//
//   const Truth<Case> kTable[] = {TRUTH(generated, c.s.generated), ...};
//
// A row must have the table's fields and no others, so that a new field of the ABI needs its truth. Where
// several values are right the truth is `read` itself if it is one of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "facts.hpp"
#include "witness.hpp"

namespace serveloop::test {

template <class Case>
struct Truth {
  const char* field;
  std::uint64_t (*right)(const Case& c, std::uint64_t read);
};
#define TRUTH(field, ...)                                                           \
  {                                                                                 \
#field, [](const auto& c, [[maybe_unused]] std::uint64_t read) -> std::uint64_t { \
      (void)c;                                                                      \
      return static_cast<std::uint64_t>(__VA_ARGS__);                               \
    } \
  }

inline std::uint64_t number(const Facts& facts, const std::string& path) {
  const auto found = facts.find(path);
  BOOST_REQUIRE_MESSAGE(found != facts.end(), path << " is missing");
  return std::stoull(found->second);  // a negative one comes as its two's complement
}

inline std::string item(const std::string& table, std::uint64_t i) {
  return table + "[" + std::to_string(i) + "]";
}

// The row at `at`: each of its own fields (not of tables below it) has its truth, and reads it. `texts`:
// fields that are no number, checked elsewhere.
template <class Case>
void check_row(const Facts& facts, const std::string& at, const Case& c, std::span<const Truth<Case>> table,
               const std::set<std::string>& texts = {}) {
  std::size_t met = 0;
  for (auto it = facts.lower_bound(at + "."); it != facts.end() && it->first.starts_with(at + "."); ++it) {
    const std::string field = it->first.substr(at.size() + 1);
    if (field.find_first_of("[.") != std::string::npos || texts.contains(field)) continue;
    const auto truth =
        std::find_if(table.begin(), table.end(), [&](const Truth<Case>& t) { return field == t.field; });
    BOOST_REQUIRE_MESSAGE(truth != table.end(), it->first << " has no truth in its table");
    const std::uint64_t read = std::stoull(it->second), right = truth->right(c, read);
    BOOST_REQUIRE_MESSAGE(read == right, it->first << ": read " << it->second << ", is " << right);
    ++met;
  }
  BOOST_REQUIRE_EQUAL(met, table.size());
}

// One view: what was read, and who knows the truth. `amid`: read amid a step, when what entries of its plan
// have hit is theirs already. `mode`: the precision policy's last choice.
struct Scene {
  const Facts& view;  // ".step" -> "17"
  const Witness& witness;
  const World& world;
  const Setting& setting;
  const std::vector<Ask>& asks;
  std::uint64_t epoch, mode;
  bool amid;
};

// What each block's events told, and what became of it since. `leaves_for`: the reason with which it was
// evicted; SL_NONE: it was not.
struct BlockStory {
  std::uint64_t key, parent_key, created_ns;
  std::uint32_t depth, hits, leaves_for = SL_NONE;
};
using Stories = std::map<std::uint32_t, BlockStory>;  // of cached blocks

// When each block was last pinned or unpinned, from the holders' tables before and after.
class Holders {
 public:
  // `earliest_ns` < `ns`: its last unpin was the end of a sequence. The cache isn't told of the time of that,
  // and writes that of the last call which told it.
  struct Use {
    std::uint64_t ns = 0, earliest_ns = 0;
  };
  void look(const World& world, std::uint64_t now_ns);
  void begin(std::uint32_t block, std::uint64_t now_ns);  // it was hung in
  Use use(std::uint32_t block) const;
  std::uint32_t count(std::uint32_t block) const;

 private:
  std::map<std::uint32_t, std::set<sl_seq>> now_;
  std::map<std::uint32_t, Use> uses_;
};

// truth_view.cpp
void check_view(const Scene& scene);  // all but tables
void check_cost(const Facts& facts, const std::string& at, const sl_cost& cost);
// `due`: to this policy; `before`: its last view, or empty.
void check_events(const Scene& scene, std::vector<Due> due, const Facts& before);
// truth_sequences.cpp
void name_sequences(const Facts& view, Witness& witness);  // ids, by request and fork
void check_sequences(const Scene& scene);
void check_candidates(const Scene& scene, const Facts& call, const std::vector<sl_seq>& plan);
// truth_requests.cpp
void check_requests(const Scene& scene);
void check_create(const Facts& facts, policy::Kind kind, const policy::Limits& limits);
// truth_cache.cpp: a view before anything of its step took effect
void check_blocks(const Scene& scene, const Stories& stories, const Holders& holders);
void check_nodes(const Scene& scene, const Stories& stories);
// Takes in the events at `at` and checks each. `created_ns(block)`: when one was hung in.
void follow_block_events(const Facts& call, const std::string& at, const Scene& scene, Stories& stories,
                         const std::function<std::uint64_t(std::uint32_t)>& created_ns);

// truth_precision.cpp: what was told at load
void check_loaded(const Facts& facts, const execute::Executor& executor, std::uint32_t modes);

// unfilled.cpp: docs/PLUGINS.md's list of fields that nothing fills, in both directions. `silent`: seen where
// clients stated nothing.
void check_listed(const Seen& stated, const Seen& silent);
// All that the list marks as "device only", filled where there is a host tier.
void check_filled_by_host_tier(const Seen& seen);

}  // namespace serveloop::test
