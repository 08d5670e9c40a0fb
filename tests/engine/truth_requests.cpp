// Truths of requests, by what their clients stated, and of what an instance is created with.
#include "truths.hpp"

namespace serveloop::test {

namespace {

struct RequestCase {
  const Scene& scene;
  const requests::RequestSpec& spec;
  const Witnessed& first;  // of its sequences
  std::uint32_t live;

  bool chat() const { return spec.category == "chat"; }
  std::uint64_t absolute(std::uint64_t relative) const {
    return relative == SL_NEVER ? SL_NEVER : first.arrival_ns + relative;
  }
  // A client's names are equal where their hashes are, and 0 where it stated none.
  std::uint64_t name(const std::string& text, std::uint64_t read, std::string requests::RequestSpec::*which,
                     const char* field) const {
    if (text.empty() != (read == 0)) return text.empty() ? 0 : 1;
    for (std::uint64_t i = 0; i < number(scene.view, ".requests.count"); ++i) {
      const std::string at = item(".requests", i);
      if (number(scene.view, at + ".live") == 0) continue;
      const std::size_t other = scene.world.ask_of(number(scene.view, at + ".request"));
      const bool same = number(scene.view, at + field) == read;
      if (same != (scene.asks[other].spec.*which == text)) return 0;
    }
    return read;
  }
};

// Of setting(): tenants acme (1) and zeta (2), categories chat (1) and code (2), a rule for chat.
const Truth<RequestCase> kRequest[] = {
    TRUTH(request, c.first.request),
    TRUTH(arrival_ns, c.first.arrival_ns),
    TRUTH(ttft_deadline_ns, c.absolute(c.spec.ttft_deadline_ns)),
    TRUTH(tbt_target_ns, c.spec.tbt_target_ns),
    TRUTH(end_deadline_ns, c.absolute(c.spec.end_deadline_ns)),
    TRUTH(prompt_at, read),     // a place; check_heap reads what lies there
    TRUTH(hints_at, read),      // likewise
    TRUTH(retention_at, read),  // likewise
    TRUTH(session, c.name(c.spec.session, read, &requests::RequestSpec::session, ".session")),
    TRUTH(program, c.name(c.spec.program, read, &requests::RequestSpec::program, ".program")),
    TRUTH(parent, c.spec.parent),
    TRUTH(prompt_tokens, c.spec.prompt_tokens()),
    TRUTH(max_tokens, *c.spec.max_tokens),
    TRUTH(hints_count, c.spec.hints.size()),
    TRUTH(retention_count, c.spec.retention.size()),
    TRUTH(tenant, c.spec.tenant.empty()     ? 0
                  : c.spec.tenant == "acme" ? 1
                                            : 2),
    TRUTH(tenant_weight_milli, c.spec.tenant.empty()     ? 1000
                               : c.spec.tenant == "acme" ? 2000
                                                         : 500),
    TRUTH(priority, c.chat() ? 4 : 0),
    TRUTH(service_class, c.chat() ? 2 : 0),
    TRUTH(category, c.spec.category.empty() ? 0
                    : c.chat()              ? 1
                                            : 2),
    TRUTH(turn, c.spec.turn),
    TRUTH(predicted_p50, c.spec.predicted_p50),
    TRUTH(predicted_p90, c.spec.predicted_p90),
    TRUTH(predicted_p99, c.spec.predicted_p99),
    TRUTH(adapter, 0),
    TRUTH(n, c.spec.n),
    TRUTH(live, c.live),  // an ended one counts until its end was told
};

struct HintCase {
  const sl_hint& hint;
};
const Truth<HintCase> kHint[] = {TRUTH(key, c.hint.key)};  // its value is no whole number: see below

struct RetentionCase {
  const sl_retention& range;
};
const Truth<RetentionCase> kRetention[] = {
    TRUTH(from_token, c.range.from_token),   TRUTH(to_token, c.range.to_token),
    TRUTH(priority, c.range.priority),       TRUTH(tier, c.range.tier),
    TRUTH(duration_ns, c.range.duration_ns),
};

void check_heap(const Facts& view, const std::string& at, const requests::RequestSpec& spec) {
  std::string prompt;
  for (const requests::Token token : prompt_of(spec))
    prompt += (prompt.empty() ? "" : " ") + std::to_string(token);
  BOOST_REQUIRE_EQUAL(view.at(at + ".prompt"), prompt);
  for (std::size_t i = 0; i < spec.hints.size(); ++i) {
    const std::string hint = item(at + ".hints", i);
    check_row<HintCase>(view, hint, {spec.hints[i]}, kHint, {"value"});
    BOOST_REQUIRE_EQUAL(std::stod(view.at(hint + ".value")), spec.hints[i].value);
  }
  for (std::size_t i = 0; i < spec.retention.size(); ++i)
    check_row<RetentionCase>(view, item(at + ".retention", i), {spec.retention[i]}, kRetention);
}

struct CreateCase {
  policy::Kind kind;
  const policy::Limits& limits;
};
const Truth<CreateCase> kCreate[] = {
    TRUTH(struct_size, sizeof(sl_create)),
    TRUTH(kind, c.kind),
    TRUTH(seed, c.limits.seed),
    TRUTH(sequence_slots, c.limits.sequence_slots),
    TRUTH(block_tokens, c.limits.block_tokens),
    TRUTH(token_budget, c.limits.token_budget),
    TRUTH(max_sequences, c.limits.max_sequences),
    TRUTH(lag, c.limits.lag),
    TRUTH(is_gate, 0),
    TRUTH(error_capacity, read > 0 ? read : 1),
};

}  // namespace

void check_requests(const Scene& scene) {
  std::map<std::uint64_t, std::uint32_t> live;
  std::map<std::uint64_t, const Witnessed*> first;
  for (const auto& [key, s] : scene.witness.sequences()) {
    live[s.request] += s.told ? 0 : 1;
    first.try_emplace(s.request, &s);
  }
  std::size_t rows = 0;
  for (std::uint64_t i = 0; i < number(scene.view, ".requests.count"); ++i) {
    const std::string at = item(".requests", i);
    const std::uint64_t request = number(scene.view, at + ".request");
    if (request == 0) {
      for (auto it = scene.view.lower_bound(at + "."); it->first.starts_with(at + "."); ++it)
        BOOST_REQUIRE_MESSAGE(it->second == "0", it->first << " of a free row");
      continue;
    }
    ++rows;
    BOOST_REQUIRE(first.contains(request));
    const requests::RequestSpec& spec = scene.asks[scene.world.ask_of(request)].spec;
    check_row<RequestCase>(scene.view, at, {scene, spec, *first.at(request), live.at(request)}, kRequest,
                           {"prompt"});
    check_heap(scene.view, at, spec);
  }
  BOOST_REQUIRE_EQUAL(rows, std::count_if(live.begin(), live.end(), [](auto& l) { return l.second > 0; }));
}

// Every option of a probe's manifest comes, with its default.
void check_create(const Facts& f, policy::Kind kind, const policy::Limits& limits) {
  check_row<CreateCase>(f, "create", {kind, limits}, kCreate);
  BOOST_REQUIRE_EQUAL(number(f, "create.blocks[0]"), limits.blocks[0]);
  BOOST_REQUIRE_EQUAL(number(f, "create.blocks[1]"), 0u);
  BOOST_REQUIRE_EQUAL(number(f, "create.options.stride"), sizeof(sl_option));
  std::map<std::string, std::string> options;  // by name, all that it says
  for (std::uint64_t i = 0; i < number(f, "create.options.count"); ++i) {
    const std::string at = item("create.options", i);
    const std::string said = f.at(at + ".type") + " " + f.at(at + ".integer") + " " + f.at(at + ".number") +
                             " " + f.at(at + ".text");
    options[f.at(at + ".name")] += (options[f.at(at + ".name")].empty() ? "" : "; ") + said;
  }
  const auto type = [](std::uint32_t t) { return std::to_string(t); };
  const std::map<std::string, std::string> right = {
      {"flag", type(SL_OPTION_BOOLEAN) + " 1 1 "},
      {"count", type(SL_OPTION_INTEGER) + " -3 -3 "},
      {"ratio", type(SL_OPTION_NUMBER) + " 0 0.25 "},
      {"name", type(SL_OPTION_TEXT) + " 0 0 some text"},
      {"names", type(SL_OPTION_LIST) + " 0 0 one; " + type(SL_OPTION_LIST) + " 0 0 two"}};
  BOOST_REQUIRE_EQUAL(options.size(), right.size());
  for (const auto& [name, said] : right) BOOST_REQUIRE_EQUAL(options[name], said);
  check_cost(f, "create.cost", limits.cost);
}

}  // namespace serveloop::test
