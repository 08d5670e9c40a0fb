#include "execute/hash.hpp"

#include <serveloop/rows.h>

#include <algorithm>

#include "base/hash.hpp"

namespace serveloop::execute {

namespace {
constexpr std::uint64_t kPoison = 0xdeadbeefdeadbeefu;  // a slot that was never written
constexpr std::uint32_t kNoBlock = UINT32_MAX;
}  // namespace

HashExecutor::HashExecutor(Clock& clock, const sl_cost& cost, std::uint32_t max_sequences,
                           std::uint32_t blocks, std::uint32_t block_tokens, std::uint32_t host_blocks)
    : clock_(clock),
      device_(clock, cost),
      copies_(cost),
      block_tokens_(block_tokens),
      blocks_(blocks),
      rows_(max_sequences),
      layer_0_((std::size_t{blocks} + host_blocks) * block_tokens, kPoison),
      layer_1_(layer_0_) {}

std::size_t HashExecutor::slot_of(const Row& row, std::uint32_t position) const {
  const std::uint32_t index = position / block_tokens_;
  if (index >= row.table.size() || row.table[index] == kNoBlock)
    return layer_0_.size();  // no block: reads as poison
  return std::size_t{row.table[index]} * block_tokens_ + position % block_tokens_;
}

std::uint64_t HashExecutor::fold(const std::vector<std::uint64_t>& layer, const Row& row, std::uint32_t from,
                                 std::uint32_t to, std::uint64_t start) const {
  std::uint64_t sum = start;
  for (std::uint32_t position = from; position < to; ++position) {
    const std::size_t slot = slot_of(row, position);
    sum = mix(sum, slot < layer.size() ? layer[slot] : kPoison + position);
  }
  return sum;
}

void HashExecutor::write_layer_0(const BatchRow& at) {
  const Row& row = rows_[at.row];
  for (std::uint32_t p = at.start; p < at.start + at.tokens; ++p)
    if (const std::size_t slot = slot_of(row, p); slot < layer_0_.size())
      layer_0_[slot] = mix(p < row.tokens.size() ? row.tokens[p] : kPoison, p);
}

void HashExecutor::write_layer_1(const BatchRow& at) {
  const Row& row = rows_[at.row];
  std::uint64_t sum = fold(layer_0_, row, 0, at.start, 1);
  for (std::uint32_t p = at.start; p < at.start + at.tokens; ++p) {
    sum = fold(layer_0_, row, p, p + 1, sum);
    if (const std::size_t slot = slot_of(row, p); slot < layer_1_.size()) layer_1_[slot] = mix(sum, p);
  }
}

std::uint32_t HashExecutor::sample(const BatchRow& at) const {
  const Row& row = rows_[at.row];
  const std::uint32_t position = at.start + at.tokens;
  const std::uint64_t seen = fold(layer_1_, row, 0, position, 2);
  return static_cast<std::uint32_t>(mix(mix(seen, row.seed), position) % kVocabulary);
}

void HashExecutor::submit(const Batch& batch) {
  for (const Begin& begin : batch.begins) {
    Row& row = rows_[begin.row];
    row.seed = mix(begin.sampling->seed, begin.fork);
    row.tokens.assign(begin.prompt.begin(), begin.prompt.end());
    row.tokens.insert(row.tokens.end(), begin.generated.begin(), begin.generated.end());
    row.table.clear();
  }
  for (const TableChange& change : batch.changes) {
    std::vector<std::uint32_t>& table = rows_[change.row].table;
    if (change.index >= table.size()) table.resize(change.index + 1, kNoBlock);
    table[change.index] = change.block;
  }
  device_.submit(batch);
  for (const BlockCopy& copy : batch.copies) poison(copy);
  copies_.submit(batch.copies, device_.last_start_ns());
  if (device_.last_fails()) return fail_batch(batch);
  for (const BatchRow& row : batch.rows) write_layer_0(row);
  for (const BatchRow& row : batch.rows) write_layer_1(row);
  std::vector<std::uint32_t> tokens(batch.rows.size());
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    if (!batch.rows[i].samples) continue;
    tokens[i] = sample(batch.rows[i]);
    rows_[batch.rows[i].row].tokens.push_back(tokens[i]);
  }
  results_.push_back(std::move(tokens));
}

// What a failed step leaves behind: garbage where it wrote, and a token that nobody should use.
void HashExecutor::fail_batch(const Batch& batch) {
  for (const BatchRow& at : batch.rows) {
    Row& row = rows_[at.row];
    for (std::uint32_t p = at.start; p < at.start + at.tokens; ++p)
      if (const std::size_t slot = slot_of(row, p); slot < layer_0_.size())
        layer_0_[slot] = layer_1_[slot] = ~kPoison;
    if (at.samples) row.tokens.push_back(0);
  }
  results_.emplace_back(batch.rows.size());
}

Collected HashExecutor::collect() {
  const DeviceTime::Step step = device_.collect();
  last_ = std::move(results_.front());
  results_.pop_front();
  if (last_.empty() && copies_.next_end_ns() != SL_NEVER) clock_.wait_until(copies_.next_end_ns());
  copies_.finish(std::max(clock_.now_ns(), step.end_ns), [&](const BlockCopy& copy, bool fails) {
    if (fails)
      poison(copy);
    else
      move(copy);
  });
  Collected done{step.step,      step.start_ns, step.end_ns, step.fails, step.fails ? "made to fail" : "",
                 step.decode_ns, last_};
  copies_.tell(done);
  return done;
}

std::size_t HashExecutor::first_slot(std::uint32_t block, std::uint8_t tier) const {
  return (std::size_t{block} + (tier == SL_TIER_HOST ? blocks_ : 0)) * block_tokens_;
}

void HashExecutor::poison(const BlockCopy& copy) {
  const std::size_t to = first_slot(copy.to, copy.to_tier);
  for (std::uint32_t i = 0; i < block_tokens_; ++i) layer_0_.at(to + i) = layer_1_.at(to + i) = ~kPoison;
}

void HashExecutor::move(const BlockCopy& copy) {
  const std::size_t from = first_slot(copy.from, copy.from_tier), to = first_slot(copy.to, copy.to_tier);
  for (std::uint32_t i = 0; i < block_tokens_; ++i) {
    layer_0_.at(to + i) = layer_0_.at(from + i);
    layer_1_.at(to + i) = layer_1_.at(from + i);
  }
}

}  // namespace serveloop::execute
