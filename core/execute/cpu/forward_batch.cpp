// What a pass stands on: memory, sized once, and the layout of each batch, made before the workers start.
#include <algorithm>
#include <cassert>

#include "execute/cpu/forward.hpp"

namespace serveloop::execute::cpu {
namespace {

using kernels::cpu::Act;

constexpr std::uint32_t kPieceTokens =
    32;  // small enough to share a chunk, large enough to share loads of K and V
constexpr std::uint32_t kLogitRows = 32;  // the head's weights pass once for so many

std::size_t most_prepared(const model::Architecture& a, Act act) {
  std::size_t most = 0;
  for (const std::uint32_t k : {a.hidden, a.q_features(), a.intermediate})
    most = std::max(most, kernels::cpu::act_row_bytes(act, static_cast<int>(k)));
  return most;
}

}  // namespace

Forward::Forward(const model::Architecture& architecture, const Weights& weights,
                 const kernels::cpu::Kernels& kernels, Pool& pool, std::uint32_t most_tokens,
                 std::uint32_t most_runs)
    : a_(architecture),
      weights_(weights),
      kernels_(kernels),
      pool_(pool),
      rope_(architecture),
      most_tokens_(most_tokens),
      logit_rows_(std::min(most_runs, kLogitRows)) {
  tokens_.reserve(most_tokens);
  slots_.reserve(most_tokens);
  pieces_.reserve(std::size_t{most_runs} + most_tokens / kPieceTokens);
  sampling_.reserve(most_runs);
  last_rows_.reserve(most_runs);
}

Result<std::unique_ptr<Forward>> Forward::create(const model::Architecture& a, const Weights& weights,
                                                 const kernels::cpu::Kernels& kernels, Pool& pool,
                                                 std::uint32_t most_tokens, std::uint32_t most_runs) {
  std::unique_ptr<Forward> out(new Forward(a, weights, kernels, pool, most_tokens, most_runs));
  for (const auto type : {kernels::cpu::KvType::f32, kernels::cpu::KvType::bf16, kernels::cpu::KvType::f16}) {
    const kernels::cpu::KvLayout kv{type, static_cast<int>(a.kv_heads), static_cast<int>(a.head_dim), 16, 0};
    out->scratch_bytes_ =
        std::max(out->scratch_bytes_, (kernels::cpu::attention_scratch_bytes(kv) + 63) / 64 * 64);
  }
  Layout layout;
  const std::size_t rows = std::max(most_tokens, out->logit_rows_);  // of h, where a step is one of decodes
  const auto floats = [&](std::size_t rows_of, std::size_t columns) {
    return layout.add(rows_of * columns * 4);
  };
  const std::size_t x = floats(rows, a.hidden), h = floats(rows, a.hidden), y = floats(rows, a.hidden),
                    qkv = floats(rows, std::size_t{a.q_features()} + 2 * std::size_t{a.kv_features()}),
                    attended = floats(rows, a.q_features()),
                    gate_up = floats(rows, 2 * std::size_t{a.intermediate}),
                    logits = floats(out->logit_rows_, a.vocabulary);
  std::size_t prepared[3];
  for (const Act act : {Act::f32, Act::bf16, Act::int8})
    prepared[static_cast<std::size_t>(act)] = layout.add(rows * most_prepared(a, act));
  const std::size_t scratch = layout.add(pool.size() * out->scratch_bytes_);

  auto pages = Pages::create(layout.bytes(), "activations");
  if (!pages) return tl::unexpected(pages.error());
  out->pages_ = std::move(*pages);
  std::uint8_t* base = out->pages_.data();
  const auto at = [&](std::size_t offset) { return reinterpret_cast<float*>(base + offset); };
  out->x_ = at(x);
  out->h_ = at(h);
  out->y_ = at(y);
  out->qkv_ = at(qkv);
  out->attended_ = at(attended);
  out->gate_up_ = at(gate_up);
  out->logits_ = at(logits);
  for (std::size_t i = 0; i < 3; ++i) out->prepared_[i] = base + prepared[i];
  out->scratch_ = base + scratch;
  return out;
}

void Forward::lay_out_batch(std::span<const Run> runs, const KvCache& cache) {
  const auto block_tokens = static_cast<std::uint32_t>(cache.layout(0).block_tokens);
  tokens_.clear();
  slots_.clear();
  sampling_.clear();
  last_rows_.clear();
  std::uint32_t positions = 0;
  for (const Run& run : runs) {
    for (std::uint32_t i = 0; i < run.tokens; ++i) {
      const std::uint32_t position = run.start + i;
      tokens_.push_back({run.ids[i], position});
      slots_.push_back(std::int64_t{run.table[position / block_tokens]} * block_tokens +
                       position % block_tokens);
    }
    if (run.samples) sampling_.push_back(static_cast<std::uint32_t>(last_rows_.size()));
    last_rows_.push_back(static_cast<std::uint32_t>(tokens_.size() - 1));
    positions = std::max(positions, run.start + run.tokens);
  }
  assert(tokens_.size() <= most_tokens_);
  rope_.reserve(positions);
  cut_pieces(runs);
}

// A piece costs its pairs of query and key. What windows save is not counted: it shifts shares, never results.
void Forward::cut_pieces(std::span<const Run> runs) {
  pieces_.clear();
  std::uint64_t cost = 0;
  std::uint32_t row = 0;
  for (const Run& run : runs)
    for (std::uint32_t first = 0; first < run.tokens; first += kPieceTokens) {
      const std::uint32_t tokens = std::min(kPieceTokens, run.tokens - first);
      cost += std::uint64_t{tokens} * (run.start + first + tokens);
      pieces_.push_back({&run, first, tokens, row, cost});
      row += tokens;
    }
}

}  // namespace serveloop::execute::cpu
