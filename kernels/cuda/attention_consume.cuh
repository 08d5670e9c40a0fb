// The consumers of prefill_attention(): a warpgroup takes the leaves of tile after tile, from the scores to the stored result.
//
// The warpgroups take turns with the tensor cores. In its turn one starts the product of a leaf's probabilities with V, then the
// scores of the leaf after. While the first is under way it sums the probabilities, while the second is, it adds the values to
// their group; between its turns it softens the scores and scales the group. The turn that ends a tile begins the next.
#pragma once

#include "attention_rows.cuh"

namespace serveloop::kernels::cuda {

// Pins values to this place of the program: what makes them stays before it, what uses them after. The compiler knows
// neither of products under way nor of the wait for them.
template <int size>
__device__ __forceinline__ void pin(float* values) {
#pragma unroll
  for (int i = 0; i < size; ++i) asm volatile("" : "+f"(values[i])::"memory");
}

// What is the same for the whole warp, in a way that the compiler sees: branches on it do not part the lanes.
__device__ __forceinline__ int uniform(int value) { return __shfl_sync(0xffffffffu, value, 0); }
__device__ __forceinline__ bool uniform(bool value) { return __any_sync(0xffffffffu, value) != 0; }

// Starts the scores of 64 rows and the leaf's 128 keys.
template <int head_dim>
__device__ __forceinline__ void start_scores(std::uint32_t q, std::uint32_t k, float (&s)[leaf_units * 8]) {
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
}

// Starts o = P V over the leaf's 128 keys.
template <int columns>
__device__ __forceinline__ void start_values(const std::uint32_t (&p)[leaf_units][4], std::uint32_t v,
                                             float (&o)[columns / 2]) {
  const Matrix values(v, leaf_column_bytes);
  warpgroup_begin();
#pragma unroll
  for (int unit = 0; unit < leaf_units; ++unit)
    warpgroup_multiply(o, p[unit], values.at(unit * unit_tokens * 128), unit > 0);
  warpgroup_commit();
}

// Which key each of a thread's two rows sees last, -1 where the row is not used.
struct RowEnds {
  int last[2];
};

// The thread's rows of the tile are `row` and `row` + 8.
__device__ __forceinline__ RowEnds row_ends(const PrefillJob& job, const Tile& tile, int row) {
  RowEnds ends;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int token = (row + half * 8) / job.pack_heads, head = (row + half * 8) % job.pack_heads;
    const bool used = token < tile.tokens && head < tile.heads;
    ends.last[half] = used ? tile.position0 + token : -1;
  }
  return ends;
}

// Scores become probabilities, as the left operand of their product with V, and the group is scaled to their maximum: while
// the special-function unit makes powers, others have time for that. l: the thread's sums, not yet its rows'. `masked` false:
// every row sees every key.
template <bool capped, bool masked, int columns>
__device__ __forceinline__ void soften_leaf(const AttentionShape& shape, const RowEnds& ends, int start,
                                            float (&s)[leaf_units * 8], float (&l)[2], float (&take)[2],
                                            std::uint32_t (&p)[leaf_units][4], RowStates<columns>& group) {
  const float to_log2 = scale_to_log2<capped>(shape.scale);
  float m[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int last = ends.last[half];
    const int first = masked && shape.window > 0 ? max(0, last - shape.window + 1) : 0;
    m[half] = lane_maximum<capped, masked>(start, first, last, shape.scale, shape.soft_cap, half, s);
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) m[half] = row_maximum(m[half], to_log2);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    l[half] = lane_sum<masked>(m[half], to_log2, half, s);
    take[half] = scale_half(group, half, m[half]);
  }
#pragma unroll
  for (int unit = 0; unit < leaf_units; ++unit) pack_unit(s + unit * 8, true, p[unit]);
}

// The result of the thread's rows. Four lanes of a row exchange their columns, so that each stores 16 bytes at once.
template <int head_dim, int columns>
__device__ void store_rows(const PrefillJob& job, const Tile& tile, const RowStates<columns>& state, int row0,
                           int column0) {
  const int lane = threadIdx.x % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int token = (row0 + half * 8) / job.pack_heads, head = (row0 + half * 8) % job.pack_heads;
    const bool used = token < tile.tokens && head < tile.heads;
    bf16* to =
        job.out +
        (static_cast<std::int64_t>(tile.row0 + token) * job.shape.q_heads + tile.q_head + head) * head_dim +
        column0 + lane * 8;
    const float l = state.l[half];
#pragma unroll
    for (int i = 0; i < columns / 32; ++i) {
      std::uint32_t words[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float* values = state.o + (i * 4 + j) * 4 + half * 2;
        words[j] = pack_2(__fdiv_rn(values[0], l), __fdiv_rn(values[1], l));
      }
      transpose_quad(words);
      if (used) *reinterpret_cast<uint4*>(to + i * 32) = {words[0], words[1], words[2], words[3]};
    }
  }
}

// The turns of the two warpgroups with the tensor cores. Who passes it on before the products have ended lets the other's
// follow at once.
struct Turns {
  int own, other;

  __device__ explicit Turns(int warpgroup) : own(2 + warpgroup), other(3 - warpgroup) {
    if (warpgroup == 1) pass();
  }
  __device__ void wait() const { named_barrier(own, consumer_threads); }
  __device__ void pass() const { named_barrier_arrive(other, consumer_threads); }
};

// A warpgroup of consumers.
template <int head_dim, bool capped, bool clustered>
class Consumer {
  using Layout = PrefillLayout<head_dim>;
  using Scores = float[leaf_units * 8];
  using Probabilities = std::uint32_t[leaf_units][4];
  using Group = RowStates<Layout::columns>;

 public:
  __device__ Consumer(const PrefillJob& job, char* memory, int part)
      : job_(job),
        part_(part),
        warpgroup_(uniform(static_cast<int>(threadIdx.x) / 128)),
        tiles_(TileRing::at<Layout>(memory)),
        q_(Layout::q(shared_address(memory))),
        k_(Layout::k(shared_address(memory))),
        v_(Layout::v(shared_address(memory))),
        total_(memory) {}

  __device__ __forceinline__ void run() {
    const unsigned count = uniform(tiles_.wait_for_count());
    if (count == 0) return;
    const Turns turns(warpgroup_);
    Group group;
    Scores s;
    unsigned leaf = 0;  // of the block's, that whose scores are there
    wait_for_keys(0, 0);
    turns.wait();
    score(0, 0, s);
    turns.pass();
    end_scores(0, s);
    for (unsigned number = 0; number < count; ++number) {
      const Tile& tile = tiles_.take(number);
      const Extent extent = extent_of(tile);
      group.clear();
      for (Leaves leaves = leaves_of(tile); leaves.left(); leaves.leaf = leaves.after(), ++leaf) {
        const bool ends_tile = leaves.after() > leaves.last;
        const unsigned next = ends_tile ? number + 1 : number;
        if (ends_tile) give_back(q_.empty(number));  // not in a turn: for the next both warpgroups have to
        Probabilities p;
        float l[2], take[2], o[Layout::columns / 2];
        soften(extent, leaves.leaf, s, l, take, p, group);
        v_.wait_full(leaf);
        turns.wait();
        start_values<Layout::columns>(
            p, v_.memory + v_.place(leaf) * Layout::leaf_bytes + column() / 64 * leaf_column_bytes, o);
        add_sums(group, take, l);  // while that is under way
        if (next == count) {
          end_values(leaf, o);
          if (warpgroup_ == 0) turns.pass();
          add_values(group, take, o);
          end_leaf(tile, leaves, group);
          return;
        }
        wait_for_keys(next, leaf + 1);
        end_values(leaf, o);
        score(next, leaf + 1, s);
        turns.pass();
        add_values(group, take, o);  // while that is under way
        end_leaf(tile, leaves, group);
        end_scores(leaf + 1, s);
      }
      tiles_.give_back(number);
    }
  }

 private:
  // The thread's first row of the tile, and the warpgroup's first column of V.
  __device__ int row() const {
    const int base = head_dim == 256 ? 0 : warpgroup_ * 64;
    return base + static_cast<int>(threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4);
  }
  __device__ int column() const { return head_dim == 256 ? warpgroup_ * 128 : 0; }

  __device__ Leaves leaves_of(const Tile& tile) const {
    return Leaves(uniform(tile.first), uniform(tile.last), clustered ? job_.parts : 1, clustered ? part_ : 0);
  }

  struct Extent {
    int all_first, all_last;  // keys that every row sees
    RowEnds ends;
  };
  __device__ Extent extent_of(const Tile& tile) const {
    const int first = job_.shape.window > 0 ? max(0, uniform(tile.last) - job_.shape.window + 1) : 0;
    return {first, uniform(tile.position0), row_ends(job_, tile, row())};
  }

  // By the warpgroup.
  __device__ __forceinline__ static void give_back(std::uint32_t barrier) {
    if (threadIdx.x % 128 == 0) barrier_arrive(barrier);
  }

  __device__ __forceinline__ void wait_for_keys(unsigned tile, unsigned leaf) const {
    q_.wait_full(tile);
    k_.wait_full(leaf);
  }

  // Starts the scores of a leaf.
  __device__ __forceinline__ void score(unsigned tile, unsigned leaf, Scores& s) const {
    const int first_row = head_dim == 256 ? 0 : warpgroup_ * 64;
    start_scores<head_dim>(q_.memory + q_.place(tile) * Layout::q_bytes + first_row * 128,
                           k_.memory + k_.place(leaf) * Layout::leaf_bytes, s);
  }

  // Waits for them, and for all other products.
  __device__ __forceinline__ void end_scores(unsigned leaf, Scores& s) const {
    warpgroup_wait<0>();
    pin<leaf_units * 8>(s);
    give_back(k_.empty(leaf));
  }

  __device__ __forceinline__ void end_values(unsigned leaf, float (&o)[Layout::columns / 2]) const {
    warpgroup_wait<0>();
    pin<Layout::columns / 2>(o);
    give_back(v_.empty(leaf));
  }

  __device__ __forceinline__ void soften(const Extent& extent, int leaf, Scores& s, float (&l)[2],
                                         float (&take)[2], Probabilities& p, Group& group) const {
    const int start = leaf * attention_leaf_tokens;
    const bool whole = start >= extent.all_first && start + attention_leaf_tokens - 1 <= extent.all_last;
    if (whole) {
      soften_leaf<capped, false>(job_.shape, extent.ends, start, s, l, take, p, group);
    } else {
      soften_leaf<capped, true>(job_.shape, extent.ends, start, s, l, take, p, group);
    }
  }

  // A leaf may end its group, which is folded onto those before, and its tile.
  __device__ __forceinline__ void end_leaf(const Tile& tile, const Leaves& leaves, Group& group) {
    if (!leaves.ends_group() && !leaves.ends_tile()) return;
    if (leaves.follows()) {
      if (clustered && leaves.shared()) total_.receive();
      total_.fold_into(group);
    }
    if (leaves.ends_tile()) {
      store_rows<head_dim>(job_, tile, group, row(), column());
      return;
    }
    total_.keep(group);
    if (clustered && leaves.shared()) total_.hand_on(leaves.next_part());
    group.clear();
  }

  const PrefillJob& job_;
  const int part_;       // of the tile's blocks, which this is
  const int warpgroup_;  // 0 or 1
  const TileRing tiles_;
  const Ring<Layout::q_stages> q_;
  const Ring<Layout::stages> k_, v_;
  Total<head_dim> total_;
};

}  // namespace serveloop::kernels::cuda
