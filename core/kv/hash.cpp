// Keys of blocks: XXH3 (Collet, 2019), chained through the seed.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cassert>

#include "kv/types.hpp"

namespace serveloop::kv {

Key hash_block(Key above, std::span<const Token> tokens) {
  const Key key = XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), above);
  return key != 0 ? key : 1;  // 0 means "not indexed" in a block's row
}

void hash_blocks(Key salt, std::span<const Token> tokens, std::uint32_t block_tokens, std::span<Key> out) {
  assert(out.size() == tokens.size() / block_tokens);
  Key above = salt;
  for (std::size_t i = 0; i < out.size(); ++i)
    above = out[i] = hash_block(above, tokens.subspan(i * block_tokens, block_tokens));
}

Key make_salt(std::string_view tenant, std::string_view cache_salt, std::uint64_t numerics,
              std::uint64_t request) {
  // Each part is hashed on its own, so that no two pairs of texts run together into the same bytes.
  Key salt = XXH3_64bits_withSeed(tenant.data(), tenant.size(), numerics);
  salt = XXH3_64bits_withSeed(cache_salt.data(), cache_salt.size(), salt);
  return XXH3_64bits_withSeed(&request, sizeof request, salt);
}

}  // namespace serveloop::kv
