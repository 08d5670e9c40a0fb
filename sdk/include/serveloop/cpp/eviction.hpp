// An eviction policy in C++: `void evict(const sl::EvictIn&, sl::Victims&)`, and optionally `void note(const
// sl::EvictIn&)`, which hears each step's block events. Without it the policy must live on the block table
// alone.
#pragma once

#include <serveloop/cpp/plugin.hpp>
#include <serveloop/cpp/view.hpp>
#include <vector>

namespace sl {

// What an eviction call reads.
class EvictIn {
 public:
  explicit EvictIn(const sl_evict_in& in) : in_(&in) {}
  const sl_evict_in* operator->() const { return in_; }
  View view() const { return View(*in_->view); }
  Rows<sl_block_event> events() const { return Rows<sl_block_event>(in_->events); }
  Rows<sl_block_row> blocks() const { return Rows<sl_block_row>(in_->view->blocks); }
  uint32_t need() const { return in_->need[SL_TIER_DEVICE]; }

 private:
  const sl_evict_in* in_;
};

// The victims being named.
class Victims {
 public:
  Victims(sl_out& victims, sl_out& gauges, const EvictIn& in)
      : rows_(victims), gauges_(gauges), blocks_(in.blocks()) {}
  void drop(uint32_t block, uint16_t reason = SL_REASON_NONE) {
    rows_.push({blocks_[block].key, block, SL_TIER_NONE, reason});
  }
  void demote(uint32_t block, uint16_t reason = SL_REASON_NONE) {
    rows_.push({blocks_[block].key, block, SL_TIER_HOST, reason});
  }
  void gauge(uint32_t name, double value) { gauges_.push({name, 0, value}); }
  uint32_t size() const { return rows_.size(); }

 private:
  Answer<sl_victim> rows_;
  Answer<sl_gauge> gauges_;
  Rows<sl_block_row> blocks_;
};

// A doubly linked list over block ids with O(1) removal: one per queue of a list-based policy. Memory: 8
// bytes a block.
class BlockList {
 public:
  explicit BlockList(uint32_t blocks) : next_(blocks + 1, kOut), prev_(blocks + 1, kOut), end_(blocks) {
    next_[end_] = prev_[end_] = end_;
  }
  bool contains(uint32_t block) const { return next_[block] != kOut; }
  bool empty() const { return next_[end_] == end_; }
  uint32_t size() const { return size_; }
  uint32_t front() const { return next_[end_]; }
  uint32_t back() const { return prev_[end_]; }
  uint32_t after(uint32_t block) const { return next_[block]; }  // end() after the last
  uint32_t end() const { return end_; }

  void push_back(uint32_t block) {
    const uint32_t last = prev_[end_];
    next_[last] = block;
    prev_[block] = last;
    next_[block] = end_;
    prev_[end_] = block;
    ++size_;
  }
  bool remove(uint32_t block) {
    if (!contains(block)) return false;
    next_[prev_[block]] = next_[block];
    prev_[next_[block]] = prev_[block];
    next_[block] = prev_[block] = kOut;
    --size_;
    return true;
  }

 private:
  static constexpr uint32_t kOut = UINT32_MAX;
  std::vector<uint32_t> next_, prev_;
  uint32_t end_, size_ = 0;
};

namespace detail {

template <class Policy>
struct EvictionFunctions {
  static int32_t evict(void* self, const sl_evict_in* in, sl_out* victims, sl_out* gauges) noexcept {
    return guarded([&] {
      const EvictIn input(*in);
      Victims out(*victims, *gauges, input);
      static_cast<Policy*>(self)->evict(input, out);
    });
  }
  static int32_t note(void* self, const sl_evict_in* in) noexcept {
    return guarded([&] { static_cast<Policy*>(self)->note(EvictIn(*in)); });
  }
  static constexpr sl_eviction make() {
    sl_eviction table{sizeof(sl_eviction), 0, &evict, nullptr};
    if constexpr (requires(Policy & p, const EvictIn& in) { p.note(in); }) table.note = &note;
    return table;
  }
  static constexpr sl_eviction table = make();
};

}  // namespace detail
}  // namespace sl

#define SERVELOOP_EVICTION(Policy, id, version) \
  SERVELOOP_PLUGIN(Policy, SL_KIND_EVICTION, id, version, &sl::detail::EvictionFunctions<Policy>::table)
