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

// What depends on the head size alone.
template <int head_dim>
struct PrefillLayout {
  static constexpr int rows = head_dim == 256 ? 64 : 128;
  static constexpr int columns = head_dim == 256 ? 128 : head_dim;  // of a warpgroup
  static constexpr int stages = head_dim == 256 ? 1 : head_dim == 128 ? 2 : 4;
  static constexpr int q_bytes = rows * head_dim * 2;
  static constexpr int leaf_bytes = attention_leaf_tokens * head_dim * 2;
  static constexpr int k_at = q_bytes;
  static constexpr int v_at = k_at + stages * leaf_bytes;
  // Of each warp of consumers: values, F32 [columns / 2][32], then maximum and sum of its 16 rows.
  static constexpr int total_at = v_at + stages * leaf_bytes;
  static constexpr int total_bytes = columns / 2 * 32 * 4 + 16 * 8;
  static constexpr int barriers_at = total_at + consumer_warps * total_bytes;  // of K, of V, of the totals
  static constexpr int total_barriers_at = barriers_at + stages * 4 * 8;
  static constexpr int bytes = total_barriers_at + consumer_warps * 8;
};

struct PrefillJob {
  AttentionShape shape;
  AttentionChunks chunks;
  AttentionCache cache;
  const bf16* q;
  std::int64_t q_stride;
  bf16* out;
  int head_packs;   // of one key head
  int pack_heads;   // query heads of a full pack
  int tile_tokens;  // of a full tile
  int block_shift;  // log2(block_tokens)
  int parts;        // blocks of a tile: a cluster
};

struct Tile {
  int row0, tokens;  // of q and out
  int position0;
  int table_row;
  int kv_head, q_head, heads;
  int first, last;  // positions that any token of the tile sees
};

// The tile'th tile from the end of the last chunk; tokens 0 past the first chunk's start. Whole warps.
__device__ inline Tile find_tile(const PrefillJob& job, int tile, int pack) {
  const int lane = threadIdx.x % 32;
  Tile found = {};
  for (int base = job.chunks.count - 1; base >= 0; base -= 32) {
    const int chunk = base - lane;
    const int start = chunk >= 0 ? job.chunks.start[chunk] : 0;
    const int tokens = chunk >= 0 ? job.chunks.start[chunk + 1] - start : 0;
    const int tiles = (tokens + job.tile_tokens - 1) / job.tile_tokens;
    int sum = tiles;
    for (int step = 1; step < 32; step *= 2) {
      const int below = __shfl_up_sync(0xffffffffu, sum, step);
      if (lane >= step) sum += below;
    }
    const unsigned holds = __ballot_sync(0xffffffffu, tile < sum);
    if (holds == 0) {
      tile -= __shfl_sync(0xffffffffu, sum, 31);
      continue;
    }
    const int owner = __ffs(holds) - 1;
    const int local = __shfl_sync(0xffffffffu, sum, owner) - 1 - tile;  // from the chunk's start
    const int done = local * job.tile_tokens;
    const int owner_chunk = base - owner;
    found.row0 = __shfl_sync(0xffffffffu, start, owner) + done;
    found.tokens = min(job.tile_tokens, __shfl_sync(0xffffffffu, tokens, owner) - done);
    found.position0 = job.chunks.position[owner_chunk] + done;
    found.table_row = job.chunks.table_row[owner_chunk];
    break;
  }
  const int group_heads = job.shape.q_heads / job.shape.kv_heads;
  found.kv_head = pack / job.head_packs;
  const int heads_done = pack % job.head_packs * job.pack_heads;
  found.q_head = found.kv_head * group_heads + heads_done;
  found.heads = min(job.pack_heads, group_heads - heads_done);
  found.first = job.shape.window > 0 ? max(0, found.position0 - job.shape.window + 1) : 0;
  found.last = found.position0 + found.tokens - 1;
  return found;
}

// The leaves of a tile that are of one of its blocks, in ascending order: those of every parts'th group.
struct Leaves {
  int parts, part;  // blocks of the tile, and which of them this is
  int first_group;  // of the tile
  int last;         // of the tile
  int leaf;         // the block's next

  __device__ Leaves(const Tile& tile, int parts, int part)
      : parts(parts),
        part(part),
        first_group(tile.first / attention_group_tokens),
        last(tile.last / attention_leaf_tokens),
        leaf(part == 0 ? tile.first / attention_leaf_tokens : (first_group + part) * group_leaves) {}

  __device__ bool left() const { return leaf <= last; }
  __device__ int after() const {
    return (leaf + 1) % group_leaves == 0 ? leaf + 1 + (parts - 1) * group_leaves : leaf + 1;
  }
  // Of `leaf`: whether the tile has groups before its own; whether it ends its group, which others follow.
  __device__ bool follows() const { return leaf / group_leaves > first_group; }
  __device__ bool ends_group() const { return (leaf + 1) % group_leaves == 0 && leaf < last; }
  // Whether other blocks have groups too, and whether the tile's last is this block's.
  __device__ bool shared() const { return parts > 1 && last / group_leaves > first_group; }
  __device__ bool end_tile() const { return (last / group_leaves - first_group) % parts == part; }
  __device__ int next_part() const { return part + 1 < parts ? part + 1 : 0; }
};

// Barriers of one ring: [stages] full, [stages] empty.
struct Ring {
  std::uint32_t barriers;
  std::uint32_t memory;
  int stage = 0;
  int phase = 0;

  __device__ void step(int stages) {
    if (++stage == stages) stage = 0, phase ^= 1;
  }
  __device__ std::uint32_t full() const { return barriers + stage * 8; }
  __device__ std::uint32_t empty(int stages) const { return barriers + (stages + stage) * 8; }
};

// The producers, a warp each for K and V.

// Brings one leaf of K or V. Lanes below 8 hold the block of their unit of 16 tokens. Units of which the tile sees
// every token are copied as boxes; the rest are written here, with zeros where the tile sees nothing: those slots
// may hold anything.
template <int head_dim>
__device__ void bring_leaf(const PrefillJob& job, const Tile& tile, const CUtensorMap& map, const bf16* from,
                           int start, int block, std::uint32_t to, std::uint32_t full) {
  const int lane = threadIdx.x % 32;
  const int unit_start = start + lane % leaf_units * unit_tokens;
  const bool whole = unit_start >= tile.first && unit_start + unit_tokens - 1 <= tile.last;
  const unsigned boxes = __ballot_sync(0xffffffffu, whole) & ((1u << leaf_units) - 1);
  const int in_block = job.shape.block_tokens - 1;
  for (int unit = 0; unit < leaf_units; ++unit) {
    if (boxes >> unit & 1) continue;
    const int position = start + unit * unit_tokens;
    const std::int64_t slot =
        __shfl_sync(0xffffffffu, block, unit) * job.cache.block_stride +
        (static_cast<std::int64_t>(tile.kv_head) * job.shape.block_tokens + (position & in_block)) * head_dim;
    for (int i = lane; i < unit_tokens * head_dim / 8; i += 32) {
      const int row = i / (head_dim / 8);
      const int chunk = i % (head_dim / 8);
      const bool visible = position + row >= tile.first && position + row <= tile.last;
      uint4 data = {0, 0, 0, 0};
      if (visible) data = *reinterpret_cast<const uint4*>(from + slot + row * head_dim + chunk * 8);
      store_shared(to + chunk / 8 * leaf_column_bytes + (unit * unit_tokens + row) * 128 +
                       ((chunk % 8) ^ (row & 7)) * 16,
                   data);
    }
  }
  if (boxes != (1u << leaf_units) - 1) fence_async_proxy();
  __syncwarp();
  if (lane == 0) barrier_arrive_expecting(full, __popc(boxes) * unit_tokens * head_dim * 2);
#pragma unroll
  for (int unit = 0; unit < leaf_units; ++unit) {
    const int unit_block = __shfl_sync(0xffffffffu, block, unit);
    if (lane != 0 || (boxes >> unit & 1) == 0) continue;
#pragma unroll
    for (int column = 0; column < head_dim / 64; ++column) {
      copy_box(to + column * leaf_column_bytes + unit * unit_tokens * 128, map, full, column * 64,
               (start + unit * unit_tokens) & in_block, tile.kv_head, unit_block);
    }
  }
}

// Brings the block's leaves of K or of V, as room is made for them.
template <int head_dim>
__device__ void produce(const PrefillJob& job, const Tile& tile, Leaves leaves, const CUtensorMap& map,
                        const bf16* from, Ring ring) {
  using Layout = PrefillLayout<head_dim>;
  const std::int32_t* blocks =
      job.cache.block_table + static_cast<std::int64_t>(tile.table_row) * job.cache.table_stride;
  const int lane = threadIdx.x % 32;
  const auto block_of = [&](int leaf) {
    const int position = leaf * attention_leaf_tokens + lane % leaf_units * unit_tokens;
    const bool seen = position + unit_tokens - 1 >= tile.first && position <= tile.last;
    return seen ? blocks[position >> job.block_shift] : 0;
  };
  int next_block = block_of(leaves.leaf);
  for (; leaves.left(); leaves.leaf = leaves.after()) {
    const int block = next_block;
    next_block = block_of(leaves.after());  // on its way while this leaf waits for room
    barrier_wait(ring.empty(Layout::stages), ring.phase ^ 1);
    bring_leaf<head_dim>(job, tile, map, from, leaves.leaf * attention_leaf_tokens, block,
                         ring.memory + ring.stage * Layout::leaf_bytes, ring.full());
    ring.step(Layout::stages);
  }
}

}  // namespace serveloop::kernels::cuda
