#include "world.hpp"

#include <serveloop/reasons.h>

#include <algorithm>

namespace serveloop::kv::test {

namespace {
constexpr std::uint32_t kBlockTokens = 4;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15u + (a << 6))) * 0xbf58476d1ce4e5b9u;
  return x ^ (x >> 29);
}
Options options_of(const World::Setup& setup) {
  Options options = small(setup.blocks, setup.slots);
  options.block_tokens = kBlockTokens;
  options.host_blocks = setup.host_blocks;
  return options;
}
}  // namespace

World::World(const Setup& setup)
    : rig(options_of(setup)),
      setup_(setup),
      random_(setup.seed),
      seqs_(setup.slots),
      written_(setup.blocks + setup.host_blocks, std::vector<std::uint64_t>(kBlockTokens, 0)) {}

void World::operate() {
  if (!broken.empty()) return;
  const std::uint32_t dice = pick(100);
  const Slot slot = pick(setup_.slots);
  ++rig.now;
  if (dice < 25) {
    arrive();
  } else if (dice < 32) {
    if (seqs_[slot].live) cancel(slot);
  } else if (dice < 38) {
    if (seqs_[slot].live && !(setup_.host_blocks > 0 && pick(2) == 0 && swap(slot)))
      yield(slot, pick(4) == 0 ? pick(4) : 0);
  } else {
    step();
  }
  check_transfers();
}

void World::finish() {
  for (Slot slot = 0; slot < setup_.slots; ++slot)
    if (seqs_[slot].live) cancel(slot);
  while (!flights_.empty()) collect(false);
  handed_ = static_cast<std::uint32_t>(moving_.size());
  end_copies(handed_);
  check_transfers();
  drain();
}

void World::arrive() {
  std::uint32_t n = pick(4) == 0 ? 2 : 1;
  std::vector<Token>
      prompt;  // a few families of stems that branch at few places: hits and splits are frequent
  const std::uint32_t length = 1 + pick(9 * kBlockTokens), family = pick(3);
  for (std::uint32_t i = 0; i < length; ++i) {
    const std::uint32_t branch = i / (2 * kBlockTokens);
    prompt.push_back(family * 1000 + i +
                     (branch > 0 && pick(3 * kBlockTokens) == 0 ? 100000 * (1 + pick(2)) : 0));
  }
  const bool transient = pick(6) == 0;
  const Key salt = transient ? 1000 + requests_ : kSalt + pick(2);
  std::vector<Key> keys = rig.keys(prompt, salt);
  ++requests_;
  for (Slot slot = 0; slot < setup_.slots && n > 0; ++slot) {
    Seq& seq = seqs_[slot];
    if (seq.live) continue;
    const std::uint32_t life = seq.life;
    seq = Seq{};
    seq.life = life + 1;
    seq.live = true;
    seq.transient = transient;
    seq.salt = salt;
    seq.fork = n--;
    seq.tokens = prompt;
    seq.prompt = length;
    seq.path = length / kBlockTokens;
    counts.transient += transient ? 1 : 0;
    rig.cache.bind(slot, requests_, salt, prompt, keys, transient);
    if (pick(2) == 0) rig.cache.set_waiting(slot, seq.waiting = true);
  }
}

void World::cancel(Slot slot) {
  Seq& seq = seqs_[slot];
  counts.ended_in_flight += waits_for_copies(seq) ? 1 : 0;
  model_release(seq, 0);
  model_forget(seq, slot);
  model_sweep();
  rig.cache.unbind(slot);
  seq.live = false;
  ++seq.life;
  ++counts.cancelled;
}

void World::yield(Slot slot, std::uint32_t keep) {
  Seq& seq = seqs_[slot];
  keep = std::min(keep, seq.computed / kBlockTokens);
  model_release(seq, keep);
  model_sweep();
  const std::uint32_t before = rig.free() + rig.evictable(), frees = rig.cache.frees(slot, keep);
  rig.cache.release(slot, keep, rig.now);
  want(rig.free() + rig.evictable() == before + frees, "frees() is not what the release freed");
  seq.computed = std::min(seq.computed, keep * kBlockTokens);
  ++seq.life;  // what comes back of it is void, but for its tokens
  ++counts.preempted;
}

void World::step() {
  ++rig.step;
  ++counts.steps;
  rig.cache.begin_plan();
  std::vector<Slot> order;
  if (setup_.host_blocks > 0) {
    for (Slot slot = 0; slot < setup_.slots; ++slot)
      if (seqs_[slot].live && pick(3) == 0) come_back(slot);
    end_copies(pick(handed_ + 1));
  }
  for (Slot slot = 0; slot < setup_.slots; ++slot)
    if (seqs_[slot].live && !waits_for_copies(seqs_[slot]) && pick(3) > 0) order.push_back(slot);
  std::shuffle(order.begin(), order.end(), random_);
  std::vector<Entry> entries;
  for (const Slot slot : order) entries.push_back(stage(slot));
  Flight flight{rig.step, {}};
  for (const Entry& entry : entries) {
    const std::uint32_t after =
        std::max(seqs_[entry.slot].computed, entry.planned * kBlockTokens) + entry.tokens;
    const std::uint32_t blocks = (after + kBlockTokens - 1) / kBlockTokens;
    const auto held = static_cast<std::uint32_t>(rig.cache.table(entry.slot).size());
    const std::uint32_t had = std::max(entry.planned, held);
    if (blocks > had && !make_room(blocks - had, entries)) break;
    if (!commit(entry, flight)) break;  // those behind it may have counted on its blocks
  }
  rig.cache.seal(rig.step);
  flights_.push_back(std::move(flight));
  drain();
  handed_ = static_cast<std::uint32_t>(moving_.size());
  run_copies(pick(handed_ + 1));
  while (flights_.size() > setup_.lag) collect(true);
  if (handed_ > 0) end_copies(pick(handed_ + 1));
  drain();
}

World::Entry World::stage(Slot slot) {
  Seq& seq = seqs_[slot];
  const auto known = static_cast<std::uint32_t>(seq.tokens.size());
  Entry entry{slot, (known - 1) / kBlockTokens, 0, 0};
  if (seq.computed == seq.executor.size() * kBlockTokens && seq.computed < known) {
    model_pin(seq, slot, entry.limit);
    const std::uint32_t held = rig.cache.pin_prefix(slot, entry.limit, rig.now);
    want(held == seq.executor.size(), "pin_prefix reached other than the model");
    seq.computed = std::max(seq.computed, held * kBlockTokens);
    entry.planned = rig.cache.planned_prefix(slot, entry.limit);
    want(entry.planned >= held, "planned less than held");
  }
  const std::uint32_t start = std::max(seq.computed, entry.planned * kBlockTokens);
  entry.tokens = std::min(1 + pick(5 * kBlockTokens), known - start);
  if (entry.tokens > 0)  // else it hangs nothing in
    rig.cache.mark_planned(slot, (start + entry.tokens) / kBlockTokens, start / kBlockTokens);
  return entry;
}

// Evicts, then lets a sequence yield that the plan does not need any more.
bool World::make_room(std::uint32_t need, const std::vector<Entry>& entries) {
  while (rig.free() < need) {
    if (rig.evictable() > 0) {
      evict(std::min(need - rig.free(), rig.evictable()));
      continue;
    }
    Slot victim = SL_NONE;
    for (Slot slot = 0; slot < setup_.slots && victim == SL_NONE; ++slot) {
      const auto named = [&](const Entry& entry) { return entry.slot == slot; };
      if (seqs_[slot].live && !seqs_[slot].executor.empty() &&
          std::none_of(entries.begin(), entries.end(), named))
        victim = slot;
    }
    if (victim == SL_NONE) return false;
    if (setup_.host_blocks == 0 || pick(2) == 0 || !swap(victim)) yield(victim, 0);
  }
  return true;
}

void World::evict(std::uint32_t need) {
  const bool two_tiers = setup_.host_blocks > 0;
  std::vector<sl_victim> victims;
  if (pick(2) == 0) {
    victims = rig.cache.fallback_victims(need + pick(3));
    if (pick(2) == 0) std::shuffle(victims.begin(), victims.end(), random_);
  } else {
    victims = name_leaves(need, two_tiers ? pick(6) : 0);
  }
  for (sl_victim& victim : victims)
    if (two_tiers && victim.block < setup_.blocks && pick(3) > 0) victim.to = SL_TIER_HOST;
  want(rig.cache.check(victims, need) == SL_REASON_NONE, "a legal answer was refused");
  const Evicted expected = model_apply(victims), done = rig.cache.apply(victims);
  take_copies();
  for (auto& [path, at] : cached_)  // the model knows a demoted block by its id on the device
    if (const auto moved = moved_.find(at.block); at.on_host && moved != moved_.end())
      at.block = moved->second;
  want(done.freed == expected.freed && done.demoted == expected.demoted &&
           done.not_demoted == expected.not_demoted && done.host_full == expected.host_full &&
           done.host_dropped == expected.host_dropped,
       "apply did other than asked");
  counts.evicted += done.freed;
  counts.demoted += done.demoted;
  counts.not_demoted += done.not_demoted;
  counts.host_dropped += done.host_dropped;
}

// Any leaf, again and again, of the device and up to `host` of host memory.
std::vector<sl_victim> World::name_leaves(std::uint32_t need, std::uint32_t host) {
  std::vector<sl_victim> victims;
  std::map<BlockId, std::uint32_t> gone;  // children in the answer
  std::set<BlockId> named;
  while (need + host > 0) {
    const bool on_host = pick(need + host) >= need;
    std::vector<BlockId> leaves;
    for (BlockId id = on_host ? setup_.blocks : 0; id < (on_host ? written_.size() : setup_.blocks); ++id) {
      const sl_block_row& row = rig.block(id);
      if (row.key != 0 && row.refs == 0 && named.count(id) == 0 && row.cached_children == gone[id])
        leaves.push_back(id);
    }
    --(on_host ? host : need);
    if (on_host && leaves.empty()) continue;
    const BlockId id = leaves[pick(static_cast<std::uint32_t>(leaves.size()))];
    named.insert(id);
    const BlockId parent = rig.block(id).parent;
    if (parent != SL_NONE && rig.block(parent).tier == rig.block(id).tier) ++gone[parent];
    victims.push_back(rig.victim(id));
  }
  return victims;
}

// False when what it had counted on is not there.
bool World::commit(const Entry& entry, Flight& flight) {
  const Slot slot = entry.slot;
  Seq& seq = seqs_[slot];
  if (entry.planned > seq.executor.size()) {
    model_pin(seq, slot, entry.planned);
    const std::uint32_t held = rig.cache.pin_prefix(slot, entry.planned, rig.now);
    want(held == seq.executor.size(), "pin_prefix at commit reached other than the model");
    want(held == entry.planned, "planned_prefix promised what did not come");
    seq.computed = std::max(seq.computed, held * kBlockTokens);
    ++counts.planned_hits;
  }
  rig.cache.count_hits(slot);
  seq.counted = static_cast<std::uint32_t>(seq.executor.size());
  if (entry.tokens == 0) return true;
  const std::uint32_t start = seq.computed, after = start + entry.tokens;
  rig.cache.extend(slot, (after + kBlockTokens - 1) / kBlockTokens);
  drain();
  model_settle(seq, slot, after / kBlockTokens, start / kBlockTokens);
  rig.cache.index_path(slot, after / kBlockTokens, start / kBlockTokens, rig.now);
  drain();
  seq.counted = static_cast<std::uint32_t>(seq.executor.size());
  want(rig.cache.indexed(slot) == seq.indexed, "index_path reached other than the model");
  compute(seq, slot, entry.tokens);
  flight.rows.push_back({slot, seq.life, start, after});
  if (seq.computed == seq.tokens.size() && seq.tokens.size() < 14 * kBlockTokens)
    seq.tokens.push_back(static_cast<Token>(mix(slot_value(seq, seq.computed - 1), seq.fork / 2) % 50000));
  return true;
}

// The executor: reads every slot below, writes its own.
void World::compute(Seq& seq, Slot slot, std::uint32_t tokens) {
  const auto table = rig.cache.table(slot);
  want(std::equal(table.begin(), table.end(), seq.executor.begin(), seq.executor.end()),
       "the edits do not tell the table");
  for (std::uint32_t at = 0; at < seq.computed; ++at)
    want(written_[seq.executor[at / kBlockTokens]][at % kBlockTokens] == slot_value(seq, at),
         "a slot holds another's KV");
  for (std::uint32_t at = seq.computed; at < seq.computed + tokens; ++at) {
    const BlockId block = seq.executor[at / kBlockTokens];
    want(rig.block(block).refs == 1, "a shared block is written");
    written_[block][at % kBlockTokens] = slot_value(seq, at);
  }
  seq.computed += tokens;
}

void World::collect(bool may_fail) {
  const Flight flight = std::move(flights_.front());
  flights_.erase(flights_.begin());
  if (may_fail && pick(60) == 0) {
    ++counts.failed;
    for (Slot slot = 0; slot < setup_.slots; ++slot)
      if (seqs_[slot].live && !seqs_[slot].executor.empty()) yield(slot, 0);
    flights_.insert(flights_.begin(), flight);
    for (const Flight& lost : flights_) {
      model_fail(lost.step);
      rig.cache.failed(lost.step);
    }
    flights_.clear();
    return;
  }
  rig.cache.filled(flight.step);
  for (auto& [path, at] : cached_)
    if (at.filling == flight.step) at.filling = 0;
  for (const Row& row : flight.rows) {
    Seq& seq = seqs_[row.slot];
    if (seq.life != row.life) continue;
    for (std::uint32_t i = std::max(seq.prompt, row.before) / kBlockTokens; i < row.after / kBlockTokens;
         ++i) {
      if (!seq.transient && i == seq.path) ++seq.path;
      if (!seq.transient) model_settle(seq, row.slot, i + 1, i + 1);
      rig.cache.index_generated(
          row.slot, i, std::span(seq.tokens).subspan(std::size_t{i} * kBlockTokens, kBlockTokens), rig.now);
      drain();
      want(rig.cache.indexed(row.slot) == seq.indexed, "index_generated reached other than the model");
      ++counts.settled;
    }
  }
}

}  // namespace serveloop::kv::test
