// The hash executor: no arithmetic, but every token depends on every KV slot that attention would read.
//
// Two layers. A layer-0 slot is a hash of its token and position; a layer-1 slot folds the layer-0 slots of
// all positions up to its own; a sampled token folds the layer-1 slots. All are read through the block table.
// So a wrong block, a slot that was never written, was overwritten, or holds another sequence's KV changes
// the tokens (law 1's witness). In a step all layer-0 slots are written, then all layer-1 slots, then tokens
// come: as in a transformer, a block that one row fills can be read by another in the same step. A copy between tiers
// reads its source when it ends, and leaves its target without sense until then.
#pragma once

#include <vector>

#include "execute/copy_time.hpp"
#include "execute/device_time.hpp"
#include "execute/native_only.hpp"

namespace serveloop::execute {

class HashExecutor final : public NativeOnly {
 public:
  HashExecutor(Clock& clock, const sl_cost& cost, std::uint32_t max_sequences, std::uint32_t blocks,
               std::uint32_t block_tokens, std::uint32_t host_blocks = 0);
  void submit(const Batch& batch) override;
  Collected collect() override;
  DeviceTime& device() { return device_; }
  CopyTime& copies() { return copies_; }

  static constexpr std::uint32_t kVocabulary = 1000;

 private:
  struct Row {
    std::uint64_t seed = 0;
    std::vector<std::uint32_t> tokens;  // known, those that it sampled itself included
    std::vector<std::uint32_t> table;   // blocks
  };
  std::size_t slot_of(const Row& row, std::uint32_t position) const;  // index into a layer
  std::uint64_t fold(const std::vector<std::uint64_t>& layer, const Row& row, std::uint32_t from,
                     std::uint32_t to, std::uint64_t start) const;
  void write_layer_0(const BatchRow& at);
  void write_layer_1(const BatchRow& at);
  std::uint32_t sample(const BatchRow& at) const;
  void fail_batch(const Batch& batch);
  std::size_t first_slot(std::uint32_t block, std::uint8_t tier) const;
  void poison(const BlockCopy& copy);
  void move(const BlockCopy& copy);

  Clock& clock_;
  DeviceTime device_;
  CopyTime copies_;
  std::uint32_t block_tokens_, blocks_;
  std::vector<Row> rows_;
  std::vector<std::uint64_t> layer_0_, layer_1_;  // [blocks, then host blocks, block_tokens]
  std::deque<std::vector<std::uint32_t>> results_;
  std::vector<std::uint32_t> last_;
};

}  // namespace serveloop::execute
