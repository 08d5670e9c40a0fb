// Typed access to a view: rows by slot, sequences by id, prompts as spans. No copies, no allocation.
#pragma once

#include <serveloop/serveloop.h>

#include <algorithm>
#include <cstddef>
#include <span>

namespace sl {

// Rows of a table, by index. Reads only the fields this SDK knows, whatever the host's stride.
template <class Row>
class Rows {
 public:
  explicit Rows(const sl_table& table)
      : base_(static_cast<const std::byte*>(table.base)), stride_(table.stride), count_(table.count) {}

  const Row& operator[](std::size_t i) const { return *reinterpret_cast<const Row*>(base_ + i * stride_); }
  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }

  class Iterator {
   public:
    Iterator(const std::byte* at, std::size_t stride) : at_(at), stride_(stride) {}
    const Row& operator*() const { return *reinterpret_cast<const Row*>(at_); }
    Iterator& operator++() {
      at_ += stride_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const std::byte* at_;
    std::size_t stride_;
  };
  Iterator begin() const { return {base_, stride_}; }
  Iterator end() const { return {base_ + std::size_t{count_} * stride_, stride_}; }

 private:
  const std::byte* base_;
  std::size_t stride_;
  uint32_t count_;
};

// One call's view. Valid for the call only.
class View {
 public:
  explicit View(const sl_view& view) : v_(&view) {}

  const sl_view& raw() const { return *v_; }
  const sl_view* operator->() const { return v_; }

  Rows<sl_seq_row> seqs() const { return Rows<sl_seq_row>(v_->seqs); }
  Rows<sl_seq_cold_row> seqs_cold() const { return Rows<sl_seq_cold_row>(v_->seqs_cold); }
  Rows<sl_request_row> requests() const { return Rows<sl_request_row>(v_->requests); }
  Rows<sl_node_row> nodes() const { return Rows<sl_node_row>(v_->nodes); }
  Rows<sl_block_row> blocks() const { return Rows<sl_block_row>(v_->blocks); }
  Rows<uint32_t> running() const { return Rows<uint32_t>(v_->running); }  // slots, in admission order
  Rows<sl_event> events() const { return Rows<sl_event>(v_->events); }

  // The row of a sequence, or null where the id is stale.
  const sl_seq_row* find(sl_seq seq) const {
    const uint32_t slot = SL_SEQ_SLOT(seq);
    if (slot >= v_->seqs.count) return nullptr;
    const sl_seq_row& row = seqs()[slot];
    return row.id == seq && row.state != SL_FREE ? &row : nullptr;
  }
  const sl_request_row& request(const sl_seq_row& seq) const { return requests()[seq.request]; }
  const sl_seq_cold_row& cold(const sl_seq_row& seq) const { return seqs_cold()[SL_SEQ_SLOT(seq.id)]; }
  std::span<const uint32_t> prompt(const sl_request_row& request) const {
    return {reinterpret_cast<const uint32_t*>(v_->heap + request.prompt_at), request.prompt_tokens};
  }
  std::span<const sl_hint> hints(const sl_request_row& request) const {
    return {reinterpret_cast<const sl_hint*>(v_->heap + request.hints_at), request.hints_count};
  }
  std::span<const sl_retention> retention(const sl_request_row& request) const {
    return {reinterpret_cast<const sl_retention*>(v_->heap + request.retention_at), request.retention_count};
  }

 private:
  const sl_view* v_;
};

// May a scheduler admit it now?
inline bool ready_to_admit(const sl_seq_row& seq) {
  return (seq.state == SL_WAITING || seq.state == SL_RESERVED) && seq.not_ready == 0;
}

// Tokens that are cached on the device along a sequence's path, in whole blocks. Walks up only past nodes
// with nothing cached.
inline uint32_t cached_prefix_tokens(const View& view, const sl_seq_row& seq) {
  const auto nodes = view.nodes();
  uint32_t node = seq.node;
  while (node != SL_NONE && nodes[node].device_blocks == 0) node = nodes[node].parent;
  if (node == SL_NONE) return 0;
  return (nodes[node].depth_blocks + nodes[node].device_blocks) * view->block_tokens;
}

// Tokens that a sequence not running will have to compute once its prefix is matched: a hit is whole blocks
// and stops one token short of what is known.
inline uint32_t uncached_tokens(const View& view, const sl_seq_row& seq) {
  if (seq.runnable == 0) return 0;  // the rest is in flight
  const uint32_t known = seq.computed + seq.in_flight_max + seq.runnable;
  const uint32_t most = (known - 1) / view->block_tokens * view->block_tokens;
  const uint32_t hit = std::min(cached_prefix_tokens(view, seq), most);
  return std::min(seq.runnable, known - hit);
}

}  // namespace sl
