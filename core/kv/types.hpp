// Words of the KV cache that others use too: ids, options, keys of blocks.
#pragma once

#include <serveloop/base.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace serveloop::kv {

// The request that a block's event is told of: its id, and its row in the requests table.
struct Owner {
  Owner(std::uint64_t id = 0, std::uint32_t request_row = SL_NONE) : request(id), row(request_row) {}
  std::uint64_t request;
  std::uint32_t row;
};

using Token = std::uint32_t;
using Key = std::uint64_t;      // hash of a block's tokens and all before it, salted; never 0
using BlockId = std::uint32_t;  // SL_NONE = no block
using NodeId = std::uint32_t;
using Slot = std::uint32_t;  // a sequence's slot in the sequences table

struct Options {
  std::uint32_t blocks = 0;       // device blocks
  std::uint32_t host_blocks = 0;  // ids from `blocks` on; 0 = no host tier
  std::uint32_t block_tokens = 16;
  std::uint32_t sequence_slots = 0;
  std::uint32_t max_nodes = 0;  // 0: 2 * (sequence_slots + blocks + host_blocks) + 1, which is never too few
};

// Chained keys of the whole blocks of `tokens`: key[i] = XXH3(tokens of block i, seeded with key[i - 1]),
// key[-1] = salt. Pure: made at intake, on any thread. `out` has tokens.size() / block_tokens entries.
void hash_blocks(Key salt, std::span<const Token> tokens, std::uint32_t block_tokens, std::span<Key> out);

// Key of one block below `above`, the key before it or the salt.
Key hash_block(Key above, std::span<const Token> tokens);

// Salt of a tenant's (or, with no sharing, of one request's) part of the tree.
Key make_salt(std::string_view tenant, std::string_view cache_salt, std::uint64_t numerics,
              std::uint64_t request);

// A change to a sequence's block table that its executor has to hear of.
struct TableEdit {
  Slot slot;
  std::uint32_t index;
  BlockId block;
  bool operator==(const TableEdit&) const = default;
};

}  // namespace serveloop::kv
