#include "witness.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>

namespace serveloop::test {

std::uint32_t Witnessed::in_flight_tokens() const {
  std::uint32_t tokens = 0;
  for (const Run& run : in_flight) tokens += run.life == life ? run.tokens : 0;
  return tokens;
}

std::uint32_t Witnessed::in_flight_samples() const {
  std::uint32_t samples = 0;
  for (const Run& run : in_flight) samples += run.life == life && run.samples ? 1 : 0;
  return samples;
}

std::uint16_t Witnessed::state() const {
  if (ended) return SL_ENDED;
  if (paused) return SL_PAUSED;
  if (running) return SL_RUNNING;
  return holds ? SL_RESERVED : SL_WAITING;  // RESERVED: paused and resumed
}

std::uint16_t Witnessed::not_ready() const {
  if (ungated) return SL_NOT_READY_UNGATED;
  return static_cast<std::uint16_t>((wake_ns != SL_NEVER ? SL_NOT_READY_GATE : 0) |
                                    (paused ? SL_NOT_READY_PAUSED : 0));
}

Tokens prompt_of(const requests::RequestSpec& spec) {
  Tokens prompt;
  for (const requests::PromptPiece& piece : spec.pieces)
    for (std::uint32_t t = 0; t < piece.tokens; ++t) prompt.push_back(requests::seeded_token(piece.seed, t));
  return prompt;
}

Witness::Witness(World& world, const std::vector<Ask>& asks, std::uint64_t hold_ns)
    : world_(world), asks_(asks), hold_ns_(hold_ns) {
  world.watched_executor().submitted = [this](const execute::Batch& batch) { submitted(batch); };
  world.watched_executor().collected = [this](const execute::Collected& done) { collected(done); };
}

void Witness::sent(std::size_t ask, std::uint64_t request) {
  const requests::RequestSpec& spec = asks_[ask].spec;
  for (std::uint32_t fork = 0; fork < spec.n; ++fork) {
    Witnessed& s = sequences_[{ask, fork}];
    s.key = {ask, fork};
    s.request = request;
    s.prompt_tokens = spec.prompt_tokens();
    s.max_tokens = *spec.max_tokens;
    s.arrival_ns = world_.clock().now_ns();
    is_due({SL_EV_ARRIVED, &s, 0, 0, 0});
    s.wake_ns = s.arrival_ns + hold_ns_;
    due_.push_back({SL_EV_PARKED, &s, 0, s.wake_ns, SL_REASON_PLUGIN});
    from_gates_.push_back(due_.back());
  }
}

void Witness::is_due(const Due& due) {
  due_.push_back(due);
  due_first_.push_back(due);
}

void Witness::stop_running(Witnessed& s) {
  s.running = false;
  std::erase(running_, &s);
}

void Witness::paused(std::size_t ask, std::uint64_t until_ns) {
  for (std::uint32_t fork = 0; fork < asks_[ask].spec.n; ++fork) {
    Witnessed& s = sequences_.at({ask, fork});
    if (s.ended) continue;
    stop_running(s);
    s.paused = true;
    s.pause_until_ns = until_ns;
    is_due({SL_EV_PAUSED, &s, 0, until_ns, 0});
  }
}

void Witness::resumed(std::size_t ask) {
  for (std::uint32_t fork = 0; fork < asks_[ask].spec.n; ++fork) {
    Witnessed& s = sequences_.at({ask, fork});
    if (s.ended) continue;
    s.paused = false;
    s.pause_until_ns = SL_NEVER;
    s.ready_ns = world_.clock().now_ns();
    is_due({SL_EV_RESUMED, &s, 0, s.holds ? 1u : 0u, 0});
  }
}

void Witness::cancelled(std::size_t ask) {
  for (std::uint32_t fork = 0; fork < asks_[ask].spec.n; ++fork) sequences_.at({ask, fork}).cancelled = true;
}

void Witness::hinted(std::size_t ask, std::uint64_t key, std::uint64_t bits) {
  is_due({SL_EV_HINT, nullptr, sequences_.at({ask, 0}).request, key, bits});
}

void Witness::begin_step() {
  step_ += first_step_ ? 0 : 1;
  first_step_ = false;
  start_ns_ = now_ns_ = world_.clock().now_ns();
  plan_.clear(), ran_.clear(), yielded_.clear();
  submitted_ = false;
  for (auto& [key, s] : sequences_) {
    if (s.ended || s.cancelled || s.wake_ns > now_ns_) continue;
    s.wake_ns = SL_NEVER;
    if (s.paused) continue;
    s.ready_ns = now_ns_;
    is_due({SL_EV_READY, &s, 0, 0, 0});
  }
}

void Witness::planned(const std::vector<sl_seq>& entries) { plan_ = entries; }

void Witness::preempted(sl_seq seq, sl_seq for_seq) {
  Witnessed& s = *find(seq);
  stop_running(s);
  yielded_.insert(&s);
  ++s.life, ++s.preemptions;
  s.computed = 0;
  s.holds = s.kept_hits = false;
  s.ready_ns = now_ns_;
  is_due({SL_EV_PREEMPTED, &s, 0, SL_REASON_NONE, for_seq});
}

void Witness::submitted(const execute::Batch& batch) {
  submitted_ = true;
  BOOST_REQUIRE_EQUAL(batch.step, step_);
  std::set<const Witnessed*> begun;
  for (const execute::Begin& begin : batch.begins) {
    const auto found = std::find_if(sequences_.begin(), sequences_.end(), [&](const auto& entry) {
      return asks_[entry.first.first].spec.sampling.seed == begin.sampling->seed &&
             entry.first.second == begin.fork;
    });
    BOOST_REQUIRE(found != sequences_.end());
    rows_[begin.row] = &found->second;
    begun.insert(&found->second);
  }
  Flight& flight = flights_[batch.step];
  for (const execute::BatchRow& row : batch.rows) {
    Witnessed& s = *rows_.at(row.row);
    if (begun.contains(&s)) {
      is_due({SL_EV_ADMITTED, &s, 0, s.admitted_ns == 0 ? row.start : 0, 0});
      if (s.admitted_ns == 0) s.admitted_ns = now_ns_;
      s.running = true;
      running_.push_back(&s);
    }
    s.holds = true, s.kept_hits = false;
    s.computed = row.start - s.in_flight_tokens();  // what it hit counts, too
    s.high_water = std::max(s.high_water, row.start);
    s.in_flight.push_back({batch.step, row.tokens, s.life, row.samples});
    flight.rows.push_back({&s, row.tokens, s.life});
    ran_.insert(&s);
    const std::span<const kv::BlockId> table = world_.engine().cache().table(SL_SEQ_SLOT(s.id));
    const std::uint32_t end =
        std::min((row.start + row.tokens) / kBlockTokens, world_.engine().cache().indexed(SL_SEQ_SLOT(s.id)));
    const Tokens known = known_tokens(s);
    std::vector<kv::Key> keys(known.size() / kBlockTokens);
    const std::string& tenant = asks_[s.key.first].spec.tenant;
    kv::hash_blocks(kv::make_salt(tenant.empty() ? "default" : tenant, "", 0, 0), known, kBlockTokens, keys);
    for (std::uint32_t i = row.start / kBlockTokens; i < end; ++i) flight.filling.insert({table[i], keys[i]});
  }
  settle_plan();
}

// Each entry of the plan ran, yielded, or fell.
void Witness::settle_plan() {
  for (std::size_t i = 0; i < plan_.size(); ++i) {
    Witnessed& s = *find(plan_[i]);
    if (ran_.contains(&s) || yielded_.contains(&s)) continue;
    is_due({SL_EV_FELL, &s, 0, UINT64_MAX, i});  // any reason of those that may be
    falls_.insert(now_ns_), fallen_.insert(&s);
    s.kept_hits = s.running;
  }
  if (!yielded_.empty()) falls_.insert(now_ns_);
  plan_.clear();
}

void Witness::watch_ends() {
  for (; ends_ < world_.ends().size(); ++ends_) {
    const engine::Finished& end = world_.ends()[ends_];
    Witnessed& s = sequences_.at({world_.ask_of(end.request), end.fork});
    stop_running(s);
    s.generated = end.output_tokens;
    s.ended = true;
    s.end_ns = now_ns_;
    is_due({SL_EV_ENDED, &s, 0, end.finish, end.output_tokens});
  }
}

void Witness::collected(const execute::Collected& done) {
  watch_ends();
  now_ns_ = world_.clock().now_ns();
  last_step_ns_ = done.device_end_ns - done.device_start_ns;
  const Flight flight = flights_.extract(done.step).mapped();
  std::uint64_t tokens = 0;  // of those who live: they share the time
  for (const Flight::Row& row : flight.rows) tokens += row.seq->ended ? 0 : row.tokens;
  std::uint64_t rest = tokens == 0 ? 0 : last_step_ns_ % tokens;  // the first one's
  for (const Flight::Row& row : flight.rows) {
    Witnessed& s = *row.seq;
    if (s.ended) continue;
    s.service_ns += last_step_ns_ / tokens * row.tokens + std::exchange(rest, 0);
    s.last_step = done.step;
    std::erase_if(s.in_flight, [&](const Witnessed::Run& run) { return run.step == done.step; });
    if (row.life != s.life) continue;
    s.computed += row.tokens;
    s.most_computed = std::max(s.most_computed, s.computed);
    s.high_water = std::max(s.high_water, s.computed);
  }
  is_due({SL_EV_STEP_END, nullptr, done.step, last_step_ns_, flight.rows.size()});
}

// What the client got, it got when the step was collected.
void Witness::take_tokens() {
  for (auto& [key, s] : sequences_) {
    if (s.ended) continue;
    const auto got = static_cast<std::uint32_t>(world_.output_of(s.request, key.second).size());
    if (got == s.generated) continue;
    BOOST_REQUIRE_EQUAL(got, s.generated + 1);
    s.last_token_ns = now_ns_;
    if (s.generated++ > 0) continue;
    s.first_token_ns = now_ns_;
    is_due({SL_EV_FIRST_TOKEN, &s, 0, 0, 0});
  }
}

void Witness::end_step() {
  if (!submitted_) settle_plan();
  take_tokens();
  watch_ends();
}

void Witness::told_first() {
  due_first_ = std::exchange(from_gates_, {});
  for (auto& [key, s] : sequences_) s.ungated = false;
}

void Witness::told() {
  due_.clear();
  for (auto& [key, s] : sequences_) s.told = s.ended;
}

Witnessed* Witness::find(sl_seq id) {
  for (auto& [key, s] : sequences_)
    if (s.id == id) return &s;
  BOOST_FAIL("sequence " << id << " is nobody's");
  return nullptr;
}

std::uint32_t Witness::waiting() const {
  std::uint32_t count = 0;
  for (const auto& [key, s] : sequences_) count += !s.ended && !s.running ? 1 : 0;
  return count;
}

Tokens Witness::known_tokens(const Witnessed& s) const {
  Tokens known = prompt_of(asks_[s.key.first].spec);
  const Tokens& output = world_.output_of(s.request, s.key.second);
  known.insert(known.end(), output.begin(), output.end());
  return known;
}

std::uint32_t Witness::path_blocks(const Witnessed& s) const {
  return std::max(s.prompt_tokens, s.most_computed) / kBlockTokens;
}

bool Witness::filling(std::uint32_t block, std::uint64_t key) const {
  return std::any_of(flights_.begin(), flights_.end(), [&](const auto& flight) {
    return flight.second.filling.contains({block, key});
  });
}

}  // namespace serveloop::test
