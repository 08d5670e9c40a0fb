// What leaves the device, and where to: the eviction policies on trees of blocks made by hand, with and without a host tier.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <set>

#include "base/hash.hpp"
#include "tables.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint16_t kOldest = SL_REASON_PLUGIN;  // of lru
constexpr std::uint16_t kDemoted = SL_REASON_PLUGIN + 1, kMadeRoom = SL_REASON_PLUGIN + 2;

using Blocks = std::vector<std::uint32_t>;

// Device blocks 0 .. device - 1, then host blocks. Paths of one node each.
class Pool {
 public:
  Pool(const char* plugin, std::uint32_t device, std::uint32_t host, toml::Table options = {})
      : limits_(limits(device, host)),
        device_(device),
        tables(limits_),
        policy_(need(build_host().load_eviction({plugin, std::move(options)}, limits_))) {
    tables.nodes.resize(1 + device + host);
  }

  // A path of cached blocks from its top down: idle, and told so leaf first. Those from `in_host` on are host blocks.
  void path(const Blocks& blocks, bool idle = true) {
    const auto node = static_cast<std::uint32_t>(++nodes_);
    tables.nodes[node] = {0, 0, static_cast<std::uint32_t>(blocks.size()), 0, 0, 0, 0, 0};
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      sl_block_row& row = tables.blocks[blocks[i]];
      row = {};
      row.key = ++keys_;
      row.node = node;
      row.depth = static_cast<std::uint32_t>(i);
      row.tier = blocks[i] < device_ ? SL_TIER_DEVICE : SL_TIER_HOST;
      row.flags = SL_BLOCK_FLAG_INDEXED;
      row.refs = idle ? 0 : 1;
      row.parent = i == 0 ? SL_NONE : blocks[i - 1];
      ++(row.tier == SL_TIER_DEVICE ? tables.nodes[node].device_blocks : tables.nodes[node].host_blocks);
      if (i > 0) {
        sl_block_row& above = tables.blocks[blocks[i - 1]];
        above.cached_children += above.tier == row.tier ? 1 : 0;
        above.host_children += row.tier == SL_TIER_HOST ? 1 : 0;
      }
      told(SL_BLOCK_INSERTED, blocks[i]);
    }
    if (idle)
      for (std::size_t i = blocks.size(); i-- > 0;) told(SL_BLOCK_IDLE, blocks[i]);
  }
  void told(std::uint16_t kind, std::uint32_t block, std::uint32_t from = 0) {
    sl_block_event event{};
    event.key = tables.blocks[block].key;
    event.block = block;
    event.kind = kind;
    event.tier = tables.blocks[block].tier;
    event.from = from;
    event.depth = tables.blocks[block].depth;
    event.request = asking == SL_NONE ? 0 : tables.requests[asking].request;
    event.request_row = asking;
    events.push_back(event);
  }
  std::vector<sl_victim> ask(std::uint32_t need, std::uint32_t ahead = 0, std::uint32_t host_need = 0) {
    count_tiers();
    const sl_evict_in in{&tables.view(), table_over(events), {need, host_need}, {ahead, host_ahead_}};
    Buffers<sl_victim> b;
    BOOST_REQUIRE_EQUAL(policy_->evict(in, b.out, b.gauges), SL_OK);
    events.clear();
    return b.answer();
  }
  // A cached block that leaves `from` for the host, or has got there.
  void leaves(std::uint32_t from, std::uint32_t host) {
    path({host}, false);
    tables.blocks[host].flags |= SL_BLOCK_FLAG_COPYING;
    told(SL_BLOCK_MOVED, host, from);
  }
  void has_left(std::uint32_t host) {
    tables.blocks[host].flags = SL_BLOCK_FLAG_INDEXED;
    tables.blocks[host].refs = 0;
    told(SL_BLOCK_IDLE, host);
  }
  void host_taken(std::uint32_t blocks) { host_taken_ = blocks; }
  void host_ahead(std::uint32_t blocks) { host_ahead_ = blocks; }

 private:
  void count_tiers() {
    for (const int tier : {SL_TIER_DEVICE, SL_TIER_HOST})
      tables.raw().tier[tier].free = tables.raw().tier[tier].evictable = 0;
    for (std::uint32_t b = 0; b < tables.blocks.size(); ++b) {
      const sl_block_row& row = tables.blocks[b];
      sl_tier& tier = tables.raw().tier[b < device_ ? SL_TIER_DEVICE : SL_TIER_HOST];
      tier.free += row.flags == 0;
      tier.evictable += row.flags != 0 && row.refs == 0;
    }
    tables.raw().tier[SL_TIER_HOST].free -= host_taken_;
  }
  policy::Limits limits_;
  std::uint32_t device_, host_taken_ = 0, host_ahead_ = 0;

 public:
  Tables tables;
  std::vector<sl_block_event> events;
  std::uint32_t asking = SL_NONE;  // row of the request that causes what is told

 private:
  std::shared_ptr<policy::Eviction> policy_;
  std::uint64_t nodes_ = 0, keys_ = 0;
};

Blocks range(std::uint32_t from, std::uint32_t to) {
  Blocks blocks;
  for (; from < to; ++from) blocks.push_back(from);
  return blocks;
}

// What goes to `tier`, in order.
Blocks to(const std::vector<sl_victim>& victims, std::uint16_t tier) {
  Blocks blocks;
  for (const sl_victim& victim : victims)
    if (victim.to == tier) blocks.push_back(victim.block);
  return blocks;
}

// The core's rules for an answer (kv's check), in so many words.
void check_rules(const Pool& pool, const std::vector<sl_victim>& victims, std::uint32_t device) {
  std::set<std::uint32_t> named;
  for (const sl_victim& victim : victims) {
    const sl_block_row& row = pool.tables.blocks[victim.block];
    BOOST_REQUIRE(named.insert(victim.block).second);
    BOOST_REQUIRE_EQUAL(victim.key, row.key);
    BOOST_REQUIRE_EQUAL(row.refs, 0u);
    BOOST_REQUIRE(victim.to == SL_TIER_NONE || victim.block < device);
  }
  std::vector<std::uint32_t> children(pool.tables.blocks.size());
  for (const std::uint32_t block : named) {
    const sl_block_row& row = pool.tables.blocks[block];
    if (row.parent != SL_NONE && pool.tables.blocks[row.parent].tier == row.tier) ++children[row.parent];
  }
  for (const std::uint32_t block : named)
    BOOST_REQUIRE_EQUAL(children[block], pool.tables.blocks[block].cached_children);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(demotion)

// The same as ever: the longest idle, as many as are needed, all dropped, whatever the options say.
BOOST_AUTO_TEST_CASE(without_a_host_tier_all_is_dropped) {
  for (const char* plugin : {"lru", "slru"})
    for (const bool demote : {true, false}) {
      Pool pool(plugin, 12, 0, {{"demote", demote}, {"ahead_share", 0.5}});
      pool.path({4, 3, 2});
      pool.path({8, 9});
      pool.path({1}, false);
      const std::vector<sl_victim> victims = pool.ask(4, 12);
      BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{2, 3, 4, 9}));
      BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{});
      for (const sl_victim& victim : victims) BOOST_TEST(victim.reason == kOldest);  // and slru's probation
      BOOST_TEST(pool.ask(9, 12).size() == 5u);
    }
}

BOOST_AUTO_TEST_CASE(what_is_needed_is_dropped_and_the_next_are_demoted) {
  Pool pool("lru", 100, 50, {{"ahead_share", 0.05}});
  for (std::uint32_t b = 0; b < 20; b += 4) pool.path({b, b + 1, b + 2, b + 3});
  const std::vector<sl_victim> victims = pool.ask(3);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{3, 2, 1}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{0, 7, 6, 5, 4}));
  for (const sl_victim& victim : victims)
    BOOST_TEST(victim.reason == (victim.to == SL_TIER_HOST ? kDemoted : kOldest));
}

BOOST_AUTO_TEST_CASE(how_many_are_demoted_ahead) {
  const auto demoted = [](std::uint32_t idle, std::uint32_t need, std::uint32_t ahead,
                          std::uint32_t leaving) {
    Pool pool("lru", 100, 50, {{"ahead_share", 0.05}});
    for (std::uint32_t b = 0; b < idle; ++b) pool.path({b});
    for (std::uint32_t b = 0; b < leaving; ++b) pool.leaves(60 + b, 100 + b);
    const auto victims = pool.ask(need, ahead);
    BOOST_TEST(to(victims, SL_TIER_NONE).size() == std::min(need, idle));
    return to(victims, SL_TIER_HOST).size();
  };
  BOOST_TEST(demoted(40, 3, 0, 0) == 5u);
  BOOST_TEST(demoted(40, 3, 12, 0) == 9u);  // 12 with those needed now
  BOOST_TEST(demoted(40, 3, 2, 0) == 5u);
  BOOST_TEST(demoted(40, 3, 0, 2) == 3u);  // some are leaving
  BOOST_TEST(demoted(40, 3, 0, 7) == 0u);
  BOOST_TEST(demoted(40, 3, 12, 7) == 9u);  // the core has counted those
  BOOST_TEST(demoted(6, 3, 0, 0) == 3u);    // no more are idle
  BOOST_TEST(demoted(40, 0, 4, 0) == 5u);
}

// What waits for its copy is memory of nobody's: no more of it than the link empties within four steps.
BOOST_AUTO_TEST_CASE(a_slow_link_has_most_dropped) {
  const auto demoted = [](double block_ns, std::uint32_t running, std::uint32_t leaving) {
    Pool pool("lru", 100, 50, {{"ahead_share", 0.2}});
    for (std::uint32_t b = 0; b < 40; ++b) pool.path({b});
    for (std::uint32_t b = 0; b < leaving; ++b) pool.leaves(60 + b, 100 + b);
    sl_cost& cost = pool.tables.cost;
    cost.step_fixed_ns = 6000;
    cost.decode_sequence_ns = 100;
    cost.swap_block_ns = block_ns;
    for (std::uint32_t i = 0; i < running; ++i) pool.tables.add(SL_RUNNING);
    const auto victims = pool.ask(3);
    BOOST_TEST(to(victims, SL_TIER_NONE).size() == 3u);
    return to(victims, SL_TIER_HOST).size();
  };
  BOOST_TEST(demoted(100, 0, 0) == 20u);  // 240 would be copied
  BOOST_TEST(demoted(4000, 0, 0) == 6u);  // 4 x 6,000 / 4,000
  BOOST_TEST(demoted(4000, 40, 0) == 10u);
  BOOST_TEST(demoted(4000, 0, 4) == 2u);
  BOOST_TEST(demoted(4000, 0, 9) == 0u);
  BOOST_TEST(demoted(25000, 0, 0) == 0u);  // not one
}

// Blocks that arrive are copied as well, and make no room.
BOOST_AUTO_TEST_CASE(only_what_leaves_counts_as_leaving) {
  Pool pool("lru", 100, 50, {{"ahead_share", 0.05}});
  for (std::uint32_t b = 0; b < 40; ++b) pool.path({b});
  pool.tables.raw().tier[SL_TIER_DEVICE].in_transit = 20;
  BOOST_TEST(to(pool.ask(3), SL_TIER_HOST).size() == 5u);
  for (std::uint32_t b = 0; b < 5; ++b) pool.leaves(60 + b, 100 + b);
  BOOST_TEST(to(pool.ask(3), SL_TIER_HOST).size() == 0u);
  for (std::uint32_t b = 0; b < 3; ++b) pool.has_left(100 + b);
  BOOST_TEST(to(pool.ask(3), SL_TIER_HOST).size() == 3u);
}

BOOST_AUTO_TEST_CASE(nothing_is_demoted_where_an_option_says_so) {
  Pool pool("lru", 20, 20, {{"demote", false}, {"ahead_share", 0.5}});
  pool.path(range(0, 10));
  pool.path(range(20, 25));
  const std::vector<sl_victim> victims = pool.ask(3, 20, 2);
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{});
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{24, 23, 9, 8, 7}));
}

BOOST_AUTO_TEST_CASE(a_full_host_makes_room_for_what_is_demoted) {
  Pool pool("lru", 100, 6, {{"ahead_share", 0.04}});
  pool.path({100, 101, 102});
  pool.path({103, 104});  // 105 is free
  for (std::uint32_t b = 0; b < 20; ++b) pool.path({b});
  const std::vector<sl_victim> victims = pool.ask(2);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{102, 101, 100, 0, 1}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{2, 3, 4, 5}));
  for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(victims[i].reason == kMadeRoom);
}

// A swapped sequence holds a host block: nothing above it can leave. What finds no room is not demoted.
BOOST_AUTO_TEST_CASE(a_host_that_others_hold_takes_fewer) {
  Pool pool("lru", 100, 6, {{"ahead_share", 0.04}});
  pool.path({100, 101, 102});
  pool.tables.blocks[102].refs = 1;
  pool.path({103, 104, 105});
  pool.tables.blocks[104].refs = 1;
  for (std::uint32_t b = 0; b < 20; ++b) pool.path({b});
  const std::vector<sl_victim> victims = pool.ask(2);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{105, 0, 1}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{2});
  pool.tables.blocks[102].refs = 0;
  pool.told(SL_BLOCK_IDLE, 102);  // it was let go; those above it were idle all along
  check_rules(pool, pool.ask(2), 100);
}

BOOST_AUTO_TEST_CASE(need_in_the_host_comes_before_demotions) {
  Pool pool("lru", 100, 4, {{"ahead_share", 0.02}});
  pool.path({100, 101, 102, 103});
  pool.path(range(0, 10));
  std::vector<sl_victim> victims = pool.ask(0, 0, 3);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{103, 102, 101, 100}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{9});  // the fourth host block
  victims = pool.ask(1, 0, 4);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{103, 102, 101, 100, 9}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{});
}

// In the host a block may be idle for longer than one below it, which a copy or a swapped sequence held.
BOOST_AUTO_TEST_CASE(a_host_block_follows_those_below_it) {
  for (const std::uint32_t need : {1u, 2u, 3u}) {
    Pool pool("lru", 20, 4, {{"demote", false}});
    pool.path({20, 21, 22});
    pool.told(SL_BLOCK_HIT, 22);
    pool.told(SL_BLOCK_IDLE, 22);
    const Blocks all{22, 21, 20};
    BOOST_TEST(to(pool.ask(0, 0, need), SL_TIER_NONE) == Blocks(all.begin(), all.begin() + need));
  }
}

// The core expects that 3 host blocks will be needed: they are left free, beside those that demotions take.
BOOST_AUTO_TEST_CASE(what_will_be_needed_in_the_host_is_left_free) {
  Pool pool("lru", 100, 6, {{"ahead_share", 0.02}});
  pool.path({100, 101, 102, 103});  // 104 and 105 are free
  pool.path(range(0, 10));
  pool.host_ahead(3);
  const std::vector<sl_victim> victims = pool.ask(1);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{103, 102, 101, 9}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{8, 7}));
  BOOST_TEST(to(pool.ask(0, 0, 2), SL_TIER_NONE) == (Blocks{103, 102, 101, 100}));  // all there are
}

// 2, 1, 0 have blocks in the host below them: 13, 12 are dropped for them, until there are no others.
BOOST_AUTO_TEST_CASE(a_block_with_host_blocks_below_it_is_dropped_last) {
  Pool pool("lru", 20, 20, {{"ahead_share", 0.1}});
  pool.path({0, 1, 2, 20, 21});
  pool.path({10, 11, 12, 13});
  std::vector<sl_victim> victims = pool.ask(2);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{13, 12}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{2, 1}));
  victims = pool.ask(6);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{13, 12, 11, 10, 2, 1}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{0});
}

// A demoted block leaves the lists with the event that names the host block it became.
BOOST_AUTO_TEST_CASE(what_was_demoted_is_not_named_again) {
  Pool pool("lru", 20, 20, {{"ahead_share", 0.1}});
  pool.path(range(0, 4));
  pool.path(range(10, 14));
  BOOST_TEST(to(pool.ask(1), SL_TIER_HOST) == (Blocks{2, 1}));
  // Taken: 3 is gone, 2 and 1 became 20 and 21, whose copies are pending.
  pool.told(SL_BLOCK_GONE, 3);
  for (const auto& [from, host] : {std::pair{2u, 21u}, std::pair{1u, 20u}}) {
    pool.tables.blocks[host] = pool.tables.blocks[from];
    pool.tables.blocks[host].tier = SL_TIER_HOST;
    pool.tables.blocks[host].refs = 1;
    pool.tables.blocks[from] = {};
    pool.told(SL_BLOCK_MOVED, host, from);
  }
  pool.tables.blocks[3] = {};
  pool.tables.blocks[0].cached_children = 0;
  pool.tables.blocks[0].host_children = pool.tables.blocks[20].host_children = 1;
  pool.tables.blocks[21].parent = 20;
  pool.tables.blocks[20].cached_children = 1;
  pool.tables.blocks[21].cached_children = 0;
  pool.tables.nodes[1].device_blocks = 1;
  pool.tables.nodes[1].host_blocks = 2;
  pool.host_taken(18);  // no other is free
  std::vector<sl_victim> victims = pool.ask(2);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{13, 12}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{});  // nor can any be made so
  for (const std::uint32_t host : {21u, 20u}) {       // the copies ended, leaf first
    pool.tables.blocks[host].refs = 0;
    pool.told(SL_BLOCK_IDLE, host);
  }
  victims = pool.ask(2);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{21, 20, 13, 12}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{0, 11}));
}

BOOST_AUTO_TEST_CASE(slru_demotes_in_the_order_of_its_segments) {
  Pool pool("slru", 20, 20, {{"ahead_share", 0.2}});
  pool.path({0});
  pool.told(SL_BLOCK_HIT, 0);
  pool.told(SL_BLOCK_IDLE, 0);  // protected
  pool.path({1});
  pool.path({2});
  pool.told(SL_BLOCK_MOVED, 3, 25);  // came back from the host: hit
  pool.path({3});
  pool.events.erase(std::prev(pool.events.end(), 2));  // its INSERTED
  pool.path({4});
  const std::vector<sl_victim> victims = pool.ask(1);
  BOOST_TEST(to(victims, SL_TIER_NONE) == Blocks{1});
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{2, 4, 0, 3}));
  BOOST_TEST(victims.front().reason == SL_REASON_PLUGIN);     // probation
  BOOST_TEST(victims.back().reason == SL_REASON_PLUGIN + 3);  // demoted
}

// The first two blocks of a path are worth 80 for a while after their last use, another path nothing, a third what all are.
BOOST_AUTO_TEST_CASE(retention_keeps_what_requests_ask_for_while_they_ask_for_it) {
  const auto ask = [](std::uint64_t now_ns, std::uint32_t need) {
    Pool pool("retention", 20, 0);
    const sl_retention wishes[] = {{0, 32, 80, 0, 1000}, {0, 64, 0, 0, SL_NEVER}};
    pool.tables.raw().heap = reinterpret_cast<const std::uint8_t*>(wishes);
    for (std::uint32_t i = 0; i < 2; ++i) {
      pool.tables.add(SL_RUNNING);
      pool.tables.requests[i].retention_at = i * sizeof(sl_retention);
      pool.tables.requests[i].retention_count = 1;
    }
    pool.asking = 0;
    pool.path({0, 1, 2});
    pool.asking = SL_NONE;
    pool.path({5, 6});
    pool.asking = 1;
    pool.path({10, 11});
    pool.ask(0);
    pool.tables.raw().now_ns = now_ns;
    return to(pool.ask(need), SL_TIER_NONE);
  };
  BOOST_TEST(ask(999, 7) == (Blocks{11, 10, 2, 6, 5, 1, 0}));
  BOOST_TEST(ask(1000, 7) == (Blocks{11, 10, 2, 1, 0, 6, 5}));  // their time is over: longest idle first
}

// Random trees over both tiers, some blocks in use: every answer keeps the rules, is as long as it must be, and asks for no
// more demotions than there is room for.
BOOST_AUTO_TEST_CASE(answers_on_random_trees_keep_the_rules) {
  std::uint64_t demoted = 0, made_room = 0;
  for (const char* plugin : {"lru", "slru", "lfu", "gdsf", "sieve", "s3fifo", "arc", "retention"})
    BOOST_TEST_CONTEXT(plugin)
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::uint64_t draws = 0;
    const auto draw = [&](std::uint64_t n) { return static_cast<std::uint32_t>(mix(seed, ++draws) % n); };
    Pool pool(plugin, 60, 40, {{"ahead_share", 0.2}});
    std::uint32_t device = 0, host = 60;
    while (device < 50 && host < 95) {
      Blocks blocks;
      for (std::uint32_t i = draw(6); i > 0; --i) blocks.push_back(device++);
      for (std::uint32_t i = draw(5); i > 0; --i) blocks.push_back(host++);
      if (blocks.empty()) continue;
      pool.path(blocks);
      // A use holds all above it on the device; a swapped sequence holds host blocks of any place.
      const std::uint32_t held = draw(4) == 0 ? draw(static_cast<std::uint32_t>(blocks.size())) : 0;
      for (std::uint32_t i = 0; i < held; ++i)
        if (blocks[i] < 60) pool.tables.blocks[blocks[i]].refs = 1;
      if (blocks.back() >= 60 && draw(4) == 0) pool.tables.blocks[blocks.back()].refs = 1;
    }
    const std::uint32_t need = draw(12), host_need = draw(3) == 0 ? draw(6) : 0;
    const std::vector<sl_victim> victims = pool.ask(need, draw(20), host_need);
    check_rules(pool, victims, 60);
    std::uint32_t dropped = 0, from_host = 0, to_host = 0;
    for (const sl_victim& victim : victims) {
      dropped += victim.block < 60 && victim.to == SL_TIER_NONE;
      from_host += victim.block >= 60;
      to_host += victim.to == SL_TIER_HOST;
    }
    const sl_tier* tier = pool.tables.raw().tier;
    BOOST_REQUIRE_EQUAL(dropped, std::min(need, tier[SL_TIER_DEVICE].evictable));
    BOOST_REQUIRE_LE(to_host + host_need, from_host + (host_need > 0 ? host_need : tier[SL_TIER_HOST].free));
    demoted += to_host, made_room += from_host;
  }
  BOOST_TEST(demoted >= 1000u);
  BOOST_TEST(made_room >= 100u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
