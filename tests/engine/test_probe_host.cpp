// What policies read of a host tier, field by field: probe plugins tell all that reached them, after each call. Who knows the
// truth is in tier_watch.hpp. Every field that docs/PLUGINS.md lists as "device only" is filled here.
#include <serveloop/cost.h>

#include <boost/test/unit_test.hpp>

#include "tier_watch.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint32_t kBlocks = 22;

Setting setting_of(std::uint32_t lag, std::uint32_t host_blocks) {
  Setting s;
  s.scheduler = "probe-scheduler", s.eviction = "probe-eviction", s.preemption = "probe-preemption";
  s.blocks = kBlocks;
  s.host_blocks = host_blocks;
  s.swap_block_ns = kSlowCopy;
  s.token_budget = 32;
  s.max_sequences = 8;
  s.lag = lag;
  return s;
}

std::vector<Ask> asks_of() {
  std::vector<Ask> asks = mixed_asks(80, 3, 70);
  for (std::size_t i = 0; i < asks.size(); ++i) asks[i].at_step = 2 * i;
  return asks;
}

class HostProbed {
 public:
  HostProbed(std::uint32_t lag, std::uint32_t host_blocks)
      : setting_(setting_of(lag, host_blocks)), world_(setting_, asks_of()), tiers_(world_, kBlocks) {
    world_.watched().watch = [this](Phase phase) {
      if (phase == Phase::policy) asked();
    };
  }
  TierWatch::Counts run(Seen& seen);

 private:
  void asked();
  void planned(const Facts& facts);
  void evicted(const Facts& facts);
  void preempted(const Facts& facts);
  void check_sequences(const Facts& view) const;
  void check_tiers(const Facts& view) const;
  void check_blocks(const Facts& view) const;
  void check_nodes(const Facts& view) const;

  Setting setting_;
  World world_;
  TierWatch tiers_;
  Seen* seen_ = nullptr;
  Calls calls_;
  std::set<std::uint32_t> movable_;  // of those who yielded in this step
  int checked_ = 0, room_asked_ = 0;
};

TierWatch::Counts HostProbed::run(Seen& seen) {
  seen_ = &seen;
  bool more = true;
  for (std::uint64_t step = 0; more && step < 5000; ++step) {
    BOOST_TEST_INFO_SCOPE("lag " << setting_.lag << ", " << setting_.host_blocks << " host blocks, step "
                                 << step);
    movable_.clear();
    more = world_.one_step();
    asked();
    const engine::Policies& p = world_.engine().policies();
    if (calls_.is_new("note", *p.eviction)) {
      const Facts facts = account_of(*p.eviction);
      seen_->add(facts);
      tiers_.hear_blocks(facts, "note.events");
    }
    tiers_.end_step();
  }
  BOOST_REQUIRE(!more);
  tiers_.end();
  check_idle(world_);
  BOOST_CHECK(world_.counters().fallbacks.empty());
  BOOST_CHECK_GE(checked_, 200);
  if (setting_.host_blocks < kBlocks) BOOST_CHECK_GE(room_asked_, 1);
  return tiers_.counts();
}

void HostProbed::asked() {
  const engine::Policies& p = world_.engine().policies();
  if (calls_.is_new("plan", *p.scheduler)) planned(account_of(*p.scheduler));
  if (calls_.is_new("evict", *p.eviction)) evicted(account_of(*p.eviction));
  if (calls_.is_new("preempt", *p.preemption)) preempted(account_of(*p.preemption));
}

// Before anything of its step took effect.
void HostProbed::planned(const Facts& facts) {
  seen_->add(facts);
  BOOST_REQUIRE_EQUAL(number(facts, "create.blocks[1]"), setting_.host_blocks);
  const Facts view = below(facts, "plan.view");
  tiers_.hear_transfers(view);
  if (!tiers_.all_sent()) return;  // the executor does not know of some copies yet
  ++checked_;
  check_sequences(view), check_tiers(view), check_blocks(view), check_nodes(view);
}

void HostProbed::check_sequences(const Facts& view) const {
  for (std::uint32_t slot = 0; slot < number(view, ".seqs.count"); ++slot) {
    const std::string at = item(".seqs", slot);
    const std::uint64_t state = number(view, at + ".state");
    if (state == SL_FREE || state == SL_ENDED) continue;
    const TierWatch::Away& away = tiers_.away(number(view, at + ".id"));
    BOOST_REQUIRE_EQUAL(number(view, at + ".blocks_host"), away.host.size());
    BOOST_REQUIRE_EQUAL(state == SL_SWAPPED, away.swapped);
    BOOST_REQUIRE_EQUAL((number(view, at + ".not_ready") & SL_NOT_READY_TRANSFER) != 0,
                        away.leaving + away.arriving > 0);
    if (away.arriving > 0) BOOST_REQUIRE_EQUAL(state, SL_RESERVED);
  }
}

void HostProbed::check_tiers(const Facts& view) const {
  std::uint32_t free[2] = {}, evictable[2] = {};
  for (std::uint32_t block = 0; block < kBlocks + setting_.host_blocks; ++block) {
    const std::uint16_t tier = tiers_.tier_of(block);
    const bool cached = tiers_.cached().contains(block);
    const bool used = tier == SL_TIER_HOST ? tiers_.held_in_host(block) : tiers_.in_a_table(block);
    if (used || tiers_.copying(block)) continue;
    ++(cached ? evictable : free)[tier];
  }
  for (const std::uint16_t tier : {SL_TIER_DEVICE, SL_TIER_HOST}) {
    const std::string at = item(".tier", tier);
    BOOST_REQUIRE_EQUAL(number(view, at + ".total"), tier == SL_TIER_HOST ? setting_.host_blocks : kBlocks);
    BOOST_REQUIRE_EQUAL(number(view, at + ".in_transit"), tiers_.in_transit(tier));
    BOOST_REQUIRE_EQUAL(number(view, at + ".free"), free[tier]);
    BOOST_REQUIRE_EQUAL(number(view, at + ".evictable"), evictable[tier]);
  }
}

void HostProbed::check_blocks(const Facts& view) const {
  BOOST_REQUIRE_EQUAL(number(view, ".blocks.count"), kBlocks + setting_.host_blocks);
  for (std::uint32_t block = 0; block < kBlocks + setting_.host_blocks; ++block) {
    const std::string at = item(".blocks", block);
    const auto cached = tiers_.cached().find(block);
    const bool copying = tiers_.copying(block), held = tiers_.held_in_host(block);
    const bool used = copying || held || tiers_.in_a_table(block) || cached != tiers_.cached().end();
    BOOST_REQUIRE_EQUAL(number(view, at + ".tier"),
                        used ? tiers_.tier_of(block) : std::uint16_t{SL_TIER_NONE});
    BOOST_REQUIRE_EQUAL(number(view, at + ".key"), cached == tiers_.cached().end() ? 0 : cached->second.key);
    BOOST_REQUIRE_EQUAL((number(view, at + ".flags") & SL_BLOCK_FLAG_COPYING) != 0, copying);
    BOOST_REQUIRE_EQUAL(number(view, at + ".cached_children"), tiers_.children(block, tiers_.tier_of(block)));
    BOOST_REQUIRE_EQUAL(number(view, at + ".host_children"), tiers_.children(block, SL_TIER_HOST));
    if (tiers_.tier_of(block) == SL_TIER_HOST)
      BOOST_REQUIRE_EQUAL(number(view, at + ".refs"), (held ? 1u : 0u) + (copying ? 1u : 0u));
  }
}

// Each cached block stands in one node, in device*, host*, none* along its edge.
void HostProbed::check_nodes(const Facts& view) const {
  std::map<std::uint64_t, std::uint32_t> blocks[2];
  for (const auto& [block, cached] : tiers_.cached()) {
    const std::uint64_t node = number(view, item(".blocks", block) + ".node");
    ++blocks[tiers_.tier_of(block)][node];
    const std::string at = item(".nodes", node);
    const std::uint64_t offset =
        number(view, item(".blocks", block) + ".depth") - number(view, at + ".depth_blocks");
    BOOST_REQUIRE_EQUAL(offset < number(view, at + ".device_blocks"),
                        tiers_.tier_of(block) == SL_TIER_DEVICE);
  }
  for (std::uint64_t node = 0; node < number(view, ".nodes.count"); ++node) {
    BOOST_REQUIRE_EQUAL(number(view, item(".nodes", node) + ".device_blocks"), blocks[SL_TIER_DEVICE][node]);
    BOOST_REQUIRE_EQUAL(number(view, item(".nodes", node) + ".host_blocks"), blocks[SL_TIER_HOST][node]);
  }
}

// Room in host memory is asked for what one is about to move there, and ahead of need for what the plan lacks.
void HostProbed::evicted(const Facts& facts) {
  seen_->add(facts);
  tiers_.hear_blocks(facts, "evict.events");
  const Facts view = below(facts, "evict.view");
  const std::uint64_t need = number(facts, "evict.need[0]"), ahead = number(facts, "evict.ahead[0]"),
                      host_need = number(facts, "evict.need[1]"),
                      host_ahead = number(facts, "evict.ahead[1]");
  if (host_need > 0) {
    ++room_asked_;
    const std::uint64_t room = host_need + number(view, ".tier[1].free");
    BOOST_REQUIRE(movable_.contains(static_cast<std::uint32_t>(room)));
    BOOST_REQUIRE_LE(host_need, number(view, ".tier[1].evictable"));
  }
  BOOST_REQUIRE_GE(ahead, need);
  BOOST_REQUIRE_GE(host_ahead, host_need);
  if (ahead == need) return;
  // Of what the next steps lack on the device, decodes will ask for a part; what the plan itself lacks is made up by what can
  // leave the cache, and for the rest somebody yields.
  const std::uint64_t soon = (number(view, ".running_count") * 4 + kBlockTokens - 1) / kBlockTokens;
  const std::uint64_t lacks = ahead - std::min(ahead, soon), can_leave = number(view, ".tier[0].evictable");
  BOOST_REQUIRE_EQUAL(host_ahead, std::max(host_need, lacks - std::min(lacks, can_leave)));
}

void HostProbed::preempted(const Facts& facts) {
  seen_->add(facts);
  const Facts view = below(facts, "preempt.view");
  std::map<sl_seq, std::uint32_t> movable, yields;
  const std::uint64_t room = number(view, ".tier[1].free") + number(view, ".tier[1].evictable");
  for (std::uint64_t i = 0; i < number(facts, "preempt.candidates.count"); ++i) {
    const std::string at = item("preempt.candidates", i);
    const sl_seq seq = number(facts, at + ".seq");
    movable[seq] = tiers_.movable(view, SL_SEQ_SLOT(seq));
    const std::uint32_t swap = movable[seq] > 0 && movable[seq] <= room ? SL_CAN_SWAP : 0;
    BOOST_REQUIRE_EQUAL(number(facts, at + ".can"), SL_CAN_RECOMPUTE | SL_CAN_KEEP | swap);
    const auto frees = static_cast<std::uint32_t>(number(facts, at + ".frees"));
    const auto swap_ns = static_cast<std::uint64_t>(sl_predict_swap_ns(&world_.limits().cost, frees));
    BOOST_REQUIRE_EQUAL(number(facts, at + ".swap_ns"), swap_ns);
    BOOST_REQUIRE_EQUAL(tiers_.away(seq).leaving + tiers_.away(seq).arriving, 0u);
  }
  for (std::size_t i = 0; facts.contains(item("preempt.yield", i) + ".seq"); ++i) {
    const std::string at = item("preempt.yield", i);
    if (!facts.contains(at + ".swaps")) continue;
    const sl_seq seq = number(facts, at + ".seq");
    yields[seq] = movable.at(seq);
    movable_.insert(movable.at(seq));
  }
  tiers_.yields(yields);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(probe_plugins)

BOOST_AUTO_TEST_CASE(every_field_of_a_host_tier_is_the_truth) {
  Seen seen;
  TierWatch::Counts all;
  for (const std::uint32_t lag : {0u, 1u})
    for (const std::uint32_t host_blocks : {10u, 200u}) {
      const TierWatch::Counts c = HostProbed(lag, host_blocks).run(seen);
      all.out += c.out, all.in += c.in, all.prefetched += c.prefetched;
      all.demoted += c.demoted, all.promoted += c.promoted, all.fewer += c.fewer;
      BOOST_TEST_MESSAGE("lag " << lag << ", " << host_blocks << " host blocks: " << c.out << " out, " << c.in
                                << " in, " << c.prefetched << " prefetched, " << c.demoted << " demoted, "
                                << c.promoted << " promoted, " << c.fewer << " fewer");
    }
  for (const int count : {all.out, all.in, all.prefetched, all.demoted, all.promoted})
    BOOST_CHECK_GE(count, 20);
  BOOST_CHECK_GE(all.fewer, 1);
  check_filled_by_host_tier(seen);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
