// Truths of sequences: rows, cold rows, and candidates for preemption.
#include <serveloop/cost.h>

#include <algorithm>

#include "truths.hpp"

namespace serveloop::test {

namespace {

struct SequenceCase {
  const Scene& scene;
  const Witnessed& s;
  std::string at;

  std::uint64_t of(const char* field) const { return number(scene.view, at + "." + field); }
  std::uint32_t covered() const {  // tokens that have KV or get it
    return static_cast<std::uint32_t>(of("computed")) + s.in_flight_tokens();
  }
  // What a plan's entry hit may be its own before it runs: whole blocks, where all it holds are whole.
  std::uint64_t computed(std::uint64_t read) const {
    const bool hit = read > s.computed && (read - s.computed) % kBlockTokens == 0 &&
                     (s.computed + s.in_flight_tokens()) % kBlockTokens == 0;
    return hit && ((scene.amid && !s.ended) || s.kept_hits) ? read : s.computed;
  }
  std::uint32_t left() const { return s.prompt_tokens + s.max_tokens - 1 - covered(); }
  std::uint64_t runnable(std::uint64_t read) const {
    const std::uint32_t known = s.known() + s.in_flight_samples() - covered();
    if (s.ended && read == known) return read;  // with its last token, which never runs
    return std::min(known, left());
  }
  std::uint64_t blocks(std::uint64_t read) const {
    if (s.ended) return read;  // gave all back; the row keeps its last count until its end was told
    return (covered() + kBlockTokens - 1) / kBlockTokens;
  }
  // What had KV: its own, and what the cache had of it when it came. Hits of entries that fell count.
  std::uint64_t high_water(std::uint64_t read) const {
    const bool hits = read > s.high_water && (read - s.high_water) % kBlockTokens == 0;
    return (scene.amid || scene.witness.fell_once(s)) && hits ? read : s.high_water;
  }
  std::uint64_t request(std::uint64_t read) const {
    return number(scene.view, item(".requests", read) + ".request") == s.request ? read : SL_NONE;
  }
  // Its path: as many blocks as it must have.
  std::uint64_t node(std::uint64_t read) const {
    const std::uint32_t path = scene.witness.path_blocks(s);
    if (path == 0 || read == SL_NONE) return SL_NONE;
    const std::string node = item(".nodes", read);
    const std::uint64_t end =
        number(scene.view, node + ".depth_blocks") + number(scene.view, node + ".edge_blocks");
    return s.ended || end == path ? read : SL_NONE;  // an ended one's node may be gone
  }
};

const Truth<SequenceCase> kSequence[] = {
    TRUTH(id, c.s.id),
    TRUTH(request, c.request(read)),
    TRUTH(fork, c.s.key.second),
    TRUTH(node, c.node(read)),
    TRUTH(state, c.s.state()),
    TRUTH(not_ready, c.s.not_ready()),
    TRUTH(computed, c.computed(read)),
    TRUTH(in_flight_min, c.s.in_flight_tokens()),
    TRUTH(in_flight_max, c.s.in_flight_tokens()),
    TRUTH(generated, c.s.generated),
    TRUTH(tokens_left, c.left()),
    TRUTH(blocks_device, c.blocks(read)),
    TRUTH(blocks_host, 0),
    TRUTH(high_water, c.high_water(read)),
    TRUTH(preemptions, c.s.preemptions),
    TRUTH(runnable, c.runnable(read)),
};

const Truth<SequenceCase> kCold[] = {
    TRUTH(ready_ns, c.s.ready_ns),
    TRUTH(admitted_ns, c.s.admitted_ns),
    TRUTH(first_token_ns, c.s.first_token_ns),
    TRUTH(last_token_ns, c.s.last_token_ns),
    TRUTH(service_ns, c.s.service_ns),
    TRUTH(last_step, c.s.last_step),  // of its last batch that came back
    TRUTH(wake_ns, c.s.ungated ? SL_NEVER : c.s.wake_ns),
    TRUTH(pause_until_ns, c.s.pause_until_ns),
};

struct CandidateCase {
  const Scene& scene;
  const Witnessed& s;
  std::uint32_t frees;
  std::uint64_t for_seq;
  std::uint32_t rank_in_plan;  // SL_NONE: not in it

  const sl_cost& cost() const { return scene.world.limits().cost; }
};

const Truth<CandidateCase> kCandidate[] = {
    TRUTH(seq, c.s.id != c.for_seq && !c.s.ended ? c.s.id : 0),
    TRUTH(frees, c.frees),
    TRUTH(recompute_tokens, c.s.known()),
    // Entries that fell at once have no rank: so it may be less than the place in the plan.
    TRUTH(plan_rank, c.rank_in_plan == SL_NONE || read > c.rank_in_plan ? c.rank_in_plan : read),
    TRUTH(can, SL_CAN_RECOMPUTE | SL_CAN_KEEP),
    TRUTH(recompute_ns, sl_predict_prefill_ns(&c.cost(), 0, c.s.known())),
    TRUTH(swap_ns, sl_predict_swap_ns(&c.cost(), c.frees)),
};

// Blocks that nobody else holds, by the tables.
std::uint32_t only_its_own(const World& world, sl_seq seq) {
  std::map<kv::BlockId, int> holders;
  for (const requests::Slot slot : world.engine().requests().live_slots())
    for (const kv::BlockId block : world.engine().cache().table(slot)) ++holders[block];
  std::uint32_t own = 0;
  for (const kv::BlockId block : world.engine().cache().table(SL_SEQ_SLOT(seq))) own += holders[block] == 1;
  return own;
}

}  // namespace

// Each sequence has one row, and each row in use is one of them. A slot's generation counts those who had it.
void name_sequences(const Facts& view, Witness& witness) {
  std::size_t rows = 0, due = 0;
  for (const auto& [key, s] : witness.sequences()) due += s.told ? 0 : 1;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Key> by_request;
  for (const auto& [key, s] : witness.sequences()) by_request[{s.request, key.second}] = key;
  for (std::uint32_t slot = 0; slot < number(view, ".seqs.count"); ++slot) {
    const std::string at = item(".seqs", slot);
    if (number(view, at + ".state") == SL_FREE) {
      for (auto it = view.lower_bound(at + "."); it != view.end() && it->first.starts_with(at + "."); ++it)
        BOOST_REQUIRE_MESSAGE(it->second == "0", it->first << " of a free row");
      continue;
    }
    ++rows;
    const std::uint64_t request = number(view, item(".requests", number(view, at + ".request")) + ".request");
    const auto found = by_request.find({request, number(view, at + ".fork")});
    BOOST_REQUIRE(found != by_request.end());
    const Witnessed& s = witness.sequences().at(found->second);
    BOOST_REQUIRE(!s.told);
    if (s.id != 0) continue;
    std::uint32_t before = 0;
    for (const auto& [key, other] : witness.sequences())
      before += other.id != 0 && SL_SEQ_SLOT(other.id) == slot ? 1 : 0;
    witness.name(found->second, (std::uint64_t{before + 1} << 32) | slot,
                 static_cast<std::uint32_t>(number(view, at + ".request")));
  }
  BOOST_REQUIRE_EQUAL(rows, due);
}

void check_sequences(const Scene& scene) {
  BOOST_REQUIRE_EQUAL(number(scene.view, ".seqs.stride"), sizeof(sl_seq_row));
  BOOST_REQUIRE_EQUAL(number(scene.view, ".seqs_cold.stride"), sizeof(sl_seq_cold_row));
  BOOST_REQUIRE_EQUAL(number(scene.view, ".seqs_cold.count"), number(scene.view, ".seqs.count"));
  for (const auto& [key, s] : scene.witness.sequences()) {
    if (s.told) continue;
    const std::uint32_t slot = SL_SEQ_SLOT(s.id);
    SequenceCase c{scene, s, item(".seqs", slot)};
    check_row<SequenceCase>(scene.view, c.at, c, kSequence);
    check_row<SequenceCase>(scene.view, item(".seqs_cold", slot), c, kCold);  // of a free slot: anything
  }
}

void check_candidates(const Scene& scene, const Facts& call, const std::vector<sl_seq>& plan) {
  const auto rank_of = [&](sl_seq seq) {
    const auto found = std::find(plan.begin(), plan.end(), seq);
    return found == plan.end() ? SL_NONE : static_cast<std::uint32_t>(found - plan.begin());
  };
  const std::uint64_t for_seq = number(call, "preempt.for_seq");
  const std::uint64_t count = number(call, "preempt.candidates.count");
  BOOST_REQUIRE_EQUAL(number(call, "preempt.candidates.stride"), sizeof(sl_candidate));
  BOOST_REQUIRE_NE(rank_of(for_seq), SL_NONE);
  std::uint64_t last = 0;
  std::set<sl_seq> named;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string at = item("preempt.candidates", i);
    const sl_seq seq = number(call, at + ".seq");
    BOOST_REQUIRE(named.insert(seq).second);
    Witnessed& s = *const_cast<Witness&>(scene.witness).find(seq);
    const CandidateCase c{scene, s, only_its_own(scene.world, seq), for_seq, rank_of(seq)};
    check_row<CandidateCase>(call, at, c, kCandidate);
    BOOST_REQUIRE(c.rank_in_plan == SL_NONE || c.rank_in_plan > rank_of(for_seq));
    BOOST_REQUIRE(i == 0 || number(call, at + ".plan_rank") > last || c.rank_in_plan == SL_NONE);
    last = number(call, at + ".plan_rank");
  }
  // All holders ranked below the entry in need, and none that holds nothing of its own.
  for (const auto& [key, s] : scene.witness.sequences()) {
    if (s.ended || s.id == 0 || s.id == for_seq || !s.holds) continue;
    const std::uint32_t rank = rank_of(s.id);
    const bool below = rank == SL_NONE || rank > rank_of(for_seq);
    BOOST_REQUIRE_EQUAL(named.contains(s.id), below && only_its_own(scene.world, s.id) > 0);
  }
}

}  // namespace serveloop::test
