// Which requests come, and when: windows, scales, limits, drops, synthetic streams, closed loops.
#include <algorithm>
#include <map>

#include "helpers.hpp"

namespace serveloop::experiment::test {

namespace {

constexpr std::uint64_t kSecond_ns = 1'000'000'000;

std::uint64_t prompts(const std::vector<requests::RequestSpec>& specs) {
  std::uint64_t sum = 0;
  for (const auto& spec : specs) sum += spec.prompt_tokens();
  return sum;
}

std::uint64_t outputs(const std::vector<requests::RequestSpec>& specs) {
  std::uint64_t sum = 0;
  for (const auto& spec : specs) sum += *spec.max_tokens;
  return sum;
}

config::Workload closed_config(std::uint32_t clients, std::uint32_t requests) {
  config::Workload config = synthetic_config(requests);
  config.arrival = "closed";
  config.concurrency = clients;
  return config;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(workload)

BOOST_AUTO_TEST_CASE(a_trace_as_it_is) {
  const auto specs = specs_of(trace_config("azure2023_conv.csv"));
  BOOST_TEST(specs.size() == 19'366u);
  BOOST_TEST(prompts(specs) == 22'361'870u);
  BOOST_TEST(outputs(specs) == 4'088'665u);
  BOOST_TEST(specs[1].arrival_ns == 4'314'579'000u);
  BOOST_TEST(specs.back().arrival_ns == 3'501'721'937'000u);
  BOOST_TEST(specs[0].pieces.size() == 1u);
  BOOST_TEST(specs[0].pieces[0].seed != specs[1].pieces[0].seed);
  BOOST_TEST(specs[0].sampling.seed != specs[1].sampling.seed);
  BOOST_TEST(specs[0].sampling.stop_ids.empty());
}

BOOST_AUTO_TEST_CASE(a_window_counts_time_from_its_start) {
  config::Workload config = trace_config("azure2023_conv.csv");
  config.window = config::Window{600, 1200};
  auto specs = specs_of(config);
  BOOST_TEST(specs.size() == 3118u);
  BOOST_TEST(prompts(specs) == 3'595'428u);
  BOOST_TEST(specs.front().arrival_ns == 197'636'000u);
  BOOST_TEST(specs.back().arrival_ns == 599'748'791'000u);
  config.limit = 100;
  BOOST_TEST(specs_of(config).size() == 100u);
  config.window = config::Window{4000, 5000};
  const auto empty = Workload::make(config, kContext);
  BOOST_REQUIRE(!empty.has_value());
  BOOST_TEST(empty.error().message().find("3502 s") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(rates_and_lengths_scale) {
  config::Workload config = trace_config("azure2023_conv.csv");
  config.rate_scale = 4;
  config.prompt_scale = 0.5;
  config.output_scale = 3;
  const auto specs = specs_of(config);
  BOOST_TEST(prompts(specs) == 11'185'881u);
  BOOST_TEST(outputs(specs) == 12'265'995u);
  BOOST_TEST(specs.back().arrival_ns == (3'501'721'937'000u + 2) / 4);
}

BOOST_AUTO_TEST_CASE(requests_beyond_the_context_are_dropped_and_counted) {
  Workload workload = made(trace_config("azure2023_conv.csv"), 4096);
  BOOST_TEST(workload.total() == 19'366u);
  const auto specs = all_of(workload);
  BOOST_TEST(workload.finished());
  BOOST_TEST(workload.passed() == workload.total());
  BOOST_TEST(workload.dropped_total() == 1612u);
  BOOST_TEST(workload.dropped().at("context") == 1612u);
  BOOST_TEST(specs.size() == 19'366u - 1612u);
  for (const auto& spec : specs) BOOST_REQUIRE(spec.prompt_tokens() + *spec.max_tokens <= 4096u);
}

std::string pool_error(const Workload& workload, std::uint32_t blocks) {
  const Status held = workload.check_pool(blocks, 16);
  return held ? "none" : held.error().message();
}

BOOST_AUTO_TEST_CASE(a_request_of_a_trace_that_the_pool_can_never_hold_is_named) {
  // Its first lines: the header; 4808 + 10 tokens; 3180 + 8.
  config::Workload config = trace_config("azure2023_code.csv");
  const Workload whole = made(config);
  BOOST_TEST(pool_error(whole, 100'000) == "none");
  const std::string error = pool_error(whole, 128);
  for (const std::string part :
       {"azure2023_code.csv:2: ", "can never hold", "at most 128 blocks of 16 tokens",
        "found 302 blocks for a prompt of 4808 and an output of 10 tokens", "engine.kv_memory",
        "engine.kv_blocks", "workload.prompt_scale"})
    BOOST_TEST(error.find(part) != std::string::npos, part << " in " << error);
  BOOST_TEST(pool_error(made(config, 4000), 128).find("azure2023_code.csv:3: ") != std::string::npos);
  BOOST_TEST(pool_error(made(config, 2049), 128) == "none");  // what does not fit the context is dropped
  BOOST_TEST(pool_error(made(config, 2050), 128) != "none");
}

BOOST_AUTO_TEST_CASE(a_pool_holds_every_token_but_the_last) {
  config::Workload config = synthetic_config(50);
  config.prompt = {"fixed", 150};
  config.output = {"fixed", 11};
  BOOST_TEST(pool_error(made(config), 10) == "none");  // 161 tokens, KV for 160
  config.output = {"fixed", 12};
  const std::string error = pool_error(made(config), 10);
  for (const std::string part :
       {"workload: request 1 of 50:", "found 11 blocks for a prompt of 150 and an output of 12 tokens",
        "workload.prompt.max_tokens"})
    BOOST_TEST(error.find(part) != std::string::npos, part << " in " << error);
}

BOOST_AUTO_TEST_CASE(mooncake_prompts_share_their_prefixes) {
  const auto specs = specs_of(trace_config("mooncake_synthetic_trace.jsonl"), 1 << 20);
  BOOST_TEST(specs.size() == 3993u);
  std::map<std::uint64_t, std::uint32_t> seen;
  std::uint64_t repeated = 0;
  for (const auto& spec : specs)
    for (const auto& piece : spec.pieces) {
      repeated += seen.contains(piece.seed) ? piece.tokens : 0;
      seen[piece.seed] = piece.tokens;
    }
  BOOST_TEST(seen.size() == 43'924u);
  BOOST_TEST(repeated == 39'852'661u);
  BOOST_TEST(prompts(specs) == 61'194'628u);
}

BOOST_AUTO_TEST_CASE(scaled_mooncake_prompts_still_share) {
  config::Workload config = trace_config("mooncake_synthetic_trace.jsonl");
  config.limit = 500;
  const auto plain = specs_of(config, 1 << 20);
  config.prompt_scale = 0.3;
  const auto scaled = specs_of(config, 1 << 20);
  std::map<std::uint64_t, std::uint32_t> full;  // seed -> longest seen
  for (const auto& spec : scaled)
    for (const auto& piece : spec.pieces) full[piece.seed] = std::max(full[piece.seed], piece.tokens);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    BOOST_REQUIRE_EQUAL(scaled[i].prompt_tokens(),
                        std::max(1u, static_cast<std::uint32_t>(plain[i].prompt_tokens() * 0.3 + 0.5)));
    for (std::size_t p = 0; p + 1 < scaled[i].pieces.size(); ++p) {
      BOOST_REQUIRE_EQUAL(scaled[i].pieces[p].seed, plain[i].pieces[p].seed);
      BOOST_REQUIRE_EQUAL(scaled[i].pieces[p].tokens,
                          full[scaled[i].pieces[p].seed]);  // whole in every prompt
    }
  }
}

BOOST_AUTO_TEST_CASE(a_synthetic_stream_has_its_rate_and_lengths) {
  config::Workload config = synthetic_config(20'000);
  config.prompt = {"lognormal", 500, 0.5, 10, 4000};
  config.output = {"uniform", 0, 1, 10, 20};
  for (const char* arrival : {"poisson", "gamma"}) {
    config.arrival = arrival;
    config.cv = 0.5;
    const auto specs = specs_of(config);
    BOOST_TEST(specs.size() == 20'000u);
    BOOST_CHECK_CLOSE(static_cast<double>(specs.back().arrival_ns) * 1e-9, 2000.0, 3);
    BOOST_CHECK_CLOSE(static_cast<double>(prompts(specs)) / 20'000, 500.0, 2);
    BOOST_CHECK_CLOSE(static_cast<double>(outputs(specs)) / 20'000, 15.0, 2);
    const auto longer = [](const auto& a, const auto& b) { return a.prompt_tokens() < b.prompt_tokens(); };
    const auto [low, high] = std::minmax_element(specs.begin(), specs.end(), longer);
    BOOST_TEST((low->prompt_tokens() >= 10 && high->prompt_tokens() <= 4000));
    for (std::size_t i = 1; i < specs.size(); ++i)
      BOOST_REQUIRE(specs[i].arrival_ns >= specs[i - 1].arrival_ns);
  }
  config.output = {"fixed", 7};
  config.rate_scale = 2;
  const auto specs = specs_of(config);
  BOOST_TEST(*specs[0].max_tokens == 7u);
  BOOST_CHECK_CLOSE(static_cast<double>(specs.back().arrival_ns) * 1e-9, 1000.0, 3);
}

BOOST_AUTO_TEST_CASE(a_stream_without_a_rate_or_a_source_is_refused) {
  config::Workload config = synthetic_config();
  config.rate_per_second.reset();
  BOOST_TEST(!Workload::make(config, kContext).has_value());
  BOOST_TEST(!Workload::make({}, kContext).has_value());
}

BOOST_AUTO_TEST_CASE(closed_clients_wait_for_their_answers) {
  Workload workload = made(closed_config(3, 8));
  for (std::uint64_t i = 0; i < 3; ++i) {
    BOOST_REQUIRE(workload.peek() != nullptr);
    BOOST_TEST(workload.peek()->spec.arrival_ns == 0u);
    BOOST_TEST(workload.next().index == i);
  }
  BOOST_TEST(workload.peek() == nullptr);  // all wait
  BOOST_TEST(!workload.finished());
  workload.on_end(1, 500);
  BOOST_TEST(workload.peek()->spec.arrival_ns == 500u);
  workload.on_end(0, 400);  // ended earlier, told later: it is this client's turn
  BOOST_TEST(workload.peek()->spec.arrival_ns == 400u);
  workload.on_end(1, 600);  // told twice: nothing
  workload.on_end(77, 600);
  BOOST_TEST(workload.next().index == 3u);
  BOOST_TEST(workload.next().spec.arrival_ns == 500u);
  BOOST_TEST(workload.peek() == nullptr);
  for (std::uint64_t i = 2; i < 8; ++i) {
    workload.on_end(i, 1000 + i);
    if (workload.peek() != nullptr) workload.next();
  }
  BOOST_TEST(workload.finished());
  BOOST_TEST(workload.peek() == nullptr);
}

BOOST_AUTO_TEST_CASE(closed_clients_pause_to_think) {
  config::Workload config = closed_config(1, 5000);
  config.think_time_s = 2;
  double slow = 0;
  for (const double scale : {1.0, 4.0}) {
    config.rate_scale = scale;
    Workload workload = made(config);
    std::uint64_t now = 0;
    while (workload.peek() != nullptr) {
      const Issue issue = workload.next();
      now = std::max(now, issue.spec.arrival_ns);
      workload.on_end(issue.index, now);
    }
    const double seconds = static_cast<double>(now) / kSecond_ns;
    if (scale == 1) slow = seconds;
    BOOST_CHECK_CLOSE(seconds, 5000 * 2 / scale, 5);
  }
  BOOST_TEST(slow > 0);
}

BOOST_AUTO_TEST_CASE(closed_clients_are_not_lost_to_dropped_requests) {
  config::Workload config = closed_config(2, 200);
  config.prompt = {"uniform", 0, 1, 1, 200};
  config.output = {"fixed", 10};
  Workload workload = made(config, 110);
  std::uint64_t taken = 0;
  while (workload.peek() != nullptr) {
    workload.on_end(workload.next().index, 0);
    ++taken;
  }
  BOOST_TEST(workload.finished());
  BOOST_TEST(workload.dropped_total() > 50u);
  BOOST_TEST(taken + workload.dropped_total() == 200u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::test
