// Which tiles of prefill_attention() a block takes, and in which order.
//
// Every launch has as many blocks as the device has multiprocessors, and each goes from tile to tile, so that the first
// loads of a tile are under way while the one before it ends. Who takes what is a function of the chunks alone: tiles
// that end at later keys come first, since they take longest, and are dealt in rounds, every other one from the last block to
// the first (as in Graham's rule of the longest first, 1969). Tiles of key heads whose keys and values fit into the L2
// cache together are dealt together, others after them.
#pragma once

#include "attention_tile.cuh"

namespace serveloop::kernels::cuda {

struct Chunk {
  int start = 0, tokens = 0, position = 0, table_row = 0;

  // Of no tokens past the last.
  __device__ Chunk(const PrefillJob& job, int chunk) {
    if (chunk >= job.chunks.count) return;
    start = job.chunks.start[chunk];
    tokens = job.chunks.start[chunk + 1] - start;
    position = job.chunks.position[chunk];
    table_row = job.chunks.table_row[chunk];
  }

  // Lane `owner`'s.
  __device__ Chunk of(int owner) const {
    Chunk chunk = *this;
    for (int* value : {&chunk.start, &chunk.tokens, &chunk.position, &chunk.table_row})
      *value = __shfl_sync(0xffffffffu, *value, owner);
    return chunk;
  }

  __device__ int last_leaf() const {
    return tokens > 0 ? (position + tokens - 1) / attention_leaf_tokens : -1;
  }

  // Tiles that end at a leaf of `leaf` or later.
  __device__ int tiles_from(int leaf, int tile_tokens) const {
    const int needed = leaf * attention_leaf_tokens - position + 1;  // tokens of the chunk up to there
    if (needed > tokens) return 0;
    const int all = divide_up(tokens, tile_tokens);
    return needed <= 0 ? all : all - divide_up(needed, tile_tokens) + 1;
  }

 private:
  __device__ static int divide_up(int tokens, int tile_tokens) {
    return static_cast<int>(static_cast<unsigned>(tokens + tile_tokens - 1) /
                            static_cast<unsigned>(tile_tokens));
  }
};

// The tile'th tile from the start of a chunk, for a pack of query heads.
__device__ inline Tile make_tile(const PrefillJob& job, const Chunk& chunk, int tile, int pack) {
  const int done = tile * job.tile_tokens;
  const int group_heads = job.shape.q_heads / job.shape.kv_heads;
  const int heads_done = pack % job.head_packs * job.pack_heads;
  Tile made;
  made.row0 = chunk.start + done;
  made.tokens = min(job.tile_tokens, chunk.tokens - done);
  made.position0 = chunk.position + done;
  made.table_row = chunk.table_row;
  made.kv_head = pack / job.head_packs;
  made.q_head = made.kv_head * group_heads + heads_done;
  made.heads = min(job.pack_heads, group_heads - heads_done);
  made.first = job.shape.window > 0 ? max(0, made.position0 - job.shape.window + 1) : 0;
  made.last = made.position0 + made.tokens - 1;
  return made;
}

// The tiles of all chunks in the order in which they are taken: those that end at later leaves first. Of one whole warp.
class TileOrder {
 public:
  __device__ explicit TileOrder(const PrefillJob& job)
      : job_(job),
        lane_(static_cast<int>(threadIdx.x % 32)),
        own_(job, lane_),
        tiles_(tiles_from(0)),
        most_leaf_(0) {
    for (int base = 0; base < job.chunks.count; base += 32)
      most_leaf_ = max(most_leaf_, chunk(base).last_leaf());
    most_leaf_ = __reduce_max_sync(0xffffffffu, most_leaf_);
  }

  // Of the packs that are dealt together.
  __device__ int count() const { return tiles_ * job_.packs_at_once; }

  // The index'th of these; first_pack: of the packs.
  __device__ Tile at(int first_pack, int index) const {
    const int rank = index / job_.packs_at_once, pack = first_pack + index % job_.packs_at_once;
    return job_.chunks.count == 1 ? make_tile(job_, own_.of(0), tiles_ - 1 - rank, pack) : find(rank, pack);
  }

  // Calls use(first pack, index) for each tile of block `team` of `teams`.
  template <class Use>
  __device__ void deal(int team, int teams, const Use& use) const {
    int round = 0;
    for (int pack = 0; pack < job_.packs; pack += job_.packs_at_once) {
      for (int dealt = 0; dealt < count(); dealt += teams, ++round) {
        const int index = dealt + (round % 2 == 0 ? team : teams - 1 - team);
        if (index < count()) use(pack, index);
      }
    }
  }

 private:
  // The lane's of 32 chunks from `base` on.
  __device__ Chunk chunk(int base) const { return base == 0 ? own_ : Chunk(job_, base + lane_); }

  __device__ int tiles_from(int leaf) const {
    int sum = 0;
    for (int base = 0; base < job_.chunks.count; base += 32)
      sum += chunk(base).tiles_from(leaf, job_.tile_tokens);
    return __reduce_add_sync(0xffffffffu, sum);
  }

  // The tile of `rank` among those of one pack.
  __device__ Tile find(int rank, int pack) const {
    int leaf = 0, after = most_leaf_ + 1;  // where the tile ends is from `leaf` on and before `after`
    int later = 0;                         // tiles that end at `after` or later
    while (after - leaf > 1) {
      const int middle = leaf + (after - leaf) / 2;
      const int count = tiles_from(middle);
      if (count > rank) {
        leaf = middle;
      } else {
        after = middle;
        later = count;
      }
    }
    rank -= later;
    for (int base = 0; base < job_.chunks.count; base += 32) {
      const Chunk some = chunk(base);
      const int later_of_chunk = some.tiles_from(leaf + 1, job_.tile_tokens);
      const int equal = some.tiles_from(leaf, job_.tile_tokens) - later_of_chunk;
      int sum = equal;
      for (int step = 1; step < 32; step *= 2) {
        const int below = __shfl_up_sync(0xffffffffu, sum, step);
        if (lane_ >= step) sum += below;
      }
      const unsigned holds = __ballot_sync(0xffffffffu, rank < sum);
      if (holds != 0) {
        const int owner = __ffs(static_cast<int>(holds)) - 1;
        const int tile = some.tiles_from(0, job_.tile_tokens) - 1 - later_of_chunk - (rank - (sum - equal));
        return make_tile(job_, some.of(owner), __shfl_sync(0xffffffffu, tile, owner), pack);
      }
      rank -= __shfl_sync(0xffffffffu, sum, 31);
    }
    return {};
  }

  const PrefillJob& job_;
  const int lane_;
  const Chunk own_;
  const int tiles_;  // of one pack
  int most_leaf_;
};

// Hands out the tiles of a block, and before that their number.
__device__ inline void deal_tiles(const PrefillJob& job, const TileRing& tiles, int team, int teams) {
  const TileOrder order(job);
  int count = 0, number = 0;
  order.deal(team, teams, [&](int, int) { ++count; });
  if (threadIdx.x % 32 == 0) *tiles.count = count;
  if (count == 0) return tiles.put(0, {});
  order.deal(team, teams, [&](int pack, int index) { tiles.put(number++, order.at(pack, index)); });
}

}  // namespace serveloop::kernels::cuda
