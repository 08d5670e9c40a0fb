// prefill_attention() of small chunks far into a context, where several blocks share a tile's keys, against whole prompts
// in one call, where a tile has one block, bit for bit; and some tokens of these against decode_attention(). `quick`:
// single tiles of head size 64 against decode, for a slow tool.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include "check.cuh"
#include "kernels/cuda/attention.hpp"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

struct Chunk {
  int sequence, position, tokens;
};

// Sequences of equal length, their cache in blocks of random order, and a query for each token.
class Prompts {
 public:
  Prompts(const AttentionShape& shape, int sequences, int tokens)
      : shape_(shape),
        sequences_(sequences),
        tokens_(tokens),
        stride_((tokens + shape.block_tokens - 1) / shape.block_tokens),
        block_elements_(static_cast<std::int64_t>(shape.kv_heads) * shape.block_tokens * shape.head_dim),
        k_(block_elements_ * stride_ * sequences),
        v_(k_.size()),
        q_(row() * sequences * tokens),
        asked_(q_.size()),
        out_(q_.size()),
        table_(shuffled(stride_ * sequences)) {
    fill(k_.get(), k_.size(), 1);
    fill(v_.get(), v_.size(), 2);
    fill(q_.get(), q_.size(), 3);
  }

  std::size_t row() const { return static_cast<std::size_t>(shape_.q_heads) * shape_.head_dim; }

  // The results of chunks in one call, one after the other.
  std::vector<bf16> attend(const std::vector<Chunk>& chunks, bool keys_known = false) {
    std::vector<std::int32_t> start = {0}, position, table_row;
    int keys = 0;
    for (const Chunk& chunk : chunks) {
      keys = std::max(keys, chunk.position + chunk.tokens);
      copy_queries(chunk.sequence, chunk.position, chunk.tokens, start.back());
      start.push_back(start.back() + chunk.tokens);
      position.push_back(chunk.position);
      table_row.push_back(chunk.sequence);
    }
    const Buffer<std::int32_t> starts(start), positions(position), rows(table_row);
    out_.poison();
    const AttentionChunks asking = {starts.get(), positions.get(),
                                    rows.get(),   static_cast<int>(chunks.size()),
                                    start.back(), keys_known ? keys : 0};
    require(prefill_attention(shape_, asking, cache(), asked_.get(), static_cast<std::int64_t>(row()),
                              out_.get(), nullptr));
    return take(start.back());
  }

  // The results of single tokens.
  std::vector<bf16> decode(const std::vector<Chunk>& asking) {
    std::vector<std::int32_t> position, table_row;
    int items = 0;
    for (const Chunk& token : asking) {
      copy_queries(token.sequence, token.position, 1, static_cast<int>(position.size()));
      position.push_back(token.position);
      table_row.push_back(token.sequence);
      items += attention_items(token.position, shape_.window);
    }
    const int tokens = static_cast<int>(asking.size());
    const Buffer<std::int32_t> positions(position), rows(table_row),
        words(attention_plan_words(tokens, items));
    const Buffer<char> workspace(attention_workspace_bytes(shape_, tokens, items));
    const AttentionRows of{positions.get(), rows.get(), tokens};
    const AttentionPlan plan{words.get(), tokens, items};
    require(clear_attention_workspace(workspace.get(), workspace.size(), nullptr));
    require(plan_attention(of, shape_.window, plan, nullptr));
    require(decode_attention(shape_, of, cache(), plan, asked_.get(), static_cast<std::int64_t>(row()),
                             out_.get(), workspace.get(), nullptr));
    return take(tokens);
  }

  const AttentionShape shape_;
  const int sequences_, tokens_;

 private:
  static std::vector<std::int32_t> shuffled(int blocks) {
    std::vector<std::int32_t> ids(blocks);
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), std::mt19937_64(5));
    return ids;
  }
  AttentionCache cache() const { return {k_.get(), v_.get(), block_elements_, table_.get(), stride_}; }
  void copy_queries(int sequence, int position, int tokens, int to) {
    const std::size_t from = (static_cast<std::size_t>(sequence) * tokens_ + position) * row();
    require(cudaMemcpyAsync(asked_.get() + to * row(), q_.get() + from, tokens * row() * sizeof(bf16),
                            cudaMemcpyDeviceToDevice, nullptr),
            "queries");
  }
  std::vector<bf16> take(int tokens) const {
    std::vector<bf16> out(tokens * row());
    require(cudaMemcpy(out.data(), out_.get(), out.size() * sizeof(bf16), cudaMemcpyDeviceToHost), "results");
    return out;
  }

  int stride_;
  std::int64_t block_elements_;
  Buffer<bf16> k_, v_, q_, asked_, out_;
  Buffer<std::int32_t> table_;
};

class Comparison {
 public:
  explicit Comparison(Prompts& prompts) : prompts_(prompts) {
    std::vector<Chunk> all;
    for (int i = 0; i < prompts.sequences_; ++i) all.push_back({i, 0, prompts.tokens_});
    whole_ = prompts.attend(all);
    const AttentionShape& s = prompts.shape_;
    char text[160];
    std::snprintf(text, sizeof text, "heads %d/%d dim %d block %d window %d cap %g", s.q_heads, s.kv_heads,
                  s.head_dim, s.block_tokens, s.window, s.soft_cap);
    name_ = text;
  }

  void chunks(const std::vector<Chunk>& chunks, bool keys_known) {
    const std::vector<bf16> out = prompts_.attend(chunks, keys_known);
    int done = 0;
    for (const Chunk& chunk : chunks) {
      check(same(out, done, chunk), name_ + ": " + std::to_string(chunk.tokens) + " tokens after " +
                                        std::to_string(chunk.position) + ", of " +
                                        std::to_string(chunks.size()) + " chunks");
      done += chunk.tokens;
    }
  }

  void decodes(const std::vector<Chunk>& asking) {
    const std::vector<bf16> out = prompts_.decode(asking);
    for (std::size_t i = 0; i < asking.size(); ++i)
      check(same(out, static_cast<int>(i), asking[i]),
            name_ + ": decode at position " + std::to_string(asking[i].position));
  }

 private:
  bool same(const std::vector<bf16>& out, int at, const Chunk& chunk) const {
    const std::size_t expected = static_cast<std::size_t>(chunk.sequence) * prompts_.tokens_ + chunk.position;
    const std::size_t row = prompts_.row();
    return same_bits(out.data() + at * row, whole_.data() + expected * row, chunk.tokens * row);
  }

  Prompts& prompts_;
  std::vector<bf16> whole_;
  std::string name_;
};

void test_shape(int q_heads, int kv_heads, int head_dim, int block_tokens, int window, float cap, int most,
                const std::vector<int>& contexts, const std::vector<int>& sizes, int mixed) {
  Prompts prompts({q_heads, kv_heads, head_dim, block_tokens, 1.5f / std::sqrt(static_cast<float>(head_dim)),
                   cap, window},
                  2, most);
  Comparison compare(prompts);
  std::mt19937_64 random(11);
  const auto below = [&](int end) { return static_cast<int>(random() % end); };
  for (const int context : contexts) {
    for (const int size : sizes)
      compare.chunks({{below(2), context, std::min(size, most - context)}}, size % 2 == 0);
  }
  for (int i = 0; i < mixed; ++i) {  // calls of several chunks, near and far
    std::vector<Chunk> chunks(1 + below(8));
    for (Chunk& chunk : chunks) {
      chunk.sequence = below(2);
      chunk.position = below(most - 1) >> below(6);
      chunk.tokens = 1 + below(std::min(60, most - chunk.position));
    }
    compare.chunks(chunks, i % 2 == 0);
  }
  std::vector<Chunk> asking = {{0, 0, 1}, {1, most - 1, 1}};
  for (int i = 0; i < 30; ++i) asking.push_back({below(2), below(most), 1});
  compare.decodes(asking);
}

// One tile against decode.
void test_tile(int head_dim, int window, float cap) {
  constexpr int first = 1100, tokens = 12;
  Prompts prompts({4, 1, head_dim, 16, 1.5f / std::sqrt(static_cast<float>(head_dim)), cap, window}, 1,
                  first + tokens);
  std::vector<Chunk> each;
  for (int i = 0; i < tokens; ++i) each.push_back({0, first + i, 1});
  const std::vector<bf16> out = prompts.attend({{0, first, tokens}}), decoded = prompts.decode(each);
  check(same_bits(out.data(), decoded.data(), out.size()), "a tile of dim " + std::to_string(head_dim));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "quick") == 0) {
    // Racecheck does not end at larger heads, where the rings of a cluster's blocks begin again.
    test_tile(64, 0, 0.0f);
    test_tile(64, 700, 20.0f);
    return report("prefill parts, quick");
  }
  if (argc > 1 && std::strcmp(argv[1], "wide") == 0) {  // those
    for (const int dim : {128, 256}) test_tile(dim, 0, 0.0f);
    return report("prefill parts, wide");
  }
  const std::vector<int> contexts = {0, 1, 100, 511, 512, 513, 1500, 2047, 4096, 8000, 12345, 20000};
  const std::vector<int> sizes = {1, 5, 16, 31, 33, 64, 100, 128, 200, 300};
  for (const int dim : {64, 128, 256}) {
    test_shape(8, 2, dim, 16, 0, 0.0f, 20300, contexts, sizes, 30);
    test_shape(3, 1, dim, 32, 0, 30.0f, 20300, contexts, sizes, 30);
    test_shape(2, 2, dim, 16, 3000, 0.0f, 20300, contexts, sizes, 30);
    test_shape(8, 2, dim, 64, 700, 20.0f, 20300, contexts, sizes, 30);
  }
  test_shape(40, 2, 64, 128, 0, 0.0f, 6000, {5700}, sizes, 10);  // two packs of heads
  return report("prefill parts");
}
