// The proof that no block is lost: every invariant, checked against a picture drawn from the tables, the host copies,
// the pending copies and the tree alone. Private to core/kv.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "kv/state.hpp"

namespace serveloop::kv {

class Audit {
 public:
  explicit Audit(const Cache::State& state) : state_(state), pool_(state.pool), tree_(state.tree) {}
  std::string run(bool idle);

 private:
  template <class... Args>
  void want(bool holds, fmt::format_string<Args...> text, Args&&... args) {
    if (!holds && violation_.empty()) violation_ = fmt::format(text, std::forward<Args>(args)...);
  }
  // The tree (audit_tree.cpp).
  void nodes();
  void node(NodeId id);
  void edge(NodeId id);
  void placed(BlockId block, BlockId above, NodeId node, std::uint32_t depth);
  // Users of blocks.
  void copies();
  void tables(bool idle);
  void table(Slot slot);
  void host_copy(Slot slot);
  // Blocks.
  void blocks();
  void outside(BlockId block);
  void lists(std::uint16_t tier);
  BlockId on_path(const Sequence& sequence, std::uint32_t depth) const;

  const Cache::State& state_;
  const Pool& pool_;
  const Tree& tree_;
  std::string violation_;
  std::vector<std::uint32_t> live_, waiting_, children_;               // per node
  std::vector<std::uint32_t> refs_, cached_children_, host_children_;  // per block
  std::vector<Slot> owners_;                                           // per block
  std::vector<bool> in_tree_, pending_,
      written_;  // per block; pending_: of a copy; written_: by one to the host
  std::size_t used_nodes_ = 0, cells_ = 0;
};

}  // namespace serveloop::kv
