// What the producers and the consumers of prefill_attention() share: the layout of shared memory, the tile, the
// rings, and the producers themselves.
#pragma once

#include "attention_leaf.cuh"
#include "hopper.cuh"

namespace serveloop::kernels::cuda {

inline constexpr int prefill_threads = 384;
inline constexpr int consumer_threads = 256;
inline constexpr int consumer_warps = consumer_threads / 32;
inline constexpr int leaf_column_bytes = attention_leaf_tokens * 128;  // a leaf's block of 64 columns
inline constexpr int tile_slots = 4;

struct Tile {
  int row0, tokens;  // of q and out
  int position0;
  int table_row;
  int kv_head, q_head, heads;
  int first, last;  // positions that any token of the tile sees
};

// Places in shared memory that are filled and given back in turn, which a round's number tells. Barriers: [stages] full,
// [stages] empty. stages: a power of two.
template <int stages>
struct Ring {
  std::uint32_t barriers;
  std::uint32_t memory;

  __device__ static unsigned place(unsigned round) { return round % stages; }
  __device__ std::uint32_t full(unsigned round) const { return barriers + place(round) * 8; }
  __device__ std::uint32_t empty(unsigned round) const { return barriers + (stages + place(round)) * 8; }
  __device__ void wait_full(unsigned round) const { barrier_wait(full(round), round / stages & 1); }
  __device__ void wait_empty(unsigned round) const { barrier_wait(empty(round), (round / stages & 1) ^ 1); }

  // arrivals: how often each place is given back before it is filled again.
  __device__ void init(int arrivals) const {
    for (int i = 0; i < stages; ++i) {
      barrier_init(full(i), 1);
      barrier_init(empty(i), arrivals);
    }
  }
};

// What depends on the head size alone.
template <int head_dim>
struct PrefillLayout {
  static constexpr int rows = head_dim == 256 ? 64 : 128;
  static constexpr int columns = head_dim == 256 ? 128 : head_dim;  // of a warpgroup
  static constexpr int stages = head_dim == 256 ? 1 : head_dim == 128 ? 2 : 4;
  static constexpr int q_stages = head_dim == 64 ? 2 : 1;
  static constexpr int q_bytes = rows * head_dim * 2;
  static constexpr int leaf_bytes = attention_leaf_tokens * head_dim * 2;
  static constexpr int k_at = q_stages * q_bytes;
  static constexpr int v_at = k_at + stages * leaf_bytes;
  // Of each warp of consumers: values, F32 [columns / 2][32], then maximum and sum of its 16 rows.
  static constexpr int total_at = v_at + stages * leaf_bytes;
  static constexpr int total_bytes = columns / 2 * 32 * 4 + 16 * 8;
  static constexpr int tiles_at = total_at + consumer_warps * total_bytes;
  static constexpr int count_at = tiles_at + tile_slots * static_cast<int>(sizeof(Tile));
  static constexpr int q_barriers_at = (count_at + 4 + 7) / 8 * 8;
  static constexpr int k_barriers_at = q_barriers_at + q_stages * 2 * 8;
  static constexpr int v_barriers_at = k_barriers_at + stages * 2 * 8;
  static constexpr int tile_barriers_at = v_barriers_at + stages * 2 * 8;
  static constexpr int total_barriers_at = tile_barriers_at + tile_slots * 2 * 8;
  static constexpr int bytes = total_barriers_at + consumer_warps * 8;

  __device__ static Ring<q_stages> q(std::uint32_t base) { return {base + q_barriers_at, base}; }
  __device__ static Ring<stages> k(std::uint32_t base) { return {base + k_barriers_at, base + k_at}; }
  __device__ static Ring<stages> v(std::uint32_t base) { return {base + v_barriers_at, base + v_at}; }
};

struct PrefillJob {
  AttentionShape shape;
  AttentionChunks chunks;
  AttentionCache cache;
  bf16* out;
  int head_packs;     // of one key head
  int pack_heads;     // query heads of a full pack
  int packs;          // of all key heads
  int packs_at_once;  // a divisor of `packs`: as many as have their keys and values in the L2 cache together
  int tile_tokens;    // of a full tile
  int block_shift;    // log2(block_tokens)
  int parts;          // blocks of a tile: a cluster
};

// The tiles of a block, one after the other, from the warp that finds them to all that work on them.
struct TileRing {
  static constexpr int readers = consumer_warps + 3;  // and the warps that bring Q, K and V
  Tile* tiles;
  int* count;  // of them, known with the first
  Ring<tile_slots> ring;

  template <class Layout>
  __device__ static TileRing at(char* memory) {
    return {reinterpret_cast<Tile*>(memory + Layout::tiles_at),
            reinterpret_cast<int*>(memory + Layout::count_at),
            {shared_address(memory) + Layout::tile_barriers_at, 0}};
  }

  // Of one whole warp, like what follows.
  __device__ void put(unsigned round, const Tile& tile) const {
    ring.wait_empty(round);
    if (threadIdx.x % 32 == 0) {
      tiles[ring.place(round)] = tile;
      barrier_arrive(ring.full(round));
    }
    __syncwarp();
  }

  // Waits until their number is known.
  __device__ int wait_for_count() const {
    ring.wait_full(0);
    return *count;
  }

  // A tile, which stays as it is until the warp gives it back.
  __device__ const Tile& take(unsigned round) const {
    ring.wait_full(round);
    return tiles[ring.place(round)];
  }

  __device__ void give_back(unsigned round) const {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(ring.empty(round));
  }
};

// The leaves of a tile that are of one of its blocks, in ascending order: those of every parts'th group.
struct Leaves {
  int parts, part;  // blocks of the tile, and which of them this is
  int first_group;  // of the tile
  int last;         // of the tile
  int leaf;         // the block's next

  // Of a tile that sees the keys from `first_key` to `last_key`.
  __device__ Leaves(int first_key, int last_key, int parts, int part)
      : parts(parts),
        part(part),
        first_group(first_key / attention_group_tokens),
        last(last_key / attention_leaf_tokens),
        leaf(part == 0 ? first_key / attention_leaf_tokens : (first_group + part) * group_leaves) {}

  __device__ bool left() const { return leaf <= last; }
  __device__ int after() const {
    return (leaf + 1) % group_leaves == 0 ? leaf + 1 + (parts - 1) * group_leaves : leaf + 1;
  }
  // Of `leaf`: whether the tile has groups before its own; whether it ends its group, which others follow.
  __device__ bool follows() const { return leaf / group_leaves > first_group; }
  __device__ bool ends_group() const { return (leaf + 1) % group_leaves == 0 && leaf < last; }
  __device__ bool ends_tile() const { return leaf == last; }
  // Whether other blocks have groups too.
  __device__ bool shared() const { return parts > 1 && last / group_leaves > first_group; }
  __device__ int next_part() const { return part + 1 < parts ? part + 1 : 0; }
};

// The producers.

// Writes one unit of V of which the tile sees some tokens, with zeros for the others: their slots may hold anything.
template <int head_dim>
__device__ void write_unit(const Tile& tile, const bf16* from, int position, std::uint32_t to) {
  for (int i = threadIdx.x % 32; i < unit_tokens * head_dim / 8; i += 32) {
    const int row = i / (head_dim / 8);
    const int chunk = i % (head_dim / 8);
    const bool visible = position + row >= tile.first && position + row <= tile.last;
    uint4 data = {0, 0, 0, 0};
    if (visible) data = *reinterpret_cast<const uint4*>(from + row * head_dim + chunk * 8);
    store_shared(to + chunk / 8 * leaf_column_bytes + row * 128 + ((chunk % 8) ^ (row & 7)) * 16, data);
  }
}

// Brings one leaf of K or V. Lanes below 8 hold the block of their unit of 16 tokens. Units come as boxes. Of keys those
// that the tile sees in part come whole, and those that it doesn't see not at all, since scores of keys that a row doesn't
// see are replaced. Values that no row sees have to be zeros.
template <int head_dim, bool values>
__device__ __forceinline__ void bring_leaf(const PrefillJob& job, const Tile& tile, const CUtensorMap& map,
                                           int start, int block, std::uint32_t to, std::uint32_t full) {
  constexpr unsigned all = (1u << leaf_units) - 1;
  const int lane = threadIdx.x % 32;
  const int first = start + lane % leaf_units * unit_tokens, last = first + unit_tokens - 1;
  const bool boxed =
      values ? first >= tile.first && last <= tile.last : last >= tile.first && first <= tile.last;
  const unsigned boxes = __ballot_sync(0xffffffffu, boxed) & all;
  const int in_block = job.shape.block_tokens - 1;
  int blocks[leaf_units];
#pragma unroll
  for (int unit = 0; unit < leaf_units; ++unit) blocks[unit] = __shfl_sync(0xffffffffu, block, unit);
  if (values && boxes != all) {
#pragma unroll
    for (int unit = 0; unit < leaf_units; ++unit) {
      if (boxes >> unit & 1) continue;
      const int position = start + unit * unit_tokens;
      const std::int64_t slot =
          blocks[unit] * job.cache.block_stride +
          (static_cast<std::int64_t>(tile.kv_head) * job.shape.block_tokens + (position & in_block)) *
              head_dim;
      write_unit<head_dim>(tile, job.cache.v + slot, position, to + unit * unit_tokens * 128);
    }
    fence_async_proxy();
    __syncwarp();
  }
  if (lane != 0) return;
  barrier_arrive_expecting(full, __popc(boxes) * unit_tokens * head_dim * 2);
#pragma unroll
  for (int unit = 0; unit < leaf_units; ++unit) {
    if ((boxes >> unit & 1) == 0) continue;
#pragma unroll
    for (int column = 0; column < head_dim / 64; ++column) {
      copy_box(to + column * leaf_column_bytes + unit * unit_tokens * 128, map, full, column * 64,
               (start + unit * unit_tokens) & in_block, tile.kv_head, blocks[unit]);
    }
  }
}

// Brings the block's leaves of K or of V, tile after tile, as room is made for them. part: of a tile's blocks, which
// this is.
template <int head_dim, bool values>
__device__ void bring_leaves(const PrefillJob& job, const TileRing& tiles, int part, const CUtensorMap& map,
                             const Ring<PrefillLayout<head_dim>::stages>& ring) {
  const int lane = threadIdx.x % 32;
  unsigned round = 0;  // of the ring
  const unsigned count = tiles.wait_for_count();
  for (unsigned number = 0; number < count; ++number) {
    const Tile tile = tiles.take(number);
    tiles.give_back(number);
    const std::int32_t* blocks =
        job.cache.block_table + static_cast<std::int64_t>(tile.table_row) * job.cache.table_stride;
    const auto block_of = [&](int leaf) {
      const int position = leaf * attention_leaf_tokens + lane % leaf_units * unit_tokens;
      const bool seen = position + unit_tokens - 1 >= tile.first && position <= tile.last;
      return seen ? blocks[position >> job.block_shift] : 0;
    };
    Leaves leaves(tile.first, tile.last, job.parts, part);
    int next_block = block_of(leaves.leaf);
    for (; leaves.left(); leaves.leaf = leaves.after(), ++round) {
      const int block = next_block;
      next_block = block_of(leaves.after());  // on its way while this leaf waits for room
      ring.wait_empty(round);
      bring_leaf<head_dim, values>(job, tile, map, leaves.leaf * attention_leaf_tokens, block,
                                   ring.memory + ring.place(round) * PrefillLayout<head_dim>::leaf_bytes,
                                   ring.full(round));
      __syncwarp();
    }
  }
}

// Brings the queries of tile after tile: row token * pack_heads + head, of 128 bytes a block of 64 columns. Rows of no
// token or head of the tile hold anything.
template <int head_dim>
__device__ void bring_queries(const PrefillJob& job, const TileRing& tiles, const CUtensorMap& map,
                              const Ring<PrefillLayout<head_dim>::q_stages>& ring) {
  using Layout = PrefillLayout<head_dim>;
  const std::uint64_t policy = policy_evict_first();
  const unsigned count = tiles.wait_for_count();
  for (unsigned number = 0; number < count; ++number) {
    const Tile& tile = tiles.take(number);
    const int row = tile.row0, head = tile.q_head;
    tiles.give_back(number);
    ring.wait_empty(number);
    if (threadIdx.x % 32 != 0) continue;
    const std::uint32_t to = ring.memory + ring.place(number) * Layout::q_bytes;
    barrier_arrive_expecting(ring.full(number), job.tile_tokens * job.pack_heads * head_dim * 2);
#pragma unroll
    for (int column = 0; column < head_dim / 64; ++column)
      copy_box(to + column * (Layout::rows * 128), map, ring.full(number), column * 64, head, row, policy);
  }
}

}  // namespace serveloop::kernels::cuda
