#include "probed.hpp"

namespace serveloop::test {

using policy::Kind;

void Probed::asked(const engine::Policies& p) {
  if (!chosen_ && calls_.is_new("choose", *p.precision)) chosen(account_of(*p.precision));
  if (calls_.is_new("plan", *p.scheduler)) planned(account_of(*p.scheduler));
  if (calls_.is_new("evict", *p.eviction)) evicted(account_of(*p.eviction));
  if (calls_.is_new("preempt", *p.preemption)) preempted(account_of(*p.preemption));
}

Scene Probed::scene(const Facts& view, bool amid) const {
  return {view, witness_, world_, setting_, asks_, epoch_, mode_, amid};
}

void Probed::chosen(const Facts& facts) {
  const Facts view = below(facts, "choose.view");
  seen_->add(facts);
  witness_.watch_ends();
  holders_.look(world_, witness_.now_ns());
  name_arrivals(view);
  if (choices_++ == 0) {
    check_create(facts, Kind::precision, world_.limits());
    check_loaded(facts, world_.watched_executor(), 2);
  }
  const Scene now = scene(view, false);
  check_view(now), check_events(now, witness_.due_first(), choose_view_);
  check_sequences(now), check_requests(now);
  check_blocks(now, stories_, holders_), check_nodes(now, stories_);
  witness_.told_first();
  choose_view_ = view;
  mode_ = number(facts, "choose.mode");
  chosen_ = true;
}

void Probed::planned(const Facts& facts) {
  const Facts view = below(facts, "plan.view");
  seen_->add(facts);
  BOOST_REQUIRE(chosen_);
  check_create(facts, Kind::scheduler, world_.limits());
  const Scene now = scene(view, false);
  check_view(now), check_events(now, witness_.due(), plan_view_);
  check_sequences(now), check_requests(now);
  check_blocks(now, stories_, holders_), check_nodes(now, stories_);
  plan_.clear();
  for (std::size_t i = 0; facts.contains(item("plan.entry", i) + ".seq"); ++i)
    plan_.push_back(number(facts, item("plan.entry", i) + ".seq"));
  witness_.planned(plan_);
  witness_.told();
  plan_view_ = view;
  ++plans_;
}

// What is cached of those that are new is what the tree had when they came.
void Probed::name_arrivals(const Facts& view) {
  std::vector<Key> fresh;
  for (const auto& [key, s] : witness_.sequences())
    if (s.id == 0) fresh.push_back(key);
  name_sequences(view, witness_);
  std::set<kv::Key> cached;
  for (const auto& [block, story] : stories_) cached.insert(story.key);
  for (const Key& key : fresh) {
    const std::string& tenant = asks_[key.first].spec.tenant;
    const Tokens prompt = prompt_of(asks_[key.first].spec);
    std::vector<kv::Key> keys(prompt.size() / kBlockTokens);
    kv::hash_blocks(kv::make_salt(tenant.empty() ? "default" : tenant, "", 0, 0), prompt, kBlockTokens, keys);
    std::uint32_t blocks = 0;
    while (blocks < (prompt.size() - 1) / kBlockTokens && cached.contains(keys[blocks])) ++blocks;
    witness_.came_with(key, blocks * kBlockTokens);
  }
}

void Probed::committed() {
  holders_.look(world_, witness_.start_ns());
  const kv::Cache& cache = world_.engine().cache();
  for (const requests::Slot slot : world_.engine().requests().live_slots())
    for (const kv::BlockId block : cache.table(slot).first(cache.indexed(slot))) committed_.insert(block);
}

void Probed::follow(const Facts& call, const std::string& name, const Scene& at) {
  follow_block_events(call, name + ".events", at, stories_, [this](std::uint32_t block) {
    const std::uint64_t ns = committed_.contains(block) ? witness_.start_ns() : witness_.now_ns();
    holders_.begin(block, ns);
    return ns;
  });
}

void Probed::evicted(const Facts& facts) {
  const Facts view = below(facts, "evict.view");
  seen_->add(facts);
  check_create(facts, Kind::eviction, world_.limits());
  const Scene now = scene(view, true);
  check_view(now), check_sequences(now), check_requests(now);
  follow(facts, "evict", now);
  BOOST_REQUIRE_EQUAL(number(view, ".events.count"), 0u);
  // What the plan's entries need beyond what is free, where so many can go.
  const std::uint64_t missing = number(facts, "evict.ahead[0]");
  BOOST_REQUIRE_GE(missing, 1u);
  BOOST_REQUIRE_EQUAL(number(facts, "evict.need[0]"), std::min(missing, number(view, ".tier[0].evictable")));
  BOOST_REQUIRE_EQUAL(number(facts, "evict.need[1]") + number(facts, "evict.ahead[1]"), 0u);
  for (std::size_t i = 0; facts.contains(item("evict.victim", i) + ".block"); ++i) {
    const std::string at = item("evict.victim", i);
    const bool demoted = number(facts, at + ".to") == SL_TIER_HOST;  // there is none
    stories_.at(static_cast<std::uint32_t>(number(facts, at + ".block"))).leaves_for =
        static_cast<std::uint32_t>(demoted ? std::uint64_t{SL_REASON_NO_HOST_TIER}
                                           : number(facts, at + ".reason"));
  }
  ++evictions_;
}

void Probed::preempted(const Facts& facts) {
  const Facts view = below(facts, "preempt.view");
  seen_->add(facts);
  check_create(facts, Kind::preemption, world_.limits());
  const Scene now = scene(view, true);
  check_view(now), check_sequences(now), check_requests(now);
  BOOST_REQUIRE_EQUAL(number(view, ".events.count"), 0u);
  check_candidates(now, facts, plan_);
  check_need(facts, view);
  for (std::size_t i = 0; facts.contains(item("preempt.yield", i) + ".seq"); ++i)
    witness_.preempted(number(facts, item("preempt.yield", i) + ".seq"), number(facts, "preempt.for_seq"));
  ++preemptions_;
}

// Where all up to the entry in need decode: a block for each that has its last one full, less what is free.
void Probed::check_need(const Facts& facts, const Facts& view) {
  std::uint64_t need = 0;
  for (const sl_seq seq : plan_) {
    const Witnessed& s = *witness_.find(seq);
    const std::uint64_t covered = s.computed + s.in_flight_tokens();
    if (!s.running || covered < s.prompt_tokens || covered + 1 != s.known() + s.in_flight_samples()) return;
    need += covered % kBlockTokens == 0 ? 1 : 0;
    if (seq == number(facts, "preempt.for_seq")) break;
  }
  BOOST_REQUIRE_EQUAL(number(facts, "preempt.need"), need - number(view, ".tier[0].free"));
  ++needs_;
}

void Probed::noted(const Facts& facts) {
  const Facts view = below(facts, "note.view");
  seen_->add(facts);
  const Scene now = scene(view, false);
  check_view(now), check_sequences(now), check_requests(now);
  follow(facts, "note", now);
}

// The preemption policy hears of a step what its scheduler read; a new instance of what was there before.
void Probed::check_notes(const engine::Policies& before) {
  if (calls_.is_new("note", *before.preemption)) {
    const Facts facts = account_of(*before.preemption);
    seen_->add(facts);
    Facts view = below(facts, "note.view"), plan = plan_view_;
    for (Facts* part : {&view, &plan})
      std::erase_if(*part, [](const auto& fact) { return fact.first.starts_with(".events"); });
    check_equal(view, plan);
  }
  const engine::Policies& after = world_.engine().policies();
  if (after.eviction != before.eviction && calls_.is_new("note", *after.eviction))
    check_block_handover(account_of(*after.eviction));
  if (after.preemption != before.preemption && calls_.is_new("note", *after.preemption))
    check_handover(account_of(*after.preemption));
  if (after.scheduler != before.scheduler) check_handover(account_of(*after.scheduler));
}

// Live events of the step are among them.
void Probed::check_block_handover(const Facts& facts) {
  seen_->add(facts);
  std::set<std::uint64_t> told, cached;
  for (std::size_t i = 0; i < number(facts, "note.events.count"); ++i) {
    const std::string at = item("note.events", i);
    const auto block = static_cast<std::uint32_t>(number(facts, at + ".block"));
    if (number(facts, at + ".kind") == SL_BLOCK_INSERTED) BOOST_REQUIRE(told.insert(block).second);
    if (number(facts, at + ".kind") == SL_BLOCK_GONE) told.erase(block);
    if (number(facts, at + ".flags") != SL_EVENT_HANDOVER) continue;
    BOOST_REQUIRE_EQUAL(number(facts, at + ".key"), stories_.at(block).key);
    BOOST_REQUIRE_EQUAL(number(facts, at + ".reason"), SL_REASON_NONE);
    BOOST_REQUIRE_EQUAL(number(facts, at + ".request"), 0u);
    BOOST_REQUIRE_EQUAL(number(facts, at + ".request_row"), SL_NONE);
  }
  for (const auto& [block, story] : stories_) cached.insert(block);
  BOOST_REQUIRE(told == cached);
}

void Probed::check_handover(const Facts& facts) {
  seen_->add(facts);
  std::set<std::uint64_t> told, live;
  for (std::size_t i = 0; i < number(facts, "note.view.events.count"); ++i) {
    const std::string at = item("note.view.events", i);
    if (number(facts, at + ".kind") == SL_EV_ARRIVED && number(facts, at + ".flags") == SL_EVENT_HANDOVER)
      told.insert(number(facts, at + ".subject"));
  }
  for (const auto& [key, s] : witness_.sequences())
    if (!s.ended) live.insert(s.id);
  BOOST_REQUIRE(told == live);
}

}  // namespace serveloop::test
