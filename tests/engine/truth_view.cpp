// Truths of a view beside its tables, and of the events in it.
#include <algorithm>

#include "truths.hpp"

namespace serveloop::test {

namespace {

const Truth<Scene> kView[] = {
    TRUTH(struct_size, sizeof(sl_view)),
    TRUTH(epoch, c.epoch),  // swaps of any kind
    TRUTH(step, c.witness.step()),
    TRUTH(now_ns, c.witness.now_ns()),
    TRUTH(seed, c.setting.seed),
    TRUTH(last_step_ns, c.witness.last_step_ns()),
    TRUTH(lag, c.setting.lag),
    TRUTH(block_tokens, kBlockTokens),
    TRUTH(token_budget, c.setting.token_budget),
    TRUTH(max_sequences, c.setting.max_sequences),
    TRUTH(mode, c.mode),
    TRUTH(waiting, c.witness.waiting()),
    TRUTH(running_count, c.witness.running().size()),
    TRUTH(gates, c.setting.gates.size()),
};

struct TierCase {
  std::uint32_t total, free, evictable;
};
const Truth<TierCase> kTier[] = {
    TRUTH(total, c.total),
    TRUTH(free, c.free),
    TRUTH(evictable, c.evictable),
    TRUTH(in_transit, 0),
};

// By the sequences' tables and by who is in the tree.
TierCase device(const Scene& scene) {
  std::set<kv::BlockId> held;
  for (const requests::Slot slot : scene.world.engine().requests().live_slots())
    for (const kv::BlockId block : scene.world.engine().cache().table(slot)) held.insert(block);
  TierCase tier{scene.setting.blocks, 0, 0};
  for (std::uint32_t block = 0; block < tier.total; ++block) {
    if (held.contains(block)) continue;
    const bool cached = number(scene.view, item(".blocks", block) + ".key") != 0;
    ++(cached ? tier.evictable : tier.free);
  }
  return tier;
}

struct Told {
  std::uint64_t kind, flags, node, subject, a, b;
};

Told event_at(const Facts& view, std::uint64_t i) {
  const std::string at = item(".events", i);
  const auto of = [&](const char* field) { return number(view, at + field); };
  return {of(".kind"), of(".flags"), of(".node"), of(".subject"), of(".a"), of(".b")};
}

bool may_fall_for(std::uint64_t reason) {
  return reason == SL_REASON_MEMORY || reason == SL_REASON_SLOTS || reason == SL_REASON_COPY_PENDING;
}

bool is(const Due& due, const Told& told) {
  const std::uint64_t subject = due.seq != nullptr ? due.seq->id : due.subject;
  const bool a = due.kind == SL_EV_FELL ? may_fall_for(told.a) : due.a == told.a;
  return due.kind == told.kind && subject == told.subject && a && due.b == told.b;
}

// Nodes that something was told of.
std::set<std::uint64_t> check_node_event(const Scene& scene, const Told& told) {
  BOOST_REQUIRE_EQUAL(told.subject, 0u);
  BOOST_REQUIRE_LT(told.node, number(scene.view, ".nodes.count"));
  if (told.kind != SL_EV_SPLIT) {
    BOOST_REQUIRE_EQUAL(told.a, 0u);
    BOOST_REQUIRE_EQUAL(told.b, 0u);
    return {told.node};
  }
  BOOST_REQUIRE_LT(told.a, number(scene.view, ".nodes.count"));
  BOOST_REQUIRE_GE(told.b, 1u);
  return {told.node, told.a};
}

}  // namespace

void check_cost(const Facts& facts, const std::string& at, const sl_cost& cost) {
  const auto is = [&](const char* field, double value) {
    BOOST_REQUIRE_EQUAL(std::stod(facts.at(at + field)), value);
  };
  BOOST_REQUIRE_EQUAL(number(facts, at + ".struct_size"), sizeof(sl_cost));
  is(".step_fixed_ns", cost.step_fixed_ns);
  is(".decode_sequence_ns", cost.decode_sequence_ns), is(".decode_context_ns", cost.decode_context_ns);
  is(".prefill_token_ns", cost.prefill_token_ns), is(".prefill_context_ns", cost.prefill_context_ns);
  is(".swap_fixed_ns", cost.swap_fixed_ns), is(".swap_block_ns", cost.swap_block_ns);
  is(".prefill_step_ns", cost.prefill_step_ns), is(".decode_token_ns", cost.decode_token_ns);
  is(".overlap", cost.overlap);
}

void check_view(const Scene& scene) {
  check_row<Scene>(scene.view, "", scene, kView);
  check_row<TierCase>(scene.view, ".tier[0]", device(scene), kTier);
  check_row<TierCase>(scene.view, ".tier[1]", TierCase{}, kTier);
  check_cost(scene.view, ".cost", scene.world.limits().cost);
  const std::vector<const Witnessed*>& running = scene.witness.running();
  BOOST_REQUIRE_EQUAL(number(scene.view, ".running.count"), running.size());
  BOOST_REQUIRE_EQUAL(number(scene.view, ".running.stride"), sizeof(std::uint32_t));
  for (std::size_t i = 0; i < running.size(); ++i)
    BOOST_REQUIRE_EQUAL(number(scene.view, item(".running", i)), SL_SEQ_SLOT(running[i]->id));
  for (const auto& [table, stride] : std::map<std::string, std::size_t>{{".requests", sizeof(sl_request_row)},
                                                                        {".nodes", sizeof(sl_node_row)},
                                                                        {".blocks", sizeof(sl_block_row)},
                                                                        {".events", sizeof(sl_event)}})
    BOOST_REQUIRE_EQUAL(number(scene.view, table + ".stride"), stride);
}

// What was due is told once each; what was told of sequences was due. Of nodes: whatever changed since the
// last view was told.
void check_events(const Scene& scene, std::vector<Due> due, const Facts& before) {
  std::set<std::uint64_t> nodes;
  for (std::uint64_t i = 0; i < number(scene.view, ".events.count"); ++i) {
    const Told told = event_at(scene.view, i);
    BOOST_REQUIRE_EQUAL(told.flags, 0u);
    if (told.kind == SL_EV_NODE_CHANGED || told.kind == SL_EV_NODE_GONE || told.kind == SL_EV_SPLIT) {
      nodes.merge(check_node_event(scene, told));
      continue;
    }
    BOOST_REQUIRE_EQUAL(told.node, SL_NONE);
    const auto found = std::find_if(due.begin(), due.end(), [&](const Due& d) { return is(d, told); });
    BOOST_REQUIRE_MESSAGE(found != due.end(), "an event that was not due: kind "
                                                  << told.kind << ", subject " << told.subject << ", a "
                                                  << told.a << ", b " << told.b);
    due.erase(found);
  }
  for (const Due& d : due) BOOST_ERROR("not told: kind " << d.kind << ", a " << d.a << ", b " << d.b);
  if (before.empty()) return;
  for (std::uint64_t node = 0; node < number(before, ".nodes.count"); ++node)
    for (const char* field : {".parent", ".device_blocks", ".waiting"}) {
      const std::string path = item(".nodes", node) + field;
      BOOST_REQUIRE_MESSAGE(before.at(path) == scene.view.at(path) || nodes.contains(node) ||
                                (path.ends_with(".parent") && nodes.contains(number(scene.view, path))),
                            path << " changed and was not told");
    }
}

}  // namespace serveloop::test
