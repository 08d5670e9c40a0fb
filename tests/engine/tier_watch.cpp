#include "tier_watch.hpp"

#include <algorithm>

namespace serveloop::test {

TierWatch::TierWatch(World& world, std::uint32_t device_blocks)
    : world_(world), device_blocks_(device_blocks) {
  world.watched_executor().submitted = [this](const execute::Batch& batch) { submitted(batch); };
  world.watched_executor().collected = [this](const execute::Collected& done) { collected(done); };
}

void TierWatch::yields(const std::map<sl_seq, std::uint32_t>& movable) {
  for (const auto& [seq, blocks] : movable) {
    to_move_[seq] = blocks;
    for (const kv::BlockId block : world_.engine().cache().table(SL_SEQ_SLOT(seq))) yielding_[block] = seq;
  }
}

sl_seq TierWatch::holder_of(std::uint32_t block) const {
  for (const requests::Slot slot : world_.engine().requests().live_slots())
    for (const kv::BlockId held : world_.engine().cache().table(slot))
      if (held == block) return world_.engine().requests().row(slot).id;
  return 0;
}

// In the order of a path those of one sequence come last block first.
void TierWatch::submitted(const execute::Batch& batch) {
  submitted_ = true;
  std::set<sl_seq> arriving;
  for (const execute::BlockCopy& copy : batch.copies) {
    const auto id = [&](std::uint32_t block, std::uint8_t tier) {
      return tier == SL_TIER_HOST ? block + device_blocks_ : block;
    };
    Pending pending{id(copy.from, copy.from_tier), id(copy.to, copy.to_tier), 0};
    BOOST_REQUIRE_NE(pending.out(), copy.from_tier == SL_TIER_HOST);
    if (pending.out()) {
      copies_.insert({pending.from, pending.to});
      untold_.insert(pending.to);
      const auto found = yielding_.find(pending.from);
      if (found != yielding_.end()) {
        pending.seq = found->second;
        Away& away = away_[pending.seq];
        away.swapped = true;
        away.host.insert(away.host.begin(), pending.to);
        ++away.leaving, ++moved_[pending.seq];
      }
    } else {
      pending.seq = holder_of(pending.to);
      BOOST_REQUIRE_NE(pending.seq, 0u);
      ++away_[pending.seq].arriving;
      arriving.insert(pending.seq);
    }
    pending_.push_back(pending);
  }
  for (const sl_seq seq : arriving) {
    ++(away_[seq].swapped ? counts_.in : counts_.prefetched);
    away_[seq].swapped = false;
    away_[seq].host.clear();
    due_.push_back({SL_EV_IN_TRANSIT, seq, 0, 0});
  }
}

void TierWatch::collected(const execute::Collected& done) {
  for (; copies_ended_ < done.copies_ended; ++copies_ended_) {
    const Pending copy = pending_.front();
    pending_.pop_front();
    ended(copy);
  }
}

void TierWatch::ended(const Pending& copy) {
  if (copy.seq == 0) return;
  Away& away = away_.at(copy.seq);
  std::uint32_t& left = copy.out() ? away.leaving : away.arriving;
  if (--left > 0 || !world_.engine().requests().alive(copy.seq)) return;
  const std::size_t blocks =
      copy.out() ? away.host.size() : world_.engine().cache().table(SL_SEQ_SLOT(copy.seq)).size();
  due_.push_back(
      {SL_EV_TRANSFERRED, copy.seq, blocks, std::uint64_t{copy.out() ? SL_TIER_HOST : SL_TIER_DEVICE}});
}

void TierWatch::hear_blocks(const Facts& call, const std::string& at) {
  for (std::uint64_t i = 0; i < number(call, at + ".count"); ++i) {
    const std::string event = item(at, i);
    const auto of = [&](const char* field) { return number(call, event + field); };
    const auto block = static_cast<std::uint32_t>(of(".block")),
               from = static_cast<std::uint32_t>(of(".from"));
    BOOST_REQUIRE_EQUAL(of(".tier"), tier_of(block));
    switch (of(".kind")) {
      case SL_BLOCK_INSERTED:
        BOOST_REQUIRE_EQUAL(of(".tier"), SL_TIER_DEVICE);
        BOOST_REQUIRE(cached_.insert({block, {of(".key"), of(".parent_key")}}).second);
        break;
      case SL_BLOCK_MOVED: {
        BOOST_REQUIRE_NE(tier_of(from), tier_of(block));
        const auto was = cached_.extract(from);
        BOOST_REQUIRE(!was.empty());
        BOOST_REQUIRE_EQUAL(of(".key"), was.mapped().key);
        BOOST_REQUIRE(cached_.insert({block, was.mapped()}).second);
        if (tier_of(block) == SL_TIER_HOST) BOOST_REQUIRE(moves_.insert({from, block}).second);
        leaves_host(from);
        untold_.erase(block);
        ++(tier_of(block) == SL_TIER_HOST ? counts_.demoted : counts_.promoted);
        break;
      }
      case SL_BLOCK_GONE:
        BOOST_REQUIRE_EQUAL(cached_.erase(block), 1u);
        leaves_host(block);
        break;
      default: BOOST_REQUIRE(cached_.contains(block)); break;
    }
    if (of(".kind") != SL_BLOCK_MOVED) BOOST_REQUIRE_EQUAL(from, 0u);
  }
}

void TierWatch::hear_transfers(const Facts& view) {
  for (std::uint64_t i = 0; i < number(view, ".events.count"); ++i) {
    const std::string at = item(".events", i);
    const Due told{static_cast<std::uint16_t>(number(view, at + ".kind")), number(view, at + ".subject"),
                   number(view, at + ".a"), number(view, at + ".b")};
    if (told.kind != SL_EV_IN_TRANSIT && told.kind != SL_EV_TRANSFERRED) continue;
    const auto found = std::find(due_.begin(), due_.end(), told);
    if (found != due_.end()) {
      due_.erase(found);
      continue;
    }
    // It was all there without a copy.
    BOOST_REQUIRE_EQUAL(told.kind, SL_EV_TRANSFERRED);
    BOOST_REQUIRE_EQUAL(told.blocks, 0u);
    BOOST_REQUIRE_EQUAL(told.tier, SL_TIER_DEVICE);
    Away& away = away_[told.seq];
    away.swapped = false;
    away.host.clear();
  }
  for (const Due& due : due_)
    BOOST_REQUIRE_MESSAGE(!world_.engine().requests().alive(due.seq), "not told: kind "
                                                                          << due.kind << ", " << due.blocks
                                                                          << " blocks, tier " << due.tier);
  due_.clear();
}

void TierWatch::end_step() {
  if (!std::exchange(submitted_, false)) return;  // what it moves goes out with a later step's batch
  for (auto copy = copies_.begin(); copy != copies_.end();)
    copy = moves_.erase(*copy) > 0 || yielding_.contains(copy->first) ? copies_.erase(copy) : std::next(copy);
  for (const auto& [seq, blocks] : to_move_) {
    const auto found = moved_.find(seq);
    if (found == moved_.end()) continue;  // the host had no room any more
    BOOST_REQUIRE_EQUAL(found->second, blocks);
    ++counts_.out;
  }
  yielding_.clear(), to_move_.clear(), moved_.clear();
}

void TierWatch::end() const {
  BOOST_REQUIRE(copies_.empty());
  BOOST_REQUIRE(moves_.empty());
  BOOST_REQUIRE(pending_.empty());
}

bool TierWatch::all_sent() const { return const_cast<kv::Cache&>(world_.engine().cache()).copies().empty(); }

const TierWatch::Away& TierWatch::away(sl_seq seq) const {
  static const Away nothing;
  const auto found = away_.find(seq);
  return found == away_.end() ? nothing : found->second;
}

bool TierWatch::copying(std::uint32_t block) const {
  return std::any_of(pending_.begin(), pending_.end(),
                     [&](const Pending& copy) { return copy.from == block || copy.to == block; });
}

std::uint32_t TierWatch::in_transit(std::uint16_t tier) const {
  std::set<std::uint32_t> blocks;
  for (const Pending& copy : pending_) blocks.insert({copy.from, copy.to});
  return static_cast<std::uint32_t>(std::count_if(
      blocks.begin(), blocks.end(), [&](std::uint32_t block) { return tier_of(block) == tier; }));
}

// Its place in the tree is another block's now, or nobody's: whoever held it there has one less.
void TierWatch::leaves_host(std::uint32_t block) {
  if (untold_.contains(block)) return;  // told of who was there before
  for (auto& [seq, away] : away_) counts_.fewer += static_cast<int>(std::erase(away.host, block));
}

bool TierWatch::held_in_host(std::uint32_t block) const {
  return std::any_of(away_.begin(), away_.end(), [&](const auto& of) {
    return world_.engine().requests().alive(of.first) &&
           std::find(of.second.host.begin(), of.second.host.end(), block) != of.second.host.end();
  });
}

bool TierWatch::in_a_table(std::uint32_t block) const { return holder_of(block) != 0; }

std::uint32_t TierWatch::children(std::uint32_t block, std::uint16_t tier) const {
  const auto found = cached_.find(block);
  if (found == cached_.end()) return 0;
  return static_cast<std::uint32_t>(std::count_if(cached_.begin(), cached_.end(), [&](const auto& other) {
    return other.second.parent_key == found->second.key && tier_of(other.first) == tier;
  }));
}

std::uint32_t TierWatch::movable(const Facts& view, std::uint32_t slot) const {
  const std::string row = item(".seqs", slot);
  const auto of = [&](const char* field) { return static_cast<std::uint32_t>(number(view, row + field)); };
  if (of(".in_flight_max") > 0 && of(".tokens_left") == 0) return 0;  // it ends with the token in flight
  const std::span<const kv::BlockId> table = world_.engine().cache().table(slot);
  std::uint32_t end = std::min<std::uint32_t>((of(".computed") + kBlockTokens - 1) / kBlockTokens,
                                              static_cast<std::uint32_t>(table.size()));
  for (std::uint32_t i = end; i-- > 0;)
    if (number(view, item(".blocks", table[i]) + ".flags") & SL_BLOCK_FLAG_FILLING) end = i;
  std::uint32_t moved = 0;
  for (std::size_t i = table.size(); i-- > 0;) {
    std::uint32_t holders = 0;
    for (const requests::Slot other : world_.engine().requests().live_slots()) {
      const std::span<const kv::BlockId> held = world_.engine().cache().table(other);
      holders += std::find(held.begin(), held.end(), table[i]) != held.end() ? 1 : 0;
    }
    const bool own_below = i + 1 < table.size() && cached_.contains(table[i + 1]);
    if (holders > 1 || children(table[i], SL_TIER_DEVICE) > (own_below ? 1u : 0u)) break;
    moved += i < end ? 1 : 0;
  }
  return moved;
}

}  // namespace serveloop::test
