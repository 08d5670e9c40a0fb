// Blocks of both tiers in paths made by hand, and an eviction policy that is asked about them.
#pragma once

#include <boost/test/unit_test.hpp>
#include <set>

#include "tables.hpp"

namespace serveloop::test {

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

inline Blocks range(std::uint32_t from, std::uint32_t to) {
  Blocks blocks;
  for (; from < to; ++from) blocks.push_back(from);
  return blocks;
}
// What goes to `tier`, in order.
inline Blocks to(const std::vector<sl_victim>& victims, std::uint16_t tier) {
  Blocks blocks;
  for (const sl_victim& victim : victims)
    if (victim.to == tier) blocks.push_back(victim.block);
  return blocks;
}

// The core's rules for an answer (kv's check), in so many words.
inline void check_rules(const Pool& pool, const std::vector<sl_victim>& victims, std::uint32_t device) {
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

}  // namespace serveloop::test
