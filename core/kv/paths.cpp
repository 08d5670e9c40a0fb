// Paths: from a sequence's arrival to its end.
#include <cassert>

#include "kv/state.hpp"

namespace serveloop::kv {

void Cache::bind(Slot slot, Owner owner, Key salt, std::span<const Token> tokens, std::span<const Key> keys,
                 bool transient) {
  State& state = *state_;
  Sequence& sequence = state.sequences[slot];
  assert(!sequence.bound && sequence.table.empty());
  assert(keys.size() == tokens.size() / state.options.block_tokens);
  sequence.bound = true;
  sequence.owner = owner;
  sequence.salt = sequence.tail = salt;
  sequence.transient = transient;
  if (keys.empty()) return;
  sequence.placed = true;
  sequence.node = state.tree.hang(kRoot, salt, keys, tokens);
  ++state.tree.row(sequence.node).live;
  if (sequence.node != kRoot) sequence.tail = state.tree.last_key(sequence.node);
}

void Cache::unbind(Slot slot) {
  State& state = *state_;
  Sequence& sequence = state.sequences[slot];
  assert(sequence.bound);
  state.release(sequence, 0);
  state.drop_copy(sequence);
  set_waiting(slot, false);
  if (sequence.placed) {
    --state.tree.row(sequence.node).live;
    state.tree.tidy(sequence.node);
  }
  std::vector<BlockId> table = std::move(sequence.table);  // its memory serves the next one
  sequence = Sequence{};
  sequence.table = std::move(table);
}

void Cache::set_waiting(Slot slot, bool waiting) {
  State& state = *state_;
  Sequence& sequence = state.sequences[slot];
  if (sequence.waiting == waiting) return;
  sequence.waiting = waiting;
  if (!sequence.placed) return;
  state.tree.row(sequence.node).waiting += waiting ? 1 : -1;
  state.tree.changed(sequence.node);
}

NodeId Cache::node_of(Slot slot) const {
  const Sequence& sequence = state_->sequences[slot];
  return sequence.placed ? sequence.node : SL_NONE;
}

void Cache::State::move(Sequence& sequence, NodeId node) {
  const NodeId from = sequence.node;
  if (sequence.placed) {
    --tree.row(from).live;
    if (sequence.waiting) {
      --tree.row(from).waiting;
      tree.changed(from);
    }
  }
  sequence.placed = true;
  sequence.node = node;
  ++tree.row(node).live;
  if (sequence.waiting) {
    ++tree.row(node).waiting;
    tree.changed(node);
  }
  tree.tidy(from);
}

void Cache::State::lengthen(Sequence& sequence, std::span<const Token> tokens) {
  const NodeId node = sequence.node;
  const Key key = hash_block(sequence.tail, tokens);
  if (node != kRoot && tree.row(node).live == 1 && tree.node(node).children == 0) {
    sequence.tail = key;
    tree.append(node, key, tokens);  // nobody else's path ends here or goes on from here
    return;
  }
  const NodeId below = tree.hang(node, sequence.salt, {&key, 1}, tokens);
  if (below == node) return;
  sequence.tail = key;
  move(sequence, below);
}

}  // namespace serveloop::kv
