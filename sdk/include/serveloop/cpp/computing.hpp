// Which nodes of the prompt tree some prefill is computing: whoever waits at or below one of them has its next uncached block
// computed by another, so it may as well wait for that.
//
// Cost: O(path) for each prefill.
#pragma once

#include <serveloop/cpp/view.hpp>
#include <unordered_set>

namespace sl {

class Computing {
 public:
  // Begins anew with the prefills that run.
  void start(const View& view) {
    nodes_.clear();
    for (const uint32_t slot : view.running())
      if (view.seqs()[slot].runnable > 1) mark(view, view.seqs()[slot]);
  }
  // One that starts with this plan. What is not whole on the device is computed by it, now or later.
  void mark(const View& view, const sl_seq_row& seq) {
    const auto nodes = view.nodes();
    for (uint32_t node = seq.node; node != SL_NONE; node = nodes[node].parent)
      if (nodes[node].device_blocks == nodes[node].edge_blocks || !nodes_.insert(node).second) return;
  }
  bool contains(uint32_t node) const { return nodes_.contains(node); }

 private:
  std::unordered_set<uint32_t> nodes_;
};

}  // namespace sl
