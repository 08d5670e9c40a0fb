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

// Tiles of the lane's chunk that end at a leaf of `leaf` or later.
struct ChunkTiles {
  int tokens, position, tile_tokens;

  __device__ ChunkTiles(const PrefillJob& job, int chunk) : tile_tokens(job.tile_tokens) {
    const bool there = chunk < job.chunks.count;
    tokens = there ? job.chunks.start[chunk + 1] - job.chunks.start[chunk] : 0;
    position = there ? job.chunks.position[chunk] : 0;
  }
  __device__ int count() const { return tiles_of(tokens); }
  __device__ int last_leaf() const {
    return tokens > 0 ? (position + tokens - 1) / attention_leaf_tokens : -1;
  }
  __device__ int count_from(int leaf) const {
    const int needed = leaf * attention_leaf_tokens - position + 1;  // tokens of the chunk up to there
    if (needed > tokens) return 0;
    return needed <= 0 ? count() : count() - tiles_of(needed) + 1;
  }

 private:
  __device__ int tiles_of(int some) const {
    return static_cast<int>(static_cast<unsigned>(some + tile_tokens - 1) /
                            static_cast<unsigned>(tile_tokens));
  }
};

// Over all chunks. Whole warps, like all that follows.
__device__ inline int tiles_from(const PrefillJob& job, int leaf) {
  int sum = 0;
  for (int base = 0; base < job.chunks.count; base += 32)
    sum += ChunkTiles(job, base + static_cast<int>(threadIdx.x % 32)).count_from(leaf);
  return __reduce_add_sync(0xffffffffu, sum);
}

struct Chunk {
  int start, end, position, table_row;

  __device__ Chunk(const PrefillJob& job, int chunk)
      : start(job.chunks.start[chunk]),
        end(job.chunks.start[chunk + 1]),
        position(job.chunks.position[chunk]),
        table_row(job.chunks.table_row[chunk]) {}
};

// The tile'th tile from the start of a chunk, for a pack of query heads.
__device__ inline Tile make_tile(const PrefillJob& job, const Chunk& chunk, int tile, int pack) {
  const int done = tile * job.tile_tokens;
  const int group_heads = job.shape.q_heads / job.shape.kv_heads;
  const int heads_done = pack % job.head_packs * job.pack_heads;
  Tile made;
  made.row0 = chunk.start + done;
  made.tokens = min(job.tile_tokens, chunk.end - made.row0);
  made.position0 = chunk.position + done;
  made.table_row = chunk.table_row;
  made.kv_head = pack / job.head_packs;
  made.q_head = made.kv_head * group_heads + heads_done;
  made.heads = min(job.pack_heads, group_heads - heads_done);
  made.first = job.shape.window > 0 ? max(0, made.position0 - job.shape.window + 1) : 0;
  made.last = made.position0 + made.tokens - 1;
  return made;
}

// The tile of `rank` among those of one pack, the ones that end at later leaves first.
__device__ inline Tile find_tile(const PrefillJob& job, int most_leaf, int rank, int pack) {
  int leaf = 0, after = most_leaf + 1;  // where the tile ends is from `leaf` on and before `after`
  int later = 0;                        // tiles that end at `after` or later
  while (after - leaf > 1) {
    const int middle = leaf + (after - leaf) / 2;
    const int count = tiles_from(job, middle);
    if (count > rank) {
      leaf = middle;
    } else {
      after = middle;
      later = count;
    }
  }
  rank -= later;
  for (int base = 0; base < job.chunks.count; base += 32) {
    const ChunkTiles chunk(job, base + static_cast<int>(threadIdx.x % 32));
    const int later_of_chunk = chunk.count_from(leaf + 1);
    const int equal = chunk.count_from(leaf) - later_of_chunk;
    int sum = equal;
    for (int step = 1; step < 32; step *= 2) {
      const int below = __shfl_up_sync(0xffffffffu, sum, step);
      if (static_cast<int>(threadIdx.x % 32) >= step) sum += below;
    }
    const unsigned holds = __ballot_sync(0xffffffffu, rank < sum);
    if (holds != 0) {
      const int owner = __ffs(static_cast<int>(holds)) - 1;
      const int tile = chunk.count() - 1 - later_of_chunk - (rank - (sum - equal));
      return make_tile(job, Chunk(job, base + owner), __shfl_sync(0xffffffffu, tile, owner), pack);
    }
    rank -= __shfl_sync(0xffffffffu, sum, 31);
  }
  return {};
}

// The tiles of all chunks in the order in which they are taken. Of one chunk that is from its end: nothing to look for.
class TileOrder {
 public:
  __device__ explicit TileOrder(const PrefillJob& job)
      : job_(job),
        first_(job, 0),
        tiles_(tiles_from(job, 0)),
        most_leaf_(0) {
    if (job.chunks.count == 1) return;
    for (int base = 0; base < job.chunks.count; base += 32)
      most_leaf_ = max(most_leaf_, ChunkTiles(job, base + static_cast<int>(threadIdx.x % 32)).last_leaf());
    most_leaf_ = __reduce_max_sync(0xffffffffu, most_leaf_);
  }

  // Of the packs that are dealt together.
  __device__ int count() const { return tiles_ * job_.packs_at_once; }

  // The index'th of these; first_pack: of the packs.
  __device__ Tile at(int first_pack, int index) const {
    const int rank = index / job_.packs_at_once;
    const int pack = first_pack + index % job_.packs_at_once;
    return job_.chunks.count == 1 ? make_tile(job_, first_, tiles_ - 1 - rank, pack)
                                  : find_tile(job_, most_leaf_, rank, pack);
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
  const PrefillJob& job_;
  const Chunk first_;
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
