// Construction, and facts about the cache.
#include "kv/cache.hpp"

#include <algorithm>
#include <cassert>

#include "kv/state.hpp"

namespace serveloop::kv {

namespace {
std::uint32_t all_blocks(const Options& options) { return options.blocks + options.host_blocks; }
Options completed(Options options) {
  if (options.max_nodes == 0) options.max_nodes = 2 * (options.sequence_slots + all_blocks(options)) + 1;
  return options;
}
}  // namespace

Cache::State::State(Mapping& mapping, const Options& given)
    : options(completed(given)),
      log(mapping, all_blocks(options)),
      pool(mapping, options.blocks, options.host_blocks),
      tree(mapping, pool, log, options.block_tokens, options.max_nodes),
      sequences(options.sequence_slots) {
  edits.reserve(1024);
}

Cache::Cache(Mapping& mapping, const Options& options) : state_(std::make_unique<State>(mapping, options)) {}
Cache::~Cache() = default;

std::size_t Cache::mapping_bytes(const Options& options) {
  const std::size_t lines = 3 * 64;  // each table starts at a cache line
  return EventLog::capacity(all_blocks(options)) * sizeof(sl_block_event) +
         all_blocks(options) * sizeof(sl_block_row) + completed(options).max_nodes * sizeof(sl_node_row) +
         lines;
}

std::span<const BlockId> Cache::table(Slot slot) const { return state_->sequences[slot].table; }
std::uint32_t Cache::indexed(Slot slot) const { return state_->sequences[slot].indexed; }

// Fewer tables reach further down a path, so refs never grow along a table.
std::uint32_t Cache::frees(Slot slot, std::uint32_t keep) const {
  const Sequence& sequence = state_->sequences[slot];
  const std::vector<BlockId>& table = sequence.table;
  if (keep >= table.size()) return 0;
  const auto shared = [this](BlockId block) { return state_->pool.row(block).refs > 1; };
  const auto first = std::partition_point(table.begin() + keep, table.end(), shared);
  const auto alone = static_cast<std::uint32_t>(table.end() - first);
  return alone - std::min(alone, sequence.arriving);
}

sl_tier Cache::tier(std::uint16_t tier) const {
  const Pool& pool = state_->pool;
  if (tier > SL_TIER_HOST) return {0, 0, 0, 0};
  return {pool.total(tier), pool.free(tier), pool.evictable(tier), pool.in_transit(tier)};
}

sl_table Cache::node_table() const { return table_of(state_->tree.rows(), state_->tree.high_water()); }
sl_table Cache::block_table() const { return table_of(state_->pool.rows(), state_->pool.total()); }
std::uint32_t Cache::block_tokens() const { return state_->options.block_tokens; }
std::uint64_t Cache::hit_tokens() const { return state_->hit_tokens; }
std::uint64_t Cache::regretted_evictions() const { return state_->regrets.count(); }

sl_table Cache::block_events() const { return state_->log.blocks(); }
void Cache::clear_block_events() { state_->log.clear_blocks(); }
std::vector<sl_event>& Cache::node_events() { return state_->log.nodes(); }
std::vector<TableEdit>& Cache::edits() { return state_->edits; }

}  // namespace serveloop::kv
