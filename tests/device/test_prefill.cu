// prefill_attention() against decode_attention(), bit for bit, against a softmax in F64, and under other cuts,
// neighbours and places. `quick`: every instance of the kernel once, for a slow tool.
#include <cstring>

#include "attention_case.cuh"

using namespace device_test;

namespace {

std::string name_of(const AttentionCase& c) {
  const AttentionShape& s = c.shape;
  char text[160];
  std::snprintf(text, sizeof text, "heads %d/%d dim %d block %d window %d cap %g", s.q_heads, s.kv_heads,
                s.head_dim, s.block_tokens, s.window, s.soft_cap);
  return text;
}

struct Chunk {
  int sequence, position, tokens;
};

AttentionCase make(int q_heads, int kv_heads, int head_dim, int block_tokens, int window, float cap,
                   const std::vector<Chunk>& chunks) {
  AttentionCase c;
  c.shape = {q_heads, kv_heads, head_dim, block_tokens, 3.0f / std::sqrt(static_cast<float>(head_dim)),
             cap,     window};
  for (const Chunk& chunk : chunks) {
    if (chunk.sequence >= static_cast<int>(c.lengths.size())) c.lengths.resize(chunk.sequence + 1, 1);
    int& length = c.lengths[chunk.sequence];
    length = std::max(length, chunk.position + chunk.tokens);
    for (int i = 0; i < chunk.tokens; ++i) {
      c.token_sequence.push_back(chunk.sequence);
      c.position.push_back(chunk.position + i);
    }
  }
  return c;
}

// Bits of decode.
std::vector<bf16> test_bits(const AttentionCase& c) {
  std::vector<bf16> out = run_prefill(c);
  const std::vector<bf16> decoded = run_attention(c);
  int differ = 0, where = -1;
  for (int token = 0; token < c.tokens(); ++token) {
    if (same_bits(out.data() + token * c.row(), decoded.data() + token * c.row(), c.row())) continue;
    if (differ++ == 0) where = token;
  }
  check(differ == 0, name_of(c) + ": " + std::to_string(differ) + " of " + std::to_string(c.tokens()) +
                         " tokens have not the bits of decode, first at position " +
                         std::to_string(where < 0 ? -1 : c.position[where]));
  return out;
}

// And values at the edges of the chunks and every `step` tokens.
void test_case(const AttentionCase& c, int step) {
  const std::vector<bf16> out = test_bits(c);
  for (int token = 0; token < c.tokens(); ++token) {
    const bool edge = token == 0 || token + 1 == c.tokens() ||
                      c.token_sequence[token] != c.token_sequence[token - 1] ||
                      c.token_sequence[token] != c.token_sequence[token + 1];
    if (!edge && token % step != 0) continue;
    const double error =
        distance(out.data() + token * c.row(), reference_attention(c, token).data(), c.row());
    check(error < 6e-3, name_of(c) + " position " + std::to_string(c.position[token]) + ": distance " +
                            std::to_string(error));
  }
}

void test_cuts(const AttentionCase& c) {
  const std::vector<bf16> whole = run_prefill(c);
  const auto same = [&](const std::vector<bf16>& other, const char* what) {
    check(same_bits(whole.data(), other.data(), whole.size()), name_of(c) + ": differs " + what);
  };
  same(run_prefill(c, {1}), "with a chunk of one token first");
  same(run_prefill(c, {7, 64, 65, 100, 129}), "in six chunks");
  std::vector<int> every;
  for (int i = 16; i < c.tokens(); i += 16) every.push_back(i);
  same(run_prefill(c, every), "in chunks of 16");
  AttentionCase moved = c;
  moved.placement_seed = 77;
  for (const int block_tokens : {16, 128, 1024}) {
    moved.shape.block_tokens = block_tokens;
    same(run_prefill(moved), "in other blocks");
  }
  // The first sequence's rows alone.
  AttentionCase alone = c;
  const int own = static_cast<int>(std::count(c.token_sequence.begin(), c.token_sequence.end(), 0));
  alone.token_sequence.resize(own);
  alone.position.resize(own);
  const std::vector<bf16> first = run_prefill(alone);
  check(same_bits(first.data(), whole.data(), first.size()), name_of(c) + ": differs alone");
}

// More chunks than a warp has lanes, of several lengths, and more tiles than two for each multiprocessor.
void test_many_chunks(int head_dim, int window) {
  std::vector<Chunk> chunks;
  for (int i = 0; i < 90; ++i) chunks.push_back({i % 7, i * 37 % 900, 1 + i * 13 % 45});
  test_bits(make(16, 8, head_dim, 16, window, 0.0f, chunks));
}

// Rows between and after the chunks stay as they are, and blocks that a window has left may be gone.
void test_untouched() {
  AttentionCase c = make(4, 2, 64, 16, 40, 0.0f, {{0, 600, 50}});
  StoredCase stored(c);
  std::vector<std::int32_t> table = stored.table.take();
  for (int i = 0; i < (600 - 39) / 16; ++i) table[i] = 1 << 30;
  stored.table.put(table);
  const Buffer<std::int32_t> start(std::vector<std::int32_t>{3, 40}),
      position(std::vector<std::int32_t>{603}), row(std::vector<std::int32_t>{0});
  Buffer<bf16> out(stored.queries.size());
  out.poison();
  require(prefill_attention(c.shape, {start.get(), position.get(), row.get(), 1, c.tokens()}, stored.cache(),
                            stored.queries.get(), static_cast<std::int64_t>(c.row()), out.get(), nullptr));
  require(cudaDeviceSynchronize(), "prefill");
  const std::vector<bf16> got = out.take(), expected = run_prefill(c);
  bool untouched = true;
  for (int token = 0; token < c.tokens(); ++token) {
    if (token >= 3 && token < 40) continue;
    for (std::size_t i = 0; i < c.row(); ++i)
      untouched = untouched && bits(got[token * c.row() + i]) == 0xffff;
  }
  check(untouched, "rows outside of the chunk were written");
  check(same_bits(got.data() + 3 * c.row(), expected.data() + 3 * c.row(), 37 * c.row()),
        "a chunk in the middle of the rows, without the blocks before its window");
}

void test_refusals() {
  const AttentionShape shape{8, 2, 128, 16, 1.0f, 0.0f, 0};
  const Buffer<bf16> data(4096);
  const AttentionCache cache{data.get(), data.get(), 4096, nullptr, 1};
  const auto taken = [&](const AttentionShape& s, const AttentionChunks& chunks, std::int64_t stride,
                         const bf16* q) {
    return prefill_attention(s, chunks, cache, q, stride, data.get(), nullptr).ok();
  };
  check(taken(shape, {nullptr, nullptr, nullptr, 0, 0}, 1024, data.get()), "no chunks were refused");
  check(!taken(shape, {nullptr, nullptr, nullptr, 1, 8}, 1020, data.get()), "q_stride was taken");
  check(!taken(shape, {nullptr, nullptr, nullptr, 1, 8}, 1024, data.get() + 1), "q was taken");
  check(!taken(shape, {nullptr, nullptr, nullptr, -1, 8}, 1024, data.get()), "a negative count was taken");
  check(!prefill_attention(shape, {nullptr, nullptr, nullptr, 1, 8}, cache, data.get(), 1024, data.get() + 2,
                           nullptr)
             .ok(),
        "out was taken");
  AttentionShape bad = shape;
  bad.head_dim = 96;
  check(!taken(bad, {nullptr, nullptr, nullptr, 1, 8}, 1024, data.get()), "head_dim was taken");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "quick") == 0) {
    for (const int dim : {64, 128, 256}) {
      test_case(make(4, 2, dim, 16, 0, 0.0f, {{0, 0, 19}, {1, 130, 9}}), 8);
      test_case(make(3, 1, dim, 32, 100, 20.0f, {{0, 590, 33}}), 16);
    }
    test_untouched();
    test_refusals();
    return report("prefill, quick");
  }
  for (const int dim : {64, 128, 256}) {
    test_case(make(8, 2, dim, 16, 0, 0.0f, {{0, 0, 300}, {1, 500, 77}, {2, 1023, 1}, {3, 1000, 130}}), 41);
    test_case(make(9, 3, dim, 32, 100, 0.0f, {{0, 0, 250}, {1, 600, 129}}), 37);
    test_case(make(6, 2, dim, 16, 513, 30.0f, {{0, 1, 64}, {1, 450, 700}}), 97);
    test_case(make(2, 2, dim, 64, 0, 20.0f, {{0, 3, 260}, {1, 1020, 8}}), 53);
    test_cuts(make(8, 2, dim, 16, 0, 0.0f, {{0, 410, 210}, {1, 0, 40}}));
    test_cuts(make(5, 1, dim, 16, 300, 20.0f, {{0, 100, 450}, {1, 5, 3}}));
  }
  test_case(make(1, 1, 128, 256, 1, 0.0f, {{0, 500, 140}}), 11);
  test_case(make(16, 1, 128, 16, 0, 0.0f, {{0, 120, 150}}), 31);
  test_case(make(40, 2, 64, 128, 0, 0.0f, {{0, 1100, 41}}), 13);  // two packs of heads, 16 and 4
  test_case(make(32, 2, 128, 16, 0, 0.0f, {{0, 2000, 100}}), 33);
  test_many_chunks(64, 0);
  test_many_chunks(128, 300);
  test_untouched();
  test_refusals();
  return report("prefill");
}
