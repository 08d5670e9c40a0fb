// What policies read, field by field, against the truth: probe plugins tell all that reached them, after each
// call.
#include <boost/test/unit_test.hpp>
#include <set>

#include "../probe/dump.hpp"
#include "facts.hpp"
#include "world.hpp"

namespace serveloop::test {

namespace {

using policy::Kind;
using What = engine::Message::What;
sl_cost cost_of(const World& world) {
  sl_cost cost = world.limits().cost;
  cost.struct_size = sizeof(sl_cost);
  return cost;
}

// The view as it must be, from the engine's own parts.
Facts true_view(World& world, const Setting& s) {
  const requests::Manager& requests = world.engine().requests();
  const kv::Cache& cache = world.engine().cache();
  const sl_cost cost = cost_of(world);
  sl_view v{};
  v.struct_size = sizeof(sl_view);
  v.epoch = static_cast<std::uint32_t>(world.counters().swaps);
  v.step = world.engine().steps();
  v.now_ns = world.clock().now_ns();
  v.seed = s.seed;
  v.lag = s.lag;
  v.block_tokens = kBlockTokens;
  v.token_budget = s.token_budget;
  v.max_sequences = s.max_sequences;
  v.waiting = requests.waiting_count();
  v.running_count = requests.running_count();
  v.gates = static_cast<std::uint32_t>(s.gates.size());
  v.tier[0] = cache.tier(SL_TIER_DEVICE);
  v.tier[1] = cache.tier(SL_TIER_HOST);
  v.seqs = requests.seq_table();
  v.seqs_cold = requests.cold_table();
  v.requests = requests.request_table();
  v.nodes = cache.node_table();
  v.blocks = cache.block_table();
  v.running = {nullptr, sizeof(std::uint32_t), 0};  // comparable() looks after it
  v.events = requests.events(world.engine().heard().scheduler);
  v.heap = requests.heap();
  v.cost = &cost;
  probe::Text text;
  probe::dump_view(text, "truth", sl::View(v));
  return below(parse(text.str()), "truth");
}

// Drops what true_view cannot know, after checking it in another way.
Facts comparable(Facts view, const World& world) {
  std::set<std::uint32_t> running;
  for (auto it = view.begin(); it != view.end();) {
    const bool is_running = it->first.starts_with(".running[") || it->first.starts_with(".running.");
    if (it->first.starts_with(".running[")) BOOST_REQUIRE(running.insert(std::stoul(it->second)).second);
    it = is_running || it->first == ".last_step_ns" ? view.erase(it) : std::next(it);
  }
  for (const std::uint32_t slot : running)
    BOOST_REQUIRE_EQUAL(world.engine().requests().row(slot).state, SL_RUNNING);
  if (view.contains(".running_count") && !running.empty())
    BOOST_REQUIRE_EQUAL(view.at(".running_count"), std::to_string(running.size()));
  return view;
}

// Requests with every label set, sharing prefixes, n > 1.
std::vector<Ask> labelled_asks() {
  std::vector<Ask> asks = mixed_asks(40, 3, 70);
  for (std::size_t i = 0; i < asks.size(); ++i) {
    requests::RequestSpec& s = asks[i].spec;
    const auto k = static_cast<std::uint32_t>(i);
    s.tenant = i % 2 == 0 ? "acme" : "zeta";
    s.category = i % 3 == 0 ? "chat" : "code";
    s.priority.reset();
    s.session = "session " + std::to_string(i), s.program = "program " + std::to_string(i % 4);
    s.parent = i + 1000, s.turn = k + 1;
    asks[i].at_step = 3 * i;
    s.ttft_deadline_ns = 1000000 + i, s.tbt_target_ns = 2000 + i, s.end_deadline_ns = 3600000000000 + i;
    s.predicted_p50 = k + 1, s.predicted_p90 = k + 2, s.predicted_p99 = k + 3;
    s.hints = {{i + 1, 0.5 + static_cast<double>(i)}, {i + 2, -1.0}};
    s.retention = {{8, 16, 50 + k, SL_TIER_HOST, 12345 + i}};
  }
  return asks;
}

Setting probed(std::uint32_t lag) {
  Setting s;
  s.scheduler = "probe-scheduler", s.eviction = "probe-eviction", s.preemption = "probe-preemption";
  s.gates = {{"hold", toml::Table{{"hold_us", 1500}}}};
  s.blocks = 22;
  s.token_budget = 32;
  s.max_sequences = 5;
  s.max_waiting = 200;
  s.lag = lag;
  s.tenants = {{"acme", {}, 2.0}, {"zeta", {}, 0.5}};
  requests::PriorityRule chat;
  chat.name = "chat", chat.category = "chat", chat.priority = 4, chat.service_class = 2;
  s.rules = {chat};
  return s;
}

class Probed {
 public:
  explicit Probed(std::uint32_t lag)
      : setting_(probed(lag)), asks_(labelled_asks()), world_(setting_, asks_) {
    world_.watched().watch = [this](Phase phase) { done(phase); };
  }
  void run(Seen& seen) {
    seen_ = &seen;
    world_.clock().wait_until(1000000);  // so that no time is 0
    for (int i = 0; i < 160; ++i) {
      if (i == 12) world_.tell(What::hint, world_.id_of(3), 77, 88);
      if (i == 14) world_.tell(What::pause, world_.id_of(4), 1234567);
      if (i == 40) world_.tell(What::resume, world_.id_of(4));
      if (i % 40 == 20) world_.swap(Kind::eviction, {"probe-eviction", {}});
      if (i == 30) world_.swap(Kind::scheduler, {"probe-scheduler", {}}), last_plan_ = "0";
      if (i == 35) world_.swap(Kind::preemption, {"probe-preemption", {}});
      world_.one_step();
      after_step();
    }
    world_.run();
    check_idle(world_);
    BOOST_CHECK_GT(compared_, 100);
    BOOST_CHECK(world_.counters().fallbacks.empty());
    BOOST_CHECK_GT(world_.counters().preemptions, 5u);
    BOOST_CHECK_GT(world_.counters().evicted_blocks, 5u);
  }

 private:
  // Right after the scheduler answered, before anything of the answer took effect: the tables are as it read
  // them.
  void done(Phase phase) {
    if (phase != Phase::policy) return;
    const Facts facts = account_of(*world_.engine().policies().scheduler);
    if (facts.at("calls.plan") == last_plan_ || !facts.contains("plan.view.step")) return;
    if (facts.at("plan.view.step") != std::to_string(world_.engine().steps())) return;
    last_plan_ = facts.at("calls.plan");
    seen_->add(facts);
    check_equal(comparable(below(facts, "plan.view"), world_),
                comparable(true_view(world_, setting_), world_));
    check_labels(facts);
    check_create(facts, Kind::scheduler);
    ++compared_;
  }

  void after_step() {
    const engine::Policies& p = world_.engine().policies();
    const Facts eviction = account_of(*p.eviction), preemption = account_of(*p.preemption);
    seen_->add(eviction);
    seen_->add(preemption);
    check_create(eviction, Kind::eviction);
    check_create(preemption, Kind::preemption);
    if (eviction.contains("evict.need[0]")) check_evict(eviction);
    if (preemption.contains("preempt.need")) check_preempt(preemption);
  }

  void check_labels(const Facts& f) {
    for (std::uint32_t i = 0; f.contains("plan.view.requests[" + std::to_string(i) + "].request"); ++i) {
      const std::string at = "plan.view.requests[" + std::to_string(i) + "]";
      if (f.at(at + ".live") == "0") continue;
      const std::size_t index = world_.ask_of(std::stoull(f.at(at + ".request")));
      const requests::RequestSpec& s = asks_[index].spec;
      const auto is = [&](const char* field, auto value) {
        BOOST_REQUIRE_EQUAL(f.at(at + field), std::to_string(value));
      };
      is(".tenant", s.tenant == "acme" ? 1 : 2), is(".tenant_weight_milli", s.tenant == "acme" ? 2000 : 500);
      is(".priority", s.category == "chat" ? 4 : 0), is(".service_class", s.category == "chat" ? 2 : 0);
      is(".category", s.category == "chat" ? 1 : 2), is(".turn", s.turn), is(".parent", s.parent),
          is(".n", s.n);
      is(".predicted_p50", s.predicted_p50), is(".predicted_p90", s.predicted_p90),
          is(".predicted_p99", s.predicted_p99);
      const std::uint64_t arrival = std::stoull(f.at(at + ".arrival_ns"));
      is(".ttft_deadline_ns", arrival + s.ttft_deadline_ns),
          is(".end_deadline_ns", arrival + s.end_deadline_ns);
      is(".tbt_target_ns", s.tbt_target_ns), is(".max_tokens", *s.max_tokens),
          is(".prompt_tokens", s.prompt_tokens());
      is(".hints[0].key", s.hints[0].key), is(".hints[1].key", s.hints[1].key);
      BOOST_REQUIRE_EQUAL(std::stod(f.at(at + ".hints[0].value")), s.hints[0].value);
      is(".retention[0].priority", s.retention[0].priority), is(".retention[0].tier", s.retention[0].tier);
      is(".retention[0].from_token", 8), is(".retention[0].to_token", 16);
      is(".retention[0].duration_ns", s.retention[0].duration_ns);
      std::string prompt;
      for (const requests::PromptPiece& piece : s.pieces)
        for (std::uint32_t t = 0; t < piece.tokens; ++t)
          prompt += (prompt.empty() ? "" : " ") + std::to_string(requests::seeded_token(piece.seed, t));
      BOOST_REQUIRE_EQUAL(f.at(at + ".prompt"), prompt);
    }
  }

  void check_create(const Facts& f, Kind kind) {
    const policy::Limits& l = world_.limits();
    const auto is = [&](const char* field, auto value) {
      BOOST_REQUIRE_EQUAL(f.at(std::string("create.") + field), std::to_string(value));
    };
    is("struct_size", sizeof(sl_create)), is("kind", static_cast<std::uint32_t>(kind)), is("seed", l.seed);
    is("sequence_slots", l.sequence_slots), is("blocks[0]", l.blocks[0]), is("blocks[1]", 0),
        is("block_tokens", l.block_tokens);
    is("token_budget", l.token_budget), is("max_sequences", l.max_sequences), is("lag", l.lag),
        is("is_gate", 0);
    std::set<std::string> names;
    for (std::size_t i = 0; f.contains("create.options[" + std::to_string(i) + "].name"); ++i)
      names.insert(f.at("create.options[" + std::to_string(i) + "].name"));
    BOOST_REQUIRE((names == std::set<std::string>{"flag", "count", "ratio", "name", "names"}));
    BOOST_REQUIRE_EQUAL(std::stod(f.at("create.cost.prefill_token_ns")), l.cost.prefill_token_ns);
    BOOST_REQUIRE_EQUAL(std::stod(f.at("create.cost.swap_block_ns")), l.cost.swap_block_ns);
  }

  // A view's counts agree with the tables that it came with.
  void check_tables(const Facts& view) {
    std::uint32_t free = 0, evictable = 0, running = 0;
    for (std::uint32_t i = 0; view.contains(".blocks[" + std::to_string(i) + "].flags"); ++i) {
      const std::string at = ".blocks[" + std::to_string(i) + "]";
      free += view.at(at + ".tier") == std::to_string(SL_TIER_NONE);
      evictable +=
          (std::stoul(view.at(at + ".flags")) & SL_BLOCK_FLAG_INDEXED) != 0 && view.at(at + ".refs") == "0";
    }
    for (std::uint32_t i = 0; view.contains(".seqs[" + std::to_string(i) + "].state"); ++i)
      running += view.at(".seqs[" + std::to_string(i) + "].state") == std::to_string(SL_RUNNING);
    BOOST_CHECK_EQUAL(view.at(".tier[0].total"), std::to_string(setting_.blocks));
    BOOST_CHECK_EQUAL(view.at(".tier[0].free"), std::to_string(free));
    BOOST_CHECK_EQUAL(view.at(".tier[0].evictable"), std::to_string(evictable));
    BOOST_CHECK_EQUAL(view.at(".running_count"), std::to_string(running));
    BOOST_CHECK_EQUAL(view.at(".running.count"), std::to_string(running));
  }

  void check_evict(const Facts& f) {
    const Facts view = below(f, "evict.view");
    const std::uint64_t need = std::stoull(f.at("evict.need[0]"));
    BOOST_CHECK_GE(need, 1u);
    BOOST_CHECK_GE(std::stoull(f.at("evict.ahead[0]")), need);
    BOOST_CHECK_LE(need, std::stoull(view.at(".tier[0].evictable")));
    check_tables(view);
  }

  void check_preempt(const Facts& f) {
    check_tables(below(f, "preempt.view"));
    BOOST_CHECK_GE(std::stoull(f.at("preempt.need")), 1u);
    BOOST_CHECK_GE(std::stoull(f.at("preempt.candidates.count")), 1u);
    for (std::uint32_t i = 0; f.contains("preempt.candidates[" + std::to_string(i) + "].seq"); ++i) {
      const std::string at = "preempt.candidates[" + std::to_string(i) + "]";
      const std::string seq =
          "preempt.view.seqs[" + std::to_string(SL_SEQ_SLOT(std::stoull(f.at(at + ".seq")))) + "]";
      BOOST_CHECK_EQUAL(f.at(seq + ".id"), f.at(at + ".seq"));
      BOOST_CHECK_NE(f.at(at + ".seq"), f.at("preempt.for_seq"));
      BOOST_CHECK_GE(std::stoull(f.at(seq + ".blocks_device")), std::stoull(f.at(at + ".frees")));
      const std::uint64_t known =
          std::stoull(f.at("preempt.view.requests[" + f.at(seq + ".request") + "].prompt_tokens")) +
          std::stoull(f.at(seq + ".generated"));
      BOOST_CHECK_EQUAL(f.at(at + ".recompute_tokens"), std::to_string(known));
      BOOST_CHECK_EQUAL(f.at(at + ".can"), std::to_string(SL_CAN_RECOMPUTE | SL_CAN_KEEP));
    }
  }

  Setting setting_;
  std::vector<Ask> asks_;
  World world_;
  Seen* seen_ = nullptr;
  std::string last_plan_ = "0";
  int compared_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(probe_plugins)

BOOST_AUTO_TEST_CASE(every_field_is_the_truth_and_what_nothing_fills_is_listed) {
  Seen seen;
  for (const std::uint32_t lag : {0u, 1u}) Probed(lag).run(seen);
  const std::set<std::string> listed = listed_fields();
  BOOST_REQUIRE(!listed.empty());
  std::set<std::string> unlisted;
  for (const std::string& field : seen.never()) {
    if (field == "create.is_gate" || field.starts_with("note.need") || field.starts_with("note.ahead") ||
        field == "evict.events.flags")  // a handover comes by note
      continue;
    const std::string tier =
        field.substr(0, field.find(']') + 1);  // "tier[SL_TIER_HOST].free": the tier is what is listed
    const std::string& where = tier.empty() ? field : tier;
    if (!listed.contains(where.substr(where.rfind('.') + 1))) unlisted.insert(field);
  }
  for (const std::string& field : unlisted)
    BOOST_ERROR(field << " was never filled, and is not in docs/PLUGINS.md's list");
  for (const char* field : {"requests.adapter", "seqs.blocks_host", "nodes.host_blocks", "tier.in_transit"})
    BOOST_CHECK_MESSAGE(seen.never().contains(field),
                        field << " is filled now: take it off docs/PLUGINS.md's list");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
