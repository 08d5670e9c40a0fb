// The model's half of World: what must be cached, by full token paths.
#include <algorithm>

#include "world.hpp"

namespace serveloop::kv::test {

namespace {
constexpr std::uint32_t kBlockTokens = 4;
}

Path World::path_of(const Seq& seq, std::uint32_t block) const {
  Path path{seq.salt};
  path.insert(path.end(), seq.tokens.begin(), seq.tokens.begin() + (block + 1) * kBlockTokens);
  return path;
}

World::Cached* World::cached(const Seq& seq, std::uint32_t block) {
  const auto found = cached_.find(path_of(seq, block));
  return found == cached_.end() ? nullptr : &found->second;
}

std::uint64_t World::slot_value(const Seq& seq, std::uint32_t position) const {
  std::uint64_t value = seq.salt;
  for (std::uint32_t i = 0; i <= position; ++i) value = value * 0x9e3779b97f4a7c15u + seq.tokens[i] + 1;
  return value;
}

void World::model_pin(Seq& seq, Slot slot, std::uint32_t limit) {
  const auto held = [&] { return static_cast<std::uint32_t>(seq.executor.size()); };
  drain();
  for (; seq.indexed < std::min(held(), seq.path); ++seq.indexed) {
    Cached* at = cached(seq, seq.indexed);
    if (at == nullptr || at->on_host) return;
    ++at->refs;
    ++counts.taken;
  }
  std::uint32_t reach = held();
  for (; reach < std::min(limit, seq.path); ++reach, ++seq.indexed) {
    Cached* at = cached(seq, reach);
    if (at == nullptr || at->on_host) break;
    ++at->refs;
    ++counts.hits;
    seq.executor.push_back(at->block);
  }
  (void)slot;
}

void World::model_settle(Seq& seq, Slot slot, std::uint32_t end, std::uint32_t filled_end) {
  end = std::min({end, seq.path, static_cast<std::uint32_t>(seq.executor.size())});
  for (; seq.indexed < end; ++seq.indexed) {
    Cached* at = cached(seq, seq.indexed);
    const std::uint64_t filling = seq.indexed >= filled_end ? rig.step : 0;
    const Cached mine{rig.cache.table(slot)[seq.indexed], 1, filling, seq.transient};
    if (at == nullptr) {
      cached_[path_of(seq, seq.indexed)] = mine;
    } else if (at->on_host) {  // it takes the place of the host's
      const Slot holder = at->holder;
      const bool was_written = at->written;
      *at = mine;
      ++counts.replaced;
      if (holder != SL_NONE && was_written && !model_outgoing(holder))
        expected_.push_back({holder, Transfer::out});
    } else if (seq.indexed < filled_end) {
      ++at->refs;
      ++counts.taken;
    } else {
      return;
    }
  }
}

void World::model_release(Seq& seq, std::uint32_t keep) {
  drain();
  for (std::uint32_t i = seq.indexed; i-- > keep;) {
    const auto at = cached_.find(path_of(seq, i));
    if (at == cached_.end() || at->second.refs == 0) return fail("a released block was not pinned");
    --at->second.refs;
  }
  const auto first = static_cast<std::uint32_t>(seq.executor.size() - seq.arriving.size());
  while (!seq.arriving.empty() && keep < first + seq.arriving.size()) seq.arriving.pop_back();
  seq.indexed = std::min(seq.indexed, keep);
  seq.counted = std::min(seq.counted, keep);
  seq.executor.resize(std::min<std::size_t>(seq.executor.size(), keep));
}

// Blocks that the step was filling go, and all below them.
void World::model_fail(std::uint64_t step) {
  const auto lost = [step](const auto& entry) { return entry.second.filling == step; };
  for (auto it = cached_.begin(); (it = std::find_if(cached_.begin(), cached_.end(), lost)) != cached_.end();)
    model_drop_below(Path(it->first));
  model_sweep();
}

// Reads what the cache tells: table edits, block events, node events.
void World::drain() {
  for (const TableEdit& edit : rig.cache.edits()) {
    std::vector<BlockId>& table = seqs_[edit.slot].executor;
    if (edit.index > table.size()) return fail("an edit leaves a gap");
    if (edit.index == table.size()) table.push_back(edit.block);
    table[edit.index] = edit.block;
  }
  rig.cache.edits().clear();
  for (const sl_block_event& event : rig.take_block_events()) {
    digest_ = digest_ * 31 + event.key + event.parent_key + event.block * 7 + event.kind + event.node +
              event.cached_children + event.from;
    if ((event.block < setup_.blocks) != (event.tier == SL_TIER_DEVICE))
      return fail("an event names another tier");
    const auto known = told_.find(event.block);
    if ((event.kind == SL_BLOCK_INSERTED || event.kind == SL_BLOCK_MOVED) != (known == told_.end()))
      return fail("block events contradict each other");
    if (event.kind == SL_BLOCK_MOVED && told_.erase(event.from) != 1) return fail("an unknown block moved");
    if (event.kind == SL_BLOCK_MOVED) told_[event.block] = false;
    if (event.kind == SL_BLOCK_INSERTED) told_[event.block] = false;
    if (event.kind == SL_BLOCK_HIT) known->second = false;
    if (event.kind == SL_BLOCK_IDLE) known->second = true;
    if (event.kind == SL_BLOCK_GONE) told_.erase(known);
  }
  for (const sl_event& event : rig.cache.node_events()) {
    digest_ = digest_ * 31 + event.kind + event.node * 5 + event.a + event.b;
    counts.splits += event.kind == SL_EV_SPLIT ? 1 : 0;
  }
  rig.cache.node_events().clear();
}

std::string World::verify() {
  drain();
  if (!broken.empty()) return broken;
  if (std::string found = rig.cache.audit(false); !found.empty()) return found;
  // Told as idle: surely what nobody pins, surely not what ran for somebody. A block that only entries which have
  // not run pin is told so or not, by whether anyone else had it before.
  std::set<BlockId> ran;
  for (const Seq& seq : seqs_)
    if (seq.live)
      ran.insert(seq.executor.begin(),
                 seq.executor.begin() + std::min<std::size_t>(seq.counted, seq.executor.size()));
  std::size_t indexed = 0;
  for (BlockId id = 0; id < written_.size(); ++id) {
    if (rig.block(id).key == 0) continue;
    ++indexed;
    const auto told = told_.find(id);
    if (told == told_.end() || (rig.block(id).refs == 0 && !told->second) ||
        (ran.count(id) > 0 && told->second))
      return "the block events tell another cache than the block table";
  }
  if (indexed != told_.size()) return "the block events tell of blocks that are gone";
  if (indexed != cached_.size()) return "the cache holds other blocks than the model";
  for (const auto& [path, at] : cached_) {
    const sl_block_row& row = rig.block(at.block);
    if (row.key == 0 || row.refs != at.refs || (row.depth + 1) * kBlockTokens + 1 != path.size())
      return "a block's row differs from the model";
    if ((row.tier == SL_TIER_HOST) != at.on_host || ((row.flags & SL_BLOCK_FLAG_COPYING) != 0) != at.copying)
      return "a block's tier or its copy differs from the model";
    if (((row.flags & SL_BLOCK_FLAG_FILLING) != 0) != (at.filling != 0 || at.written))
      return "a block's filling differs from the model";
  }
  for (Slot slot = 0; slot < setup_.slots; ++slot) {
    const Seq& seq = seqs_[slot];
    if (!seq.live) continue;
    const NodeId node = rig.cache.node_of(slot);
    const std::uint32_t end = node == SL_NONE ? 0 : rig.node(node).depth_blocks + rig.node(node).edge_blocks;
    if (end != seq.path) return "a sequence's path differs from the model";
  }
  return {};
}

std::uint64_t World::digest() {
  const auto bytes = [&](const sl_table& table) {
    const auto* at = static_cast<const unsigned char*>(table.base);
    for (std::size_t i = 0; i < std::size_t{table.count} * table.stride; ++i)
      digest_ = digest_ * 1099511628211u + at[i];
  };
  drain();
  bytes(rig.cache.node_table());
  bytes(rig.cache.block_table());
  return digest_;
}

}  // namespace serveloop::kv::test
