// Waiting sequences by how much of their path is cached on the device, longest first, ties by arrival; in groups (tenants)
// that have no node in common but the root.
//
// A mirror of the part of the prompt tree at and above nodes where somebody waits. A node's items are its own waiting
// sequences and one for each child in the mirror: a child with something on the device stands with the best below it, any
// other with the oldest, since all below it hit what its parent does. So a change of one node's cached length moves one item
// in each node above it, whoever waits below.
//
// Invariant after hear(): parents and hits in the mirror are those of the node table, as far as its events were told; every
// node of the mirror has an item. Links are made from the table alone, a whole path at a time, so no order of events can close
// a circle, also where the table is ahead of them.
//
// Cost: O(depth * log waiting) for a sequence that comes or goes and for a node above one that changes; of a walk, O(depth + log)
// for each node and sequence that it comes by.
#pragma once

#include <deque>
#include <optional>
#include <queue>
#include <serveloop/cpp/queue.hpp>
#include <unordered_map>

namespace sl {

class HitTree {
 public:
  // Longest hit first, then by arrival.
  struct Rank {
    uint32_t hit_blocks;
    ArrivalKey arrival;
    bool operator==(const Rank&) const = default;
    bool operator<(const Rank& other) const {
      return hit_blocks != other.hit_blocks ? hit_blocks > other.hit_blocks : arrival < other.arrival;
    }
  };
  struct Found {
    sl_seq seq;
    uint32_t hit_blocks, group;
  };

  explicit HitTree(uint32_t sequence_slots) : places_(sequence_slots) {}

  // A sequence waits. Where it is there already, it moves to its row's node.
  void insert(const View& view, const sl_seq_row& seq, uint32_t group = 0) {
    erase(seq.id);
    while (groups() <= group) {
      const uint32_t next = groups();
      roots_.emplace_back().group = next;
    }
    Node& at = reach(view, seq.node, group);
    Place& place = places_[SL_SEQ_SLOT(seq.id)];
    place = {seq.id, &at, group, {0, ArrivalKey::of(view, seq)}};
    ++roots_[group].waiting;
    at.items.insert({place.rank, nullptr, seq.id});
    touched_.push_back(&at);
    settle_all();
    ++size_;
  }
  // False: it does not stand here.
  bool erase(sl_seq seq) {
    Place& place = places_[SL_SEQ_SLOT(seq)];
    if (place.seq != seq) return false;
    --roots_[place.group].waiting;
    --size_;
    place.at->items.erase({place.rank, nullptr, seq});
    if (place.at->items.empty()) empty_.push_back(place.at->id);
    touched_.push_back(place.at);
    place.seq = SL_NO_SEQ;
    settle_all();
    return true;
  }
  // Takes in what a call's events say of nodes. Before sequences are inserted or erased.
  void hear(const View& view) {
    for (const sl_event& event : view.events()) {
      if (event.kind != SL_EV_NODE_CHANGED && event.kind != SL_EV_NODE_GONE && event.kind != SL_EV_SPLIT)
        continue;
      loosen(view, event.node);
      if (event.kind == SL_EV_SPLIT) loosen(view, static_cast<uint32_t>(event.a));
    }
    for (const uint32_t id : loose_) {
      Node& node = nodes_.at(id);
      if (!node.items.empty()) reach(view, id, node.group);
    }
    empty_.insert(empty_.end(), loose_.begin(), loose_.end());
    loose_.clear();
    settle_all();
  }

  std::size_t size() const { return size_; }
  uint32_t groups() const { return static_cast<uint32_t>(roots_.size()); }
  uint32_t waiting(uint32_t group) const { return group < roots_.size() ? roots_[group].waiting : 0; }
  // All that wait, by slot.
  std::vector<sl_seq> all() const {
    std::vector<sl_seq> all;
    for (const Place& place : places_)
      if (place.seq != SL_NO_SEQ) all.push_back(place.seq);
    return all;
  }

 private:
  struct Node;
  // In a node: a child, or a sequence of its own. `rank.hit_blocks` 0: what the node itself hits.
  struct Item {
    Rank rank;
    Node* child;
    sl_seq seq;
    bool operator==(const Item&) const = default;
    // Each stands for another sequence, but while a change is under way.
    bool operator<(const Item& other) const {
      return rank == other.rank ? id() < other.id() : rank < other.rank;
    }
    uint32_t id() const;
  };
  struct Node {
    uint32_t id = 0, parent_id = 0, group = 0;
    uint32_t hit_blocks = 0;  // of its path; 0: nothing of its edge is on the device
    uint32_t waiting = 0;     // of a root: in its group
    bool linked = false;
    Node* parent = nullptr;
    std::set<Item> items;
    std::optional<Item> told;  // its item in its parent
  };
  struct Place {
    sl_seq seq = SL_NO_SEQ;
    Node* at = nullptr;
    uint32_t group = 0;
    Rank rank{};
  };

 public:
  // Best first, over the groups that were opened. Valid until the tree changes.
  class Walk {
   public:
    explicit Walk(const HitTree& tree) : tree_(&tree) {}
    void open(uint32_t group) {
      if (!tree_->roots_[group].items.empty())
        push({0, &tree_->roots_[group], tree_->roots_[group].items.begin(), group});
    }
    // The next, or null. Passes over all at and below a node while `skips(node)` holds, which may begin to in the course of the
    // walk, and over a group while `closed(group)` holds.
    template <class Skips, class Closed>
    std::optional<Found> next(Skips&& skips, Closed&& closed) {
      while (!heads_.empty()) {
        Head head = heads_.top();
        heads_.pop();
        if (closed(head.group)) {
          aside_.push_back(head);
          continue;
        }
        if (skipped(head.node, skips)) continue;
        const Item& item = *head.at;
        const uint32_t hit_blocks = rank_of(head).hit_blocks;
        if (++head.at != head.node->items.end()) push(head);
        if (item.child == nullptr) return Found{item.seq, hit_blocks, head.group};
        const uint32_t own = item.child->hit_blocks > 0 ? item.child->hit_blocks : head.own_blocks;
        push({own, item.child, item.child->items.begin(), head.group});
      }
      return std::nullopt;
    }
    // Groups that were closed may not be so any more.
    void reopen() {
      for (const Head& head : aside_) push(head);
      aside_.clear();
    }

   private:
    struct Head {
      uint32_t own_blocks;  // what the node itself hits
      const Node* node;
      std::set<Item>::const_iterator at;
      uint32_t group;
    };
    template <class Skips>
    static bool skipped(const Node* node, Skips&& skips) {
      for (; node->parent != nullptr; node = node->parent)
        if (skips(node->id)) return true;
      return false;
    }
    static Rank rank_of(const Head& head) {
      const Rank& rank = head.at->rank;
      return {rank.hit_blocks > 0 ? rank.hit_blocks : head.own_blocks, rank.arrival};
    }
    struct Later {
      bool operator()(const Head& a, const Head& b) const { return rank_of(b) < rank_of(a); }
    };
    void push(const Head& head) { heads_.push(head); }

    const HitTree* tree_;
    std::priority_queue<Head, std::vector<Head>, Later> heads_;
    std::vector<Head> aside_;
  };

 private:
  static uint32_t parent_of(const sl_node_row& row) { return row.parent == SL_NONE ? 0 : row.parent; }
  static uint32_t hit_of(const sl_node_row& row) {
    return row.device_blocks == 0 ? 0 : row.depth_blocks + row.device_blocks;
  }
  static bool moved(const View& view, const Node& node) {
    const sl_node_row& row = view.nodes()[node.id];
    return parent_of(row) != node.parent_id || hit_of(row) != node.hit_blocks;
  }

  // The mirror's node, with its path up to the root as the table has it. SL_NONE: no whole block, so the root.
  Node& reach(const View& view, uint32_t id, uint32_t group) {
    if (id == SL_NONE || id == 0) return roots_[group];
    Node& first = nodes_.try_emplace(id).first->second;
    Node* at = &first;
    for (at->id = id; id != 0; id = at->parent_id, at = at->parent) {
      const sl_node_row& row = view.nodes()[id];
      if (at->linked && !moved(view, *at)) continue;
      detach(*at);
      at->group = group;
      at->hit_blocks = hit_of(row);
      at->parent_id = parent_of(row);
      at->parent = at->parent_id == 0 ? &roots_[group] : &nodes_.try_emplace(at->parent_id).first->second;
      at->parent->id = at->parent_id;
      at->linked = true;
      touched_.push_back(at);
    }
    return first;
  }
  void loosen(const View& view, uint32_t id) {
    const auto found = nodes_.find(id);
    if (found == nodes_.end() || !found->second.linked || !moved(view, found->second)) return;
    detach(found->second);
    loose_.push_back(id);
  }
  void detach(Node& node) {
    node.linked = false;
    if (!node.told) return;
    node.parent->items.erase(*node.told);
    if (node.parent->items.empty()) empty_.push_back(node.parent->id);
    touched_.push_back(node.parent);
    node.told.reset();
  }

  // What a node's parent has of it.
  static std::optional<Item> item_of(Node& node) {
    if (node.items.empty()) return std::nullopt;
    Rank best = node.items.begin()->rank;
    if (node.hit_blocks == 0 || best.hit_blocks == 0) best.hit_blocks = node.hit_blocks;
    return Item{best, &node, SL_NO_SEQ};
  }
  // Tells the nodes above of a node's items.
  void settle(Node& first) {
    for (Node* node = &first; node->linked; node = node->parent) {
      const std::optional<Item> now = item_of(*node);
      if (now == node->told) return;
      if (node->told) node->parent->items.erase(*node->told);
      if (now) node->parent->items.insert(*now);
      if (node->parent->items.empty()) empty_.push_back(node->parent->id);
      node->told = now;
    }
  }
  void settle_all() {
    for (Node* node : touched_) settle(*node);
    touched_.clear();
    for (const uint32_t id : empty_) {
      const auto found = nodes_.find(id);
      if (found != nodes_.end() && found->second.items.empty()) nodes_.erase(found);
    }
    empty_.clear();
  }

  std::vector<Place> places_;  // by slot
  std::deque<Node> roots_;     // by group
  std::unordered_map<uint32_t, Node> nodes_;
  std::size_t size_ = 0;
  // Of the change at hand: nodes whose items or links are others now, those that may have none, and those that events loosened.
  std::vector<Node*> touched_;
  std::vector<uint32_t> empty_, loose_;
};

inline uint32_t HitTree::Item::id() const { return child == nullptr ? SL_NONE : child->id; }

}  // namespace sl
