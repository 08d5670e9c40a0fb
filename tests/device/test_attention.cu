// decode_attention() against a softmax in F64, and the bits of a token under everything that may not touch them.
// `quick`: every instance of the kernel once, for a slow tool.
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

AttentionCase make(int q_heads, int kv_heads, int head_dim, int block_tokens, int window, float cap,
                   std::vector<int> lengths) {
  AttentionCase c;
  c.shape = {q_heads, kv_heads, head_dim, block_tokens, 1.0f / std::sqrt(static_cast<float>(head_dim)),
             cap,     window};
  c.shape.scale *= 3.0f;  // a softmax with a peak: weights far from equal
  c.lengths = std::move(lengths);
  c.decode_all();
  return c;
}

void test_values(const AttentionCase& c) {
  const std::vector<bf16> out = run_attention(c, 2);
  for (int token = 0; token < c.tokens(); ++token) {
    const std::vector<double> expected = reference_attention(c, token);
    for (int head = 0; head < c.shape.q_heads; ++head) {
      const std::size_t at = static_cast<std::size_t>(head) * c.shape.head_dim;
      const double error =
          distance(out.data() + token * c.row() + at, expected.data() + at, c.shape.head_dim);
      check(error < 6e-3, name_of(c) + " position " + std::to_string(c.position[token]) + " head " +
                              std::to_string(head) + ": distance " + std::to_string(error));
    }
  }
}

void test_bits(const AttentionCase& c) {
  const std::vector<bf16> together = run_attention(c);
  for (int token = 0; token < c.tokens(); ++token) {
    AttentionCase alone = c;
    alone.token_sequence = {c.token_sequence[token]};
    alone.position = {c.position[token]};
    check(same_bits(run_attention(alone).data(), together.data() + token * c.row(), c.row()),
          name_of(c) + ": alone and in the batch differ at position " + std::to_string(c.position[token]));
  }
  for (const int block_tokens : {16, 64, 1024}) {
    AttentionCase moved = c;
    moved.shape.block_tokens = block_tokens;
    moved.placement_seed = 99 + block_tokens;
    check(same_bits(run_attention(moved).data(), together.data(), together.size()),
          name_of(c) + ": differs in blocks of " + std::to_string(block_tokens));
  }
}

// Tokens in reverse, and alone. A change of one F32 rounding seldom reaches a bit of BF16, so this takes many
// outputs: another order of the groups has to show here.
void test_places() {
  AttentionCase c = make(32, 2, 128, 16, 0, 0.0f, {2300});
  c.token_sequence.assign(32, 0);
  c.position.clear();
  for (int i = 0; i < 32; ++i) c.position.push_back(1100 + 37 * i);
  const std::vector<bf16> out = run_attention(c);
  AttentionCase reversed = c;
  std::reverse(reversed.position.begin(), reversed.position.end());
  const std::vector<bf16> back = run_attention(reversed);
  for (int token = 0; token < c.tokens(); ++token) {
    check(same_bits(out.data() + token * c.row(), back.data() + (c.tokens() - 1 - token) * c.row(), c.row()),
          "another place in the batch changes position " + std::to_string(c.position[token]));
  }
  for (const int token : {1, 13, 31}) {
    AttentionCase alone = c;
    alone.token_sequence = {0};
    alone.position = {c.position[token]};
    check(same_bits(run_attention(alone).data(), out.data() + token * c.row(), c.row()),
          "alone and in the batch differ at position " + std::to_string(c.position[token]));
  }
}

// A chunk as rows that share a block table; one of them unused, and one that asks without having a later key.
void test_chunk() {
  AttentionCase c = make(8, 2, 128, 16, 0, 0.0f, {1100, 40});
  const std::vector<bf16> ends = run_attention(c);
  c.token_sequence = {0, 0, 0, 1, 0, 0};
  c.position = {510, 511, 512, -1, 700, 1099};
  const std::vector<bf16> out = run_attention(c);
  for (int token = 0; token < c.tokens(); ++token) {
    if (c.position[token] < 0) {
      bool untouched = true;
      for (std::size_t i = 0; i < c.row(); ++i)
        untouched = untouched && bits(out[token * c.row() + i]) == 0xffff;
      check(untouched, "an unused row was written");
      continue;
    }
    check(distance(out.data() + token * c.row(), reference_attention(c, token).data(), c.row()) < 6e-3,
          "chunk row at " + std::to_string(c.position[token]));
    AttentionCase shorter = c;
    shorter.lengths[0] = c.position[token] + 1;
    shorter.token_sequence = {0};
    shorter.position = {c.position[token]};
    check(same_bits(run_attention(shorter).data(), out.data() + token * c.row(), c.row()),
          "later keys reach the row at " + std::to_string(c.position[token]));
  }
  check(same_bits(ends.data(), out.data() + 5 * c.row(), c.row()), "decode and the chunk's last row differ");
}

void test_refusals() {
  AttentionShape shape{8, 2, 128, 16, 1.0f, 0.0f, 0};
  const auto refused = [&](AttentionShape bad) { return attention_workspace_bytes(bad, 1, 1) == 0; };
  check(!refused(shape), "a good shape was refused");
  for (const int dim : {0, 32, 80, 192}) {
    AttentionShape bad = shape;
    bad.head_dim = dim;
    check(refused(bad), "head_dim was taken");
  }
  for (const int block : {0, 8, 24, 2048}) {
    AttentionShape bad = shape;
    bad.block_tokens = block;
    check(refused(bad), "block_tokens was taken");
  }
  // Addresses that its vector accesses could not take.
  const Buffer<bf16> data(64);
  const auto taken = [&](const bf16* k, const bf16* q, bf16* out) {
    return decode_attention(shape, {nullptr, nullptr, 0}, {k, data.get(), 4096, nullptr, 1}, {nullptr, 1, 1},
                            q, 1024, out, nullptr, nullptr)
        .ok();
  };
  check(taken(data.get(), data.get(), data.get()), "good addresses were refused");
  check(!taken(data.get() + 4, data.get(), data.get()), "a cache at 8 bytes was taken");
  check(!taken(data.get(), data.get() + 1, data.get()), "q at 2 bytes was taken");
  check(!taken(data.get(), data.get(), data.get() + 2), "out at 4 bytes was taken");
  shape.q_heads = 7;
  check(refused(shape), "q_heads was taken");
  // A plan that overflows is empty and says what it needs.
  const Buffer<std::int32_t> position(std::vector<std::int32_t>{2000, 5}),
      row(std::vector<std::int32_t>{0, 1});
  Buffer<std::int32_t> words(attention_plan_words(2, 4));
  words.poison();
  require(plan_attention({position.get(), row.get(), 2}, 0, {words.get(), 2, 4}, nullptr));
  const std::vector<std::int32_t> plan = words.take();
  check(plan[0] == 5 && plan[1] == 0, "an overflowing plan");
}

// Every head size, with and without cap, up to 8 and up to 16 heads; one group, more groups, edges of blocks.
void test_quick() {
  for (const int dim : {64, 128, 256}) {
    test_values(make(4, 2, dim, 16, 0, 0.0f, {1, 17, 129, 513}));
    test_values(make(3, 1, dim, 32, 100, 20.0f, {101, 640}));
    test_values(make(9, 1, dim, 16, 0, 0.0f, {5, 530}));
    test_values(make(9, 1, dim, 16, 0, 20.0f, {5, 530}));
  }
  test_bits(make(4, 2, 64, 16, 0, 0.0f, {1, 129, 1030}));
  test_refusals();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "quick") == 0) {
    test_quick();
    return report("attention, quick");
  }
  const std::vector<int> edges = {1, 2, 15, 16, 17, 127, 128, 129, 511, 512, 513, 1000, 1537};
  for (const int dim : {64, 128, 256}) {
    test_values(make(8, 2, dim, 16, 0, 0.0f, edges));
    test_values(make(9, 3, dim, 32, 100, 0.0f, {1, 99, 100, 101, 640, 777}));
    test_values(make(6, 2, dim, 16, 513, 30.0f, {5, 513, 514, 1200, 2100}));
    test_bits(make(8, 2, dim, 16, 0, 0.0f, {1, 17, 129, 513, 1537, 2600}));
    test_bits(make(5, 1, dim, 16, 300, 20.0f, {1, 299, 301, 1025}));
  }
  // More tokens than blocks of four warps take.
  std::vector<int> many = edges;
  many.insert(many.end(), {3, 64, 300, 700, 900, 1100, 2000});
  for (const int dim : {64, 128}) {
    test_values(make(8, 2, dim, 16, 0, 0.0f, many));
    test_bits(make(8, 2, dim, 16, 0, 0.0f, many));
    test_bits(make(3, 1, dim, 16, 700, 0.0f, many));
  }
  test_values(make(1, 1, 128, 256, 1, 0.0f, {1, 2, 600}));
  test_values(make(7, 7, 64, 16, 0, 5.0f, {33, 1030}));
  test_values(make(12, 1, 128, 16, 0, 0.0f, {33, 600}));
  test_values(make(16, 1, 256, 16, 0, 50.0f, {65, 700}));
  test_values(make(40, 2, 64, 128, 0, 0.0f, {250, 1100}));  // 20 heads a key head: two packs, 16 and 4
  test_bits(make(40, 2, 64, 16, 0, 0.0f, {250, 1100, 3}));
  test_places();
  test_chunk();
  test_refusals();
  return report("attention");
}
