// The model of the host tier: what moves, what waits for copies, and what is lost.
#include <algorithm>

#include "world.hpp"

namespace serveloop::kv::test {

namespace {
constexpr std::uint32_t kBlockTokens = 4;

bool starts_with(const Path& path, const Path& top) {
  return path.size() >= top.size() && std::equal(top.begin(), top.end(), path.begin());
}
}  // namespace

std::map<Path, World::Cached>::iterator World::find_block(BlockId block) {
  return std::find_if(cached_.begin(), cached_.end(),
                      [block](const auto& entry) { return entry.second.block == block; });
}

// Where the blocks begin, and end, that swap_out moves of the first `blocks`.
std::pair<std::uint32_t, std::uint32_t> World::model_movable(const Seq& seq, std::uint32_t blocks) {
  std::uint32_t end = std::min(blocks, seq.held());
  for (std::uint32_t i = 0; i < std::min(end, seq.indexed); ++i)
    if (cached(seq, i)->filling != 0) end = i;
  const auto needed = [&](std::uint32_t i) {  // by others, on the device
    if (i >= seq.indexed) return false;
    const Path path = path_of(seq, i);
    if (cached_.at(path).refs > 1) return true;
    for (auto it = cached_.upper_bound(path); it != cached_.end() && starts_with(it->first, path); ++it) {
      const bool own = i + 1 < seq.indexed && starts_with(it->first, path_of(seq, i + 1));
      if (!it->second.on_host && !own) return true;
    }
    return false;
  };
  std::uint32_t from = seq.held();
  while (from > 0 && !needed(from - 1)) --from;
  return {std::min(from, end), end};
}

void World::model_swap(Seq& seq, Slot slot, std::uint32_t from, std::uint32_t end) {
  const std::vector<BlockId> table = seq.executor;
  const Path behind = end < seq.indexed ? path_of(seq, end) : Path{};
  model_release(seq, end);
  if (!behind.empty()) model_drop_below(behind);
  for (std::uint32_t i = from; i < end; ++i) {
    const BlockId to = moved_.at(table[i]);
    if (i >= seq.indexed) {
      seq.host[i] = {to, true};
      continue;
    }
    Cached& at = cached_.at(path_of(seq, i));
    at.block = to;
    at.refs = 2;
    at.on_host = at.copying = at.written = true;
    at.holder = slot;
  }
  seq.host_from = from;
  seq.host_end = end;
  seq.executor.resize(from);
  seq.indexed = std::min(seq.indexed, from);
  model_release(seq, 0);
  model_sweep();
}

BringIn World::model_plan(Seq& seq, std::uint32_t limit) {
  BringIn plan;
  std::uint32_t at = seq.held();
  for (; seq.indexed == seq.held() && at < std::min(limit, seq.path); ++at) {
    const Cached* block = cached(seq, at);
    if (block == nullptr) break;
    if ((plan.pending = block->copying)) break;
    plan.need += block->on_host ? 1 : 0;
  }
  for (; !plan.pending && at < seq.host_end && seq.host.count(at) > 0; ++at) {
    if ((plan.pending = seq.host.at(at).copying)) break;
    ++plan.need;
  }
  plan.reach = at;
  plan.whole = plan.pending || at >= seq.host_end;
  return plan;
}

// Its table was extended from `from` to `to`.
void World::model_bring(Seq& seq, Slot slot, std::uint32_t from, std::uint32_t to, std::uint32_t limit) {
  for (std::uint32_t i = from; i < to; ++i) {
    Cached* at = i < std::min(limit, seq.path) ? cached(seq, i) : nullptr;
    seq.arriving.push_back(at != nullptr);
    if (at == nullptr) continue;
    at->copying = true;
    ++at->refs;
  }
  model_forget(seq, slot);
}

// It has arrived, as far as it did.
void World::model_arrived(Seq& seq) {
  const std::uint32_t own = std::min(seq.held() * kBlockTokens, seq.saved);
  seq.computed = std::max({seq.computed, seq.indexed * kBlockTokens, own});
  seq.saved = 0;
}

void World::model_forget(Seq& seq, Slot slot) {
  for (auto& [path, at] : cached_) {
    if (at.holder != slot) continue;
    at.holder = SL_NONE;
    --at.refs;
  }
  seq.host.clear();
  seq.host_from = seq.host_end = 0;
}

void World::model_lose(Slot slot) {
  model_forget(seqs_[slot], slot);
  seqs_[slot].saved = 0;
  expected_.push_back({slot, Transfer::lost});
}

std::uint32_t World::model_drop_below(const Path& top) {
  std::set<Slot> losers;
  std::uint32_t host = 0;
  auto it = cached_.lower_bound(top);  // what lies below it follows it in the map
  while (it != cached_.end() && starts_with(it->first, top)) {
    want(it->second.on_host || it->second.refs == 0, "a block in use left the tree");
    host += it->second.on_host ? 1 : 0;
    if (it->second.holder != SL_NONE) losers.insert(it->second.holder);
    it = cached_.erase(it);
  }
  for (const Slot slot : losers) model_lose(slot);
  return host;
}

// Transient blocks that nobody uses go, unless others are cached below them.
void World::model_sweep() {
  for (bool again = true; again;) {
    again = false;
    for (auto it = cached_.begin(); it != cached_.end();) {
      const auto next = std::next(it);
      const bool kept = it->second.refs > 0 || !it->second.transient ||
                        (next != cached_.end() && starts_with(next->first, it->first));
      if (!kept) cached_.erase(it), again = true;
      it = next;
    }
  }
}

bool World::model_outgoing(Slot slot) const {
  const auto in_tree = [slot](const auto& entry) {
    return entry.second.holder == slot && entry.second.written;
  };
  const auto own = [](const auto& entry) { return entry.second.copying; };
  return std::any_of(cached_.begin(), cached_.end(), in_tree) ||
         std::any_of(seqs_[slot].host.begin(), seqs_[slot].host.end(), own);
}

Evicted World::model_apply(std::vector<sl_victim> victims) {
  Evicted done;
  std::uint32_t room = rig.cache.tier(SL_TIER_HOST).free;
  std::vector<std::pair<Path, bool>> device;  // path, demoted
  for (const sl_victim& victim : victims) {
    const auto at = find_block(victim.block);
    want(at->second.refs == 0, "a block in use was evicted");
    if (!at->second.on_host) {
      device.push_back({at->first, victim.to == SL_TIER_HOST && setup_.host_blocks > 0});
      continue;
    }
    cached_.erase(at);
    ++done.host_dropped;
    ++room;
  }
  std::stable_sort(device.begin(), device.end(),
                   [](const auto& a, const auto& b) { return a.first.size() < b.first.size(); });
  std::set<Path> dropped;
  for (auto& [path, demoted] : device) {
    const Path above(path.begin(), path.end() - kBlockTokens);
    if (demoted && (dropped.count(above) > 0 || cached_.at(path).filling != 0 || room == 0)) {
      demoted = false;
      ++done.not_demoted;
      done.host_full += dropped.count(above) == 0 && cached_.at(path).filling == 0 ? 1 : 0;
    }
    if (demoted)
      --room;
    else
      dropped.insert(path);
  }
  for (auto it = device.rbegin(); it != device.rend(); ++it) {
    if (!it->second) {
      done.host_dropped += model_drop_below(it->first);
      ++done.freed;
      continue;
    }
    Cached& at = cached_.at(it->first);  // its block is known once the copies are
    at.refs = 1;
    at.on_host = at.copying = at.written = true;
    ++done.demoted;
  }
  model_sweep();
  return done;
}

void World::model_ended_out(const Moving& moving) {
  Slot holder = SL_NONE;
  if (const auto at = find_block(moving.copy.to); at != cached_.end()) {
    if (moving.fails) {
      ++counts.out_failed;
      model_drop_below(Path(at->first));
      return;
    }
    at->second.copying = at->second.written = false;
    --at->second.refs;
    holder = at->second.holder;
  } else {
    for (Slot slot = 0; slot < setup_.slots; ++slot)
      for (auto& [index, own] : seqs_[slot].host)
        if (own.block == moving.copy.to) {
          own.copying = false;
          holder = slot;
        }
    if (holder != SL_NONE && moving.fails) return model_lose(holder);
  }
  if (holder != SL_NONE && !model_outgoing(holder)) expected_.push_back({holder, Transfer::out});
}

void World::model_ended_in(const Moving& moving) {
  for (Slot slot = 0; slot < setup_.slots; ++slot) {
    Seq& seq = seqs_[slot];
    const std::size_t index = seq.executor.size() - seq.arriving.size();
    if (!seq.live || seq.arriving.empty() || seq.executor[index] != moving.copy.to) continue;
    if (moving.fails) {
      seq.executor.resize(index);
      seq.arriving.clear();
    } else {
      const bool settles = seq.arriving.front();
      seq.arriving.pop_front();
      const auto end = static_cast<std::uint32_t>(index) + 1;
      if (settles) model_settle(seq, slot, end, end);
    }
    if (!seq.arriving.empty()) continue;
    expected_.push_back({slot, moving.fails ? Transfer::cut : Transfer::in});
    model_arrived(seq);
  }
  const auto source = find_block(moving.copy.from);
  if (source == cached_.end()) return;
  if (moving.fails) {
    model_drop_below(Path(source->first));
  } else {
    source->second.copying = false;
    --source->second.refs;
  }
}

}  // namespace serveloop::kv::test
