// A cache with a mapping of its own, and the few moves of an engine that the tests share.
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "base/mapping.hpp"
#include "kv/cache.hpp"

namespace serveloop::kv::test {

inline constexpr Key kSalt = 7;

struct Rig {
  explicit Rig(const Options& given)
      : options(given),
        mapping(Mapping::create(Cache::mapping_bytes(given)).value()),
        cache(mapping, given) {}

  std::vector<Key> keys(const std::vector<Token>& tokens, Key salt = kSalt) const {
    std::vector<Key> keys(tokens.size() / options.block_tokens);
    hash_blocks(salt, tokens, options.block_tokens, keys);
    return keys;
  }
  void bind(Slot slot, const std::vector<Token>& tokens, Key salt = kSalt, bool transient = false) {
    cache.bind(slot, slot + 1, salt, tokens, keys(tokens, salt), transient);
  }
  // Computes the slot's tokens up to block `end` in one step that succeeds. Returns the blocks hit.
  std::uint32_t prefill(Slot slot, std::uint32_t end) {
    ++step, ++now;
    const std::uint32_t held = cache.pin_prefix(slot, end, now);
    cache.count_hits(slot);
    cache.extend(slot, end);
    cache.index_path(slot, end, held, now);
    cache.seal(step);
    cache.filled(step);
    return held;
  }
  const sl_node_row& node(NodeId id) const {
    return static_cast<const sl_node_row*>(cache.node_table().base)[id];
  }
  const sl_block_row& block(BlockId id) const {
    return static_cast<const sl_block_row*>(cache.block_table().base)[id];
  }
  std::vector<BlockId> table(Slot slot) const {
    const auto table = cache.table(slot);
    return {table.begin(), table.end()};
  }
  sl_victim victim(BlockId id) const { return {block(id).key, id, SL_TIER_NONE, 0}; }
  std::vector<sl_block_event> take_block_events() {
    const sl_table table = cache.block_events();
    const auto* rows = static_cast<const sl_block_event*>(table.base);
    std::vector<sl_block_event> events(rows, rows + table.count);
    cache.clear_block_events();
    return events;
  }
  sl_victim demotion(BlockId id) const { return {block(id).key, id, SL_TIER_HOST, 0}; }
  // The oldest `count` pending copies end; of them, those at the places `failed` fail.
  void end_copies(std::uint64_t count, const std::vector<std::uint64_t>& failed = {}) {
    std::vector<std::uint64_t> ordinals;
    for (const std::uint64_t place : failed) ordinals.push_back(ended + place);
    cache.copied(ended += count, ordinals, ++now);
  }
  void end_copies() { end_copies(cache.copies_pending()); }
  std::vector<Copy> take_copies() { return std::exchange(cache.copies(), {}); }
  std::vector<Transfer> take_transfers() { return std::exchange(cache.transfers(), {}); }
  sl_tier host() const { return cache.tier(SL_TIER_HOST); }
  std::uint32_t free() const { return cache.tier(SL_TIER_DEVICE).free; }
  std::uint32_t evictable() const { return cache.tier(SL_TIER_DEVICE).evictable; }

  Options options;
  Mapping mapping;
  Cache cache;
  std::uint64_t step = 0, now = 0, ended = 0;
};

// `blocks` whole blocks of `bt` tokens; equal `family` and place mean equal tokens.
inline std::vector<Token> text(std::uint32_t family, std::uint32_t blocks, std::uint32_t bt = 4) {
  std::vector<Token> tokens(std::size_t{blocks} * bt);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<Token>(family * 1000003 + i);
  return tokens;
}
inline std::vector<Token> operator+(std::vector<Token> head, const std::vector<Token>& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

inline Options small(std::uint32_t blocks = 64, std::uint32_t slots = 8, std::uint32_t host_blocks = 0) {
  Options options;
  options.blocks = blocks;
  options.host_blocks = host_blocks;
  options.block_tokens = 4;
  options.sequence_slots = slots;
  return options;
}

}  // namespace serveloop::kv::test

namespace serveloop::kv {
inline std::ostream& operator<<(std::ostream& out, const Transfer& transfer) {
  return out << "slot " << transfer.slot << ' ' << static_cast<int>(transfer.what);
}
}  // namespace serveloop::kv

#define KV_SOUND(rig) BOOST_TEST((rig).cache.audit(false) == "")
#define KV_IDLE(rig) BOOST_TEST((rig).cache.audit(true) == "")
// The transfers told since the last look, in order.
#define KV_TOLD(rig, ...)                                                     \
  do {                                                                        \
    const std::vector<serveloop::kv::Transfer> told = (rig).take_transfers(); \
    const std::vector<serveloop::kv::Transfer> expected = {__VA_ARGS__};      \
    BOOST_TEST(told == expected, boost::test_tools::per_element());           \
  } while (false)
