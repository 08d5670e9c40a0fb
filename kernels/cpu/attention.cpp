// Attention as kv.hpp describes it. Query rows (token, head) that share a KV head go through a leaf together, up to
// kMaxRows in a tile. A key that a row does not see never enters its sums: scores are masked lane by lane, and rows of a
// tile that see different keys take the keys they do not share one row at a time, in the same ascending order.
#include "kernels/cpu/kv_parts.hpp"
#include "kernels/cpu/scalar.hpp"
#include "kernels/cpu/table.hpp"
#include "kernels/cpu/tile.hpp"
#include "kernels/cpu/unpack.hpp"

namespace serveloop::kernels::cpu::SERVELOOP_ISA {
namespace {

constexpr int kLeaf = 64;
constexpr int kRowTile = 48;  // rows whose state is kept while leaves pass; as kernels/cpu/kv.cpp counts
constexpr int kDirectRows = 2 * kMaxRows;  // up to here K and V are widened in the tile

// What the cache holds. Raw: as the tile's loaders point at it.
struct Single {
  using Raw = float;
  using K = FloatRows;
  using V = FloatRows;
  static constexpr bool kPairs = false;
  static float widen(float x) { return x; }
  static float narrow(float x) { return x; }
};
struct Bf16 {
  using Raw = std::uint16_t;
  using K = Bf16Pairs;
  using V = Bf16Rows;
  static constexpr bool kPairs = true;
  static float widen(Raw x) { return bf16_to_f32(x); }
  static Raw narrow(float x) { return f32_to_bf16(x); }
};
struct Half {
  using Raw = std::uint16_t;
  using K = F16Rows;
  using V = F16Rows;
  static constexpr bool kPairs = false;
  static float widen(Raw x) { return f16_to_f32(x); }
  static Raw narrow(float x) { return f32_to_f16(x); }
};

struct Span {
  int begin, end;
};
inline int lesser(int a, int b) { return a < b ? a : b; }
inline int greater(int a, int b) { return a > b ? a : b; }

// The running state of a tile of rows; all in the caller's scratch.
struct State {
  float* q;       // [kRowTile][d], scaled
  float* out;     // [kRowTile][v_dim]
  float* max;     // [kRowTile]
  float* sum;     // [kRowTile]
  float* score;   // [kMaxRows][kLeaf]
  float* keys;    // [kLeaf / 16][d][16], a leaf of K in F32
  float* values;  // [kLeaf][v_dim]
};

template <class Element>
class Head {
  using Raw = typename Element::Raw;

 public:
  Head(const Attention& job, int kv_head, State state)
      : job_(job), parts_(kv_parts(*job.kv)), kv_head_(kv_head), d_(job.kv->head_dim), state_(state) {}

  // Query heads [begin, end), all of this KV head.
  void run(int begin, int end) {
    heads_ = end - begin;
    head_begin_ = begin;
    const std::int64_t rows = std::int64_t{job_.tokens} * heads_;
    for (std::int64_t r = 0; r < rows; r += kRowTile) {
      first_row_ = r;
      rows_ = static_cast<int>(rows - r < kRowTile ? rows - r : kRowTile);
      tile_of_rows();
    }
  }

 private:
  int position(int row) const { return job_.first_position + static_cast<int>((first_row_ + row) / heads_); }
  std::int64_t token(int row) const { return (first_row_ + row) / heads_; }
  int head(int row) const { return head_begin_ + static_cast<int>((first_row_ + row) % heads_); }
  int first_key(int row) const { return job_.window > 0 ? greater(0, position(row) - job_.window + 1) : 0; }
  // Keys of the leaf that the row sees, from the leaf's beginning.
  Span seen(int row, int leaf) const {
    return {greater(first_key(row) - leaf, 0), lesser(position(row) + 1 - leaf, kLeaf)};
  }
  const Raw* block_of(int key) const {
    const std::int64_t block = job_.block_table[key / job_.kv->block_tokens];
    const auto* base = static_cast<const std::uint8_t*>(job_.cache) +
                       block * static_cast<std::int64_t>(job_.kv->block_stride);
    return reinterpret_cast<const Raw*>(base) + kv_head_ * parts_.head_elements;
  }
  // K of 16 keys from `key` (a multiple of 16) where a block holds whole panels.
  typename Element::K key_panel(int key) const {
    typename Element::K panel;
    panel.data = block_of(key) + key % job_.kv->block_tokens * parts_.k_dim;
    return panel;
  }

  void tile_of_rows() {
    for (int row = 0; row < rows_; ++row) {
      const float* q = job_.q + token(row) * job_.ldq + std::int64_t{head(row)} * d_;
      for (int i = 0; i < d_; ++i) state_.q[row * d_ + i] = q[i] * job_.scale;
      for (int i = 0; i < parts_.v_dim; ++i) state_.out[row * parts_.v_dim + i] = 0.0f;
      state_.max[row] = -__builtin_inff();
      state_.sum[row] = 0.0f;
    }
    const int end = position(rows_ - 1) + 1;
    int first = 0, last = 0;  // rows that see something of the leaf; both only move up
    for (int leaf = first_key(0) / kLeaf * kLeaf; leaf < end; leaf += kLeaf) {
      while (position(first) < leaf) ++first;
      while (last < rows_ && first_key(last) < leaf + kLeaf) ++last;
      unpacked_ = last - first > kDirectRows || parts_.panel_tokens < 16;
      if (unpacked_) unpack_leaf(leaf, {first_key(first), lesser(leaf + kLeaf, end)});
      for (int row = first; row < last; row += kMaxRows)
        rows_over_leaf(row, lesser(kMaxRows, last - row), leaf);
    }
    for (int row = 0; row < rows_; ++row) {
      float* out = job_.out + token(row) * job_.ldo + std::int64_t{head(row)} * d_;
      for (int i = 0; i < d_; ++i) out[i] = state_.out[row * parts_.v_dim + i] / state_.sum[row];
    }
  }

  // Keys and values of the leaf that lie in `need`, in F32; other keys' lanes of a panel are masked later.
  void unpack_leaf(int leaf, Span need) {
    for (int key = greater(need.begin, leaf) / 16 * 16; key < need.end; key += 16) {
      float* to = state_.keys + (key - leaf) * d_;
      if (parts_.panel_tokens == 16)
        unpack_rows(key_panel(key), d_, to);
      else
        gather_keys(key, need.end, to);
    }
    for (int key = greater(need.begin, leaf); key < need.end; ++key) {
      const Raw* v = value(key);
      float* to = state_.values + (key - leaf) * parts_.v_dim;
      for (int i = 0; i < parts_.v_dim; ++i) to[i] = Element::widen(v[i]);
    }
  }
  void gather_keys(int key, int end, float* to) const {
    for (int lane = 0; lane < 16; ++lane) {
      const bool there = key + lane < end;
      const Raw* k = there ? block_of(key + lane) : nullptr;
      for (int i = 0; i < d_; ++i)
        to[i * 16 + lane] =
            there ? Element::widen(k[k_index(job_.kv->type, parts_, (key + lane) % job_.kv->block_tokens, i)])
                  : 0.0f;
    }
  }
  const Raw* value(int key) const {
    return block_of(key) + parts_.k_elements + key % job_.kv->block_tokens * parts_.v_dim;
  }

  void rows_over_leaf(int row, int rows, int leaf) {
    // First and last row bound what the rows see: both ends grow with the position.
    const Span all{seen(row, leaf).begin, seen(row + rows - 1, leaf).end};
    const int from = all.begin / 16, count = (all.end + 15) / 16 - from;
    const float* q = state_.q + row * d_;
    float* score = state_.score + from * 16;
    if (unpacked_)
      strips<Into::store>(
          rows, q, d_,
          [&](int p) {
            return FloatRows{state_.keys + (from + p) * 16 * d_, 16};
          },
          count, d_, score, kLeaf);
    else
      strips<Into::store>(
          rows, q, d_, [&](int p) { return key_panel(leaf + (from + p) * 16); }, count, d_, score, kLeaf);
    Span shared{0, kLeaf};
    for (int r = 0; r < rows; ++r) {
      const Span mine = seen(row + r, leaf);
      shared = {greater(shared.begin, mine.begin), lesser(shared.end, mine.end)};
      softmax(row + r, state_.score + r * kLeaf, mine);
    }
    const bool together = shared.begin < shared.end;
    for (int r = 0; r < rows; ++r) {
      const Span mine = seen(row + r, leaf);
      weigh(row + r, 1, r, leaf, {mine.begin, together ? shared.begin : mine.end});
    }
    if (!together) return;
    weigh(row, rows, 0, leaf, shared);
    for (int r = 0; r < rows; ++r) weigh(row + r, 1, r, leaf, {shared.end, seen(row + r, leaf).end});
  }

  // Scores of the keys seen become weights exp(score - max); sum and output are brought to the new maximum.
  void softmax(int row, float* score, Span mine) {
    const F none = set1(-__builtin_inff());
    const int from = mine.begin / kLanes * kLanes;
    F largest = none;
    for (int x = from; x < mine.end; x += kLanes) {
      F s = load(score + x);
      if (job_.soft_cap > 0.0f) s = mul(set1(job_.soft_cap), tanh(div(s, set1(job_.soft_cap))));
      if (x < mine.begin || x + kLanes > mine.end)
        s = keep_n(none, keep_n(s, none, mine.end - x), mine.begin - x);
      largest = max(largest, s);
      store(score + x, s);
    }
    const float leaf_max = max_lanes(largest);
    const float old_max = state_.max[row];
    const float new_max = leaf_max > old_max ? leaf_max : old_max;
    F sum = zero();
    for (int x = from; x < mine.end; x += kLanes) {
      const F weight = exp(sub(load(score + x), set1(new_max)));
      store(score + x, weight);
      sum = add(sum, weight);
    }
    alignas(64) float factor[kLanes];
    store(factor, exp(set1(old_max - new_max)));
    state_.sum[row] = state_.sum[row] * factor[0] + sum_lanes(sum);
    state_.max[row] = new_max;
    if (old_max == new_max) return;
    float* out = state_.out + row * parts_.v_dim;
    for (int i = 0; i < parts_.v_dim; i += kLanes) store(out + i, mul(load(out + i), set1(factor[0])));
  }

  // out[rows] += weights of the keys times V. r: the first row's place in the scores.
  void weigh(int row, int rows, int r, int leaf, Span keys) {
    float* out = state_.out + row * parts_.v_dim;
    const int panels = static_cast<int>(parts_.v_dim / 16);
    while (keys.begin < keys.end) {
      const float* weight = state_.score + r * kLeaf + keys.begin;
      if (unpacked_) {
        const float* v = state_.values + keys.begin * parts_.v_dim;
        return strips<Into::chain>(
            rows, weight, kLeaf,
            [&](int p) {
              return FloatRows{v + p * 16, parts_.v_dim};
            },
            panels, keys.end - keys.begin, out, parts_.v_dim);
      }
      const int in_block = job_.kv->block_tokens - (leaf + keys.begin) % job_.kv->block_tokens;
      const int count = lesser(in_block, keys.end - keys.begin);
      const Raw* v = value(leaf + keys.begin);
      strips<Into::chain>(
          rows, weight, kLeaf,
          [&](int p) {
            return typename Element::V{v + p * 16, parts_.v_dim};
          },
          panels, count, out, parts_.v_dim);
      keys.begin += count;
    }
  }

  const Attention& job_;
  const KvParts parts_;
  const std::int64_t kv_head_;
  const int d_;
  const State state_;
  int heads_ = 0, head_begin_ = 0, rows_ = 0;
  std::int64_t first_row_ = 0;
  bool unpacked_ = false;
};

State state_in(const Attention& job) {
  const std::int64_t d = job.kv->head_dim, v_dim = (d + 15) / 16 * 16;
  State state{};
  state.q = static_cast<float*>(job.scratch);
  state.out = state.q + kRowTile * v_dim;
  state.keys = state.out + kRowTile * v_dim;
  state.values = state.keys + kLeaf * v_dim;
  state.score = state.values + kLeaf * v_dim;
  state.max = state.score + 8 * kLeaf;
  state.sum = state.max + kRowTile;
  return state;
}

template <class Element>
void heads(const Attention& job) {
  const int share = job.q_heads / job.kv->kv_heads;
  for (int head = job.head_begin; head < job.head_end;) {
    const int end = lesser((head / share + 1) * share, job.head_end);
    Head<Element>(job, head / share, state_in(job)).run(head, end);
    head = end;
  }
}

template <class Element>
void write_rows(const KvWrite& job) {
  using Raw = typename Element::Raw;
  const KvLayout& kv = *job.kv;
  const KvParts parts = kv_parts(kv);
  for (int t = 0; t < job.tokens; ++t) {
    if (job.slots[t] < 0) continue;
    const std::int64_t token = job.slots[t] % kv.block_tokens;
    auto* block = static_cast<std::uint8_t*>(job.cache) +
                  job.slots[t] / kv.block_tokens * static_cast<std::int64_t>(kv.block_stride);
    for (int head = 0; head < kv.kv_heads; ++head) {
      const float* k = job.k + t * job.ldk + std::int64_t{head} * kv.head_dim;
      const float* v = job.v + t * job.ldv + std::int64_t{head} * kv.head_dim;
      Raw* to = reinterpret_cast<Raw*>(block) + head * parts.head_elements;
      Raw* key = to + k_index(kv.type, parts, token, 0);
      for (std::int64_t i = 0; i < parts.k_dim; ++i) {
        const std::int64_t at =
            Element::kPairs ? i / 2 * parts.panel_tokens * 2 + i % 2 : i * parts.panel_tokens;
        key[at] = i < kv.head_dim ? Element::narrow(k[i]) : Raw{0};
      }
      Raw* value = to + parts.k_elements + token * parts.v_dim;
      for (int i = 0; i < kv.head_dim; ++i) value[i] = Element::narrow(v[i]);
      for (std::int64_t i = kv.head_dim; i < parts.v_dim; ++i) value[i] = Raw{0};
    }
  }
}

}  // namespace

void attention(const Attention& job) {
  if (job.tokens <= 0) return;
  switch (job.kv->type) {
    case KvType::f32: return heads<Single>(job);
    case KvType::bf16: return heads<Bf16>(job);
    case KvType::f16: return heads<Half>(job);
  }
}

void kv_write(const KvWrite& job) {
  switch (job.kv->type) {
    case KvType::f32: return write_rows<Single>(job);
    case KvType::bf16: return write_rows<Bf16>(job);
    case KvType::f16: return write_rows<Half>(job);
  }
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
