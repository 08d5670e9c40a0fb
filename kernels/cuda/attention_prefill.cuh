// The kernel of prefill_attention().
//
// A block takes a tile: some consecutive tokens of a chunk with the query heads that share a key head, 128 rows of
// scores (64 at head size 256). Two warpgroups of consumers own 64 rows each; at head size 256 they own the same 64
// rows and half of the columns of V each, and both make the scores. Of the third warpgroup one warp brings keys and one
// values, a leaf at a time, through rings in shared memory.
//
// A row's state passes through the steps of decode_attention(): leaf, group, result, each from its own start, with
// products that the tensor cores sum alike in mma.sync and wgmma (tests/device/test_prefill.cu compares the bits).
// What a row doesn't see enters its sums as zeros.
//
// Sources: tiles and online softmax (Dao, FlashAttention-2, 2023), warpgroups with a producer (Shah et al.,
// FlashAttention-3, 2024).
#pragma once

#include "attention_fold.cuh"
#include "attention_leaf.cuh"
#include "hopper.cuh"

namespace serveloop::kernels::cuda {

inline constexpr int prefill_threads = 384;
inline constexpr int consumer_threads = 256;
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
  static constexpr int total_at = v_at + stages * leaf_bytes;  // F32 [columns / 2][consumer_threads]
  static constexpr int barriers_at = total_at + columns / 2 * consumer_threads * 4;
  static constexpr int bytes = barriers_at + stages * 4 * 8;
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

// --- the producers: a warp each ---

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

// Brings all leaves of K or of V, as room is made for them.
template <int head_dim>
__device__ void produce(const PrefillJob& job, const Tile& tile, const CUtensorMap& map, const bf16* from,
                        Ring ring) {
  using Layout = PrefillLayout<head_dim>;
  const std::int32_t* blocks =
      job.cache.block_table + static_cast<std::int64_t>(tile.table_row) * job.cache.table_stride;
  const int lane = threadIdx.x % 32;
  const auto block_of = [&](int leaf) {
    const int position = leaf * attention_leaf_tokens + lane % leaf_units * unit_tokens;
    const bool seen = position + unit_tokens - 1 >= tile.first && position <= tile.last;
    return seen ? blocks[position >> job.block_shift] : 0;
  };
  const int first_leaf = tile.first / attention_leaf_tokens;
  int next_block = block_of(first_leaf);
  for (int leaf = first_leaf; leaf <= tile.last / attention_leaf_tokens; ++leaf) {
    const int block = next_block;
    next_block = block_of(leaf + 1);  // on its way while this leaf waits for room
    barrier_wait(ring.empty(Layout::stages), ring.phase ^ 1);
    bring_leaf<head_dim>(job, tile, map, from, leaf * attention_leaf_tokens, block,
                         ring.memory + ring.stage * Layout::leaf_bytes, ring.full());
    ring.step(Layout::stages);
  }
}

// --- the consumers ---

// A thread's two rows of the tile and their states.
template <int columns>
struct RowStates {
  float m[2], l[2];
  float o[columns / 2];  // [column block of 8][half][2]

  // No key yet: what is folded into this comes out as it is, to the sign of a zero.
  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int half = 0; half < 2; ++half) m[half] = -INFINITY, l[half] = -0.0f;
#pragma unroll
    for (int i = 0; i < columns / 2; ++i) o[i] = -0.0f;
  }
};

// fold_factors(), where the next state may have no key.
__device__ __forceinline__ FoldFactors fold_factors_or_none(float into_m, float next_m) {
  const FoldFactors factors = fold_factors(into_m, next_m);
  return next_m == -INFINITY ? FoldFactors{into_m, 1.0f, 0.0f} : factors;
}

template <int columns>
__device__ __forceinline__ void fold_leaf(RowStates<columns>& into, const float (&m)[2], const float (&l)[2],
                                          const float (&o)[columns / 2]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const FoldFactors factors = fold_factors_or_none(into.m[half], m[half]);
    into.m[half] = factors.m;
    into.l[half] = fold_term(into.l[half], factors.keep, l[half], factors.take);
#pragma unroll
    for (int i = 0; i < columns / 4; ++i) {
      const int at = i / 2 * 4 + half * 2 + i % 2;
      into.o[at] = fold_term(into.o[at], factors.keep, o[at], factors.take);
    }
  }
}

// The groups before the current one: sums in registers, values in this thread's own slots of shared memory.
template <int columns>
struct Total {
  float m[2] = {-INFINITY, -INFINITY};
  float l[2];
  float* values;  // [columns / 2], consumer_threads apart

  // Takes a group in, and leaves the sum of both in it.
  __device__ __forceinline__ void fold_into(RowStates<columns>& group) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (m[half] == -INFINITY) continue;
      const FoldFactors factors = fold_factors_or_none(m[half], group.m[half]);
      group.m[half] = factors.m;
      group.l[half] = fold_term(l[half], factors.keep, group.l[half], factors.take);
#pragma unroll
      for (int i = 0; i < columns / 4; ++i) {
        const int at = i / 2 * 4 + half * 2 + i % 2;
        group.o[at] = fold_term(values[at * consumer_threads], factors.keep, group.o[at], factors.take);
      }
    }
  }

  __device__ __forceinline__ void keep(const RowStates<columns>& group) {
#pragma unroll
    for (int half = 0; half < 2; ++half) m[half] = group.m[half], l[half] = group.l[half];
#pragma unroll
    for (int i = 0; i < columns / 2; ++i) values[i * consumer_threads] = group.o[i];
  }
};

// Query rows to shared memory, in the layout of the keys; rows of no token are zero.
template <int head_dim>
__device__ void load_tile_query(const PrefillJob& job, const Tile& tile, std::uint32_t to) {
  constexpr int rows = PrefillLayout<head_dim>::rows;
  for (int i = threadIdx.x; i < rows * head_dim / 8; i += consumer_threads) {
    const int row = i / (head_dim / 8);
    const int chunk = i % (head_dim / 8);
    const int token = row / job.pack_heads;
    const int head = row % job.pack_heads;
    uint4 data = {0, 0, 0, 0};
    if (token < tile.tokens && head < tile.heads) {
      data = *reinterpret_cast<const uint4*>(job.q + (tile.row0 + token) * job.q_stride +
                                             (tile.q_head + head) * head_dim + chunk * 8);
    }
    store_shared(to + chunk / 8 * (rows * 128) + row * 128 + ((chunk % 8) ^ (row & 7)) * 16, data);
  }
  fence_async_proxy();
  named_barrier(1, consumer_threads);
}

// Scores of 64 rows and the leaf's 128 keys.
template <int head_dim>
__device__ __forceinline__ void score_leaf(std::uint32_t q, std::uint32_t k, float (&s)[leaf_units * 8]) {
  constexpr int rows = PrefillLayout<head_dim>::rows;
  const Matrix rows_of_q(q);
  const Matrix keys(k);
  warpgroup_begin();
#pragma unroll
  for (int step = 0; step < head_dim / 16; ++step) {
    warpgroup_multiply(s, rows_of_q.at(step / 4 * (rows * 128) + step % 4 * 32),
                       keys.at(step / 4 * leaf_column_bytes + step % 4 * 32), step > 0);
  }
  warpgroup_commit();
  warpgroup_wait<0>();
}

// o = P V over the leaf's 128 keys.
template <int columns>
__device__ __forceinline__ void weigh_leaf(const std::uint32_t (&p)[leaf_units][4], std::uint32_t v,
                                           float (&o)[columns / 2]) {
  const Matrix values(v, leaf_column_bytes);
  warpgroup_begin();
#pragma unroll
  for (int unit = 0; unit < leaf_units; ++unit)
    warpgroup_multiply(o, p[unit], values.at(unit * unit_tokens * 128), unit > 0);
  warpgroup_commit();
  warpgroup_wait<0>();
}

struct RowPlace {
  bool used[2];
  int token[2], head[2];
  int first[2], last[2];  // visible positions
};

__device__ inline RowPlace place_rows(const PrefillJob& job, const Tile& tile, int row0) {
  RowPlace place;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = row0 + half * 8;
    place.token[half] = row / job.pack_heads;
    place.head[half] = row % job.pack_heads;
    place.used[half] = place.token[half] < tile.tokens && place.head[half] < tile.heads;
    const int position = tile.position0 + place.token[half];
    place.last[half] = place.used[half] ? position : -1;
    place.first[half] = job.shape.window > 0 ? max(0, position - job.shape.window + 1) : 0;
  }
  return place;
}

template <int head_dim, bool capped>
__device__ void consume(const PrefillJob& job, const Tile& tile, char* memory, Ring k, Ring v) {
  using Layout = PrefillLayout<head_dim>;
  constexpr int columns = Layout::columns;
  const int group_index = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);  // known to be one for the warp
  const int row_base = head_dim == 256 ? 0 : group_index * 64;
  const int column_base = head_dim == 256 ? group_index * 128 : 0;
  const std::uint32_t q = shared_address(memory);
  load_tile_query<head_dim>(job, tile, q);
  const RowPlace place = place_rows(job, tile, row_base + threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4);
  const int all_last = tile.position0;  // every row sees keys up to here
  const int all_first = job.shape.window > 0 ? max(0, tile.last - job.shape.window + 1) : 0;
  Total<columns> total;
  total.values = reinterpret_cast<float*>(memory + Layout::total_at) + threadIdx.x;
  RowStates<columns> group;
  group.clear();
  // The warpgroups take turns with their scores, so that one multiplies while the other softens.
  const int own_turn = 2 + group_index;
  const int other_turn = 3 - group_index;
  if (group_index == 1) named_barrier_arrive(other_turn, consumer_threads);
  const int last_leaf = tile.last / attention_leaf_tokens;
  for (int leaf = tile.first / attention_leaf_tokens; leaf <= last_leaf; ++leaf) {
    const int start = leaf * attention_leaf_tokens;
    float s[leaf_units * 8];
    barrier_wait(k.full(), k.phase);
    named_barrier(own_turn, consumer_threads);
    score_leaf<head_dim>(q + row_base * 128, k.memory + k.stage * Layout::leaf_bytes, s);
    if (group_index == 0 || leaf < last_leaf) named_barrier_arrive(other_turn, consumer_threads);
    if (threadIdx.x % 128 == 0) barrier_arrive(k.empty(Layout::stages));
    k.step(Layout::stages);
    float m[2], l[2], o[columns / 2];
    const bool whole = start >= all_first && start + attention_leaf_tokens - 1 <= all_last;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (whole) {
        soften_half<capped, false>(start, 0, 0, job.shape.scale, job.shape.soft_cap, half, s, m[half],
                                   l[half]);
      } else {
        soften_half<capped>(start, place.first[half], place.last[half], job.shape.scale, job.shape.soft_cap,
                            half, s, m[half], l[half]);
      }
    }
    std::uint32_t p[leaf_units][4];
#pragma unroll
    for (int unit = 0; unit < leaf_units; ++unit) pack_unit(s + unit * 8, true, p[unit]);
    barrier_wait(v.full(), v.phase);
    weigh_leaf<columns>(p, v.memory + v.stage * Layout::leaf_bytes + column_base / 64 * leaf_column_bytes, o);
    if (threadIdx.x % 128 == 0) barrier_arrive(v.empty(Layout::stages));
    v.step(Layout::stages);
    fold_leaf(group, m, l, o);
    if (leaf % group_leaves == group_leaves - 1 && leaf < last_leaf) {
      total.fold_into(group);
      total.keep(group);
      group.clear();
    }
  }
  total.fold_into(group);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    if (!place.used[half]) continue;
    bf16* out = job.out +
                (static_cast<std::int64_t>(tile.row0 + place.token[half]) * job.shape.q_heads + tile.q_head +
                 place.head[half]) *
                    head_dim +
                column_base + threadIdx.x % 4 * 2;
    const float l = group.l[half];
#pragma unroll
    for (int i = 0; i < columns / 8; ++i) {
      *reinterpret_cast<std::uint32_t*>(out + i * 8) =
          pack_2(__fdiv_rn(group.o[i * 4 + half * 2], l), __fdiv_rn(group.o[i * 4 + half * 2 + 1], l));
    }
  }
}

template <int head_dim, bool capped>
__global__ void __launch_bounds__(prefill_threads, 1)
    prefill_kernel(const __grid_constant__ CUtensorMap k_map, const __grid_constant__ CUtensorMap v_map,
                   const __grid_constant__ PrefillJob job) {
  using Layout = PrefillLayout<head_dim>;
  extern __shared__ __align__(1024) char memory[];
  const std::uint32_t base = shared_address(memory);
  const Tile tile = find_tile(job, static_cast<int>(blockIdx.x), static_cast<int>(blockIdx.y));
  if (tile.tokens == 0) return;
  const Ring k = {base + Layout::barriers_at, base + Layout::k_at};
  const Ring v = {base + Layout::barriers_at + Layout::stages * 16, base + Layout::v_at};
  if (threadIdx.x == 0) {
    for (int i = 0; i < Layout::stages; ++i) {
      barrier_init(k.barriers + i * 8, 1);
      barrier_init(v.barriers + i * 8, 1);
      barrier_init(k.barriers + (Layout::stages + i) * 8, 2);
      barrier_init(v.barriers + (Layout::stages + i) * 8, 2);
    }
    barrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x >= consumer_threads) {
    give_registers<40>();
    const int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0) - consumer_threads / 32;
    if (warp == 0) {
      prefetch_map(k_map);
      produce<head_dim>(job, tile, k_map, job.cache.k, k);
    } else if (warp == 1) {
      prefetch_map(v_map);
      produce<head_dim>(job, tile, v_map, job.cache.v, v);
    }
  } else {
    take_registers<232>();
    consume<head_dim, capped>(job, tile, memory, k, v);
  }
}

}  // namespace serveloop::kernels::cuda
