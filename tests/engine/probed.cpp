#include "probed.hpp"

#include <bit>

namespace serveloop::test {

using policy::Kind;
using What = engine::Message::What;

namespace {

constexpr std::uint64_t kHoldNs = 1500000;

// Requests with every label set, sharing prefixes, n > 1. `silent`: their clients state nothing.
std::vector<Ask> asks_of(bool silent) {
  std::vector<Ask> asks = mixed_asks(40, 3, 70);
  for (std::size_t i = 0; i < asks.size(); ++i) {
    requests::RequestSpec& s = asks[i].spec;
    const auto k = static_cast<std::uint32_t>(i);
    asks[i].at_step = UINT64_MAX;  // when the test sends it
    asks[i].cancel_after = 0;      // likewise
    s.sampling.seed = i + 1;       // so that the executor knows whose a row is
    s.priority.reset();
    s.predicted_p50 = 0, s.program.clear(), s.ttft_deadline_ns = s.tbt_target_ns = SL_NEVER;
    if (silent) continue;
    s.tenant = i % 2 == 0 ? "acme" : "zeta";
    s.category = i % 3 == 0 ? "chat" : "code";
    s.session = "session " + std::to_string(i), s.program = "program " + std::to_string(i % 4);
    s.parent = i + 1000, s.turn = k + 1;
    s.ttft_deadline_ns = 1000000 + i, s.tbt_target_ns = 2000 + i, s.end_deadline_ns = 3600000000000 + i;
    s.predicted_p50 = k + 1, s.predicted_p90 = k + 2, s.predicted_p99 = k + 3;
    s.hints = {{i + 1, 0.5 + static_cast<double>(i)}, {i + 2, -1.0}};
    s.retention = {{8, 16, 50 + k, SL_TIER_HOST, 12345 + i}};
  }
  return asks;
}

Setting setting_of(std::uint32_t lag) {
  Setting s;
  s.scheduler = "probe-scheduler", s.eviction = "probe-eviction", s.preemption = "probe-preemption";
  s.precision = "probe-precision";
  s.gates = {{"hold", toml::Table{{"hold_us", static_cast<std::int64_t>(kHoldNs / 1000)}}}};
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

}  // namespace

Probed::Probed(std::uint32_t lag, bool silent)
    : setting_(setting_of(lag)),
      asks_(asks_of(silent)),
      silent_(silent),
      world_(setting_, asks_),
      witness_(world_, asks_, kHoldNs) {
  world_.watched().watch = [this](Phase phase) {
    if (phase == Phase::policy) asked(world_.engine().policies());
  };
  auto submitted = world_.watched_executor().submitted;
  world_.watched_executor().submitted = [this, submitted](const execute::Batch& batch) {
    submitted(batch);
    BOOST_REQUIRE_EQUAL(batch.mode, mode_);
    committed();
  };
  auto collected = world_.watched_executor().collected;
  world_.watched_executor().collected = [this, collected](const execute::Collected& done) {
    holders_.look(world_, witness_.start_ns());  // nothing of the step that came back took effect yet
    collected(done);
  };
}

void Probed::run(Seen& seen) {
  seen_ = &seen;
  world_.clock().wait_until(1000000);  // so that no time is 0
  for (std::size_t i = 0; i < 2000 && step(i); ++i) continue;
  check_idle(world_);
  BOOST_CHECK_EQUAL(world_.ends().size(), witness_.sequences().size());
  BOOST_CHECK_EQUAL(choices_, plans_);
  BOOST_CHECK_GT(plans_, 100);
  BOOST_CHECK_GT(evictions_, 5);
  BOOST_CHECK_GT(preemptions_, 5);
  BOOST_CHECK_GT(needs_, 0);
  BOOST_CHECK(world_.counters().fallbacks.empty());
}

bool Probed::step(std::size_t i) {
  act(i);
  const engine::Policies before = world_.engine().policies();  // of the step; a swap comes at its end
  kept_.push_back(before);                                     // so that no address is used again
  committed_.clear();
  chosen_ = false;
  witness_.begin_step();
  BOOST_TEST_INFO_SCOPE("lag " << setting_.lag << ", silent " << silent_ << ", step " << witness_.step());
  const bool more = world_.one_step();
  witness_.end_step();
  asked(before);
  holders_.look(world_, witness_.now_ns());
  if (calls_.is_new("note", *before.eviction)) noted(account_of(*before.eviction));
  check_notes(before);
  if (world_.engine().policies().scheduler != before.scheduler)
    witness_.told();  // the new one, in its handover
  epoch_ = swaps_;
  return more || i < 160;
}

void Probed::act(std::size_t i) {
  if (i % 3 == 0 && i / 3 < asks_.size()) witness_.sent(i / 3, world_.send(i / 3));
  if (i == 12 && !silent_) {
    world_.tell(What::hint, world_.id_of(3), 77, std::bit_cast<std::uint64_t>(0.5));
    witness_.hinted(3, 77, std::bit_cast<std::uint64_t>(0.5));
  }
  for (const std::size_t ask : {4u, 9u}) {
    if (i == 3 * ask + 4) pause(ask, silent_ ? SL_NEVER : 1234567);
    if (i == 3 * ask + 20) resume(ask);
  }
  if (i % 23 == 22 && i / 3 < asks_.size()) {
    world_.tell(What::cancel, world_.id_of(i / 3 - 1));
    witness_.cancelled(i / 3 - 1);
  }
  if (i % 40 == 21) swap(Kind::eviction, "probe-eviction");
  if (i == 30) swap(Kind::scheduler, "probe-scheduler");
  if (i == 35) swap(Kind::preemption, "probe-preemption");
}

void Probed::pause(std::size_t ask, std::uint64_t until_ns) {
  world_.tell(What::pause, world_.id_of(ask), until_ns);
  witness_.paused(ask, until_ns);
}

void Probed::resume(std::size_t ask) {
  world_.tell(What::resume, world_.id_of(ask));
  witness_.resumed(ask);
}

void Probed::swap(Kind kind, const char* plugin) {
  world_.swap(kind, {plugin, {}});
  ++swaps_;
}

}  // namespace serveloop::test
