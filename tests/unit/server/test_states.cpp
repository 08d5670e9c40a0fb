// Keys, paths and heads, metrics: the small parts.
#include <boost/test/unit_test.hpp>
#include <set>

#include "helpers.hpp"
#include "server/auth.hpp"
#include "server/head.hpp"
#include "server/metrics_text.hpp"

using namespace serveloop;
using namespace serveloop::server;

BOOST_AUTO_TEST_SUITE(keys)

BOOST_AUTO_TEST_CASE(a_key_names_its_tenant) {
  const Keys keys({{"a", {{"key-a", "key-b"}, 1}}, {"c", {{"key-c"}, 1}}, {"d", {}}});
  BOOST_TEST(keys.required());
  BOOST_TEST(keys.identify("Bearer key-b")->tenant == "a");
  BOOST_TEST(keys.identify("bearer  key-c ")->tenant == "c");
  BOOST_TEST(keys.identify("Bearer key-c")->key == "key-c");
  for (const char* wrong :
       {"", "Bearer", "Bearer ", "Bearer key-d", "Bearer key-", "Bearer key-aa", "Basic key-a", "key-a"}) {
    const auto caller = keys.identify(wrong);
    BOOST_REQUIRE_MESSAGE(!caller, wrong);
    BOOST_TEST(caller.error().status == 401u);
    BOOST_TEST(caller.error().message.find("key-") == std::string::npos, wrong);
  }
}

BOOST_AUTO_TEST_CASE(without_keys_everyone_may_come) {
  const std::map<std::string, config::Tenant> tenants{{"a", {}}};
  const Keys keys(tenants);
  BOOST_TEST(!keys.required());
  BOOST_TEST(keys.identify("")->tenant.empty());
  BOOST_TEST(keys.identify("Bearer x")->key == "x");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(heads)

BOOST_AUTO_TEST_CASE(paths_are_decoded) {
  BOOST_TEST(decoded_path("/v1/models?x=1").value() == "/v1/models");
  BOOST_TEST(decoded_path("/v1/models/a%2Fb%20c").value() == "/v1/models/a/b c");
  BOOST_TEST(decoded_path("http://localhost:80/health").value() == "/health");
  for (const char* wrong : {"", "*", "/a%", "/a%2", "/a%zz"}) BOOST_TEST(!decoded_path(wrong), wrong);
}

BOOST_AUTO_TEST_CASE(ids_of_clients_are_kept_where_they_are_sound) {
  BOOST_TEST(request_id("abc-1") == "abc-1");
  BOOST_TEST(request_id("").size() == 24u);
  BOOST_TEST(request_id("") != request_id(""));
  BOOST_TEST(request_id("a b") != "a b");
  BOOST_TEST(request_id("a\r\nX: y") != "a\r\nX: y");
  BOOST_TEST(request_id(std::string(129, 'a')).size() == 24u);
}

BOOST_AUTO_TEST_CASE(heads_are_http) {
  const std::string head = head_text({429, "application/json", {{"Retry-After", "1"}}, ""}, "id-1", false, 5);
  BOOST_TEST(head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
  for (const char* line :
       {"Content-Length: 5\r\n", "X-Request-ID: id-1\r\n", "Retry-After: 1\r\n", "Connection: close\r\n"})
    BOOST_TEST(head.find(line) != std::string::npos, line);
  BOOST_TEST(head.ends_with("\r\n\r\n"));
  std::string chunk;
  append_chunk(chunk, std::string(26, 'x'));
  BOOST_TEST(chunk == "1a\r\n" + std::string(26, 'x') + "\r\n");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(metrics)

BOOST_AUTO_TEST_CASE(say_what_the_snapshot_holds) {
  service::Snapshot s;
  s.running = 3;
  s.waiting = 2;
  s.kv_blocks = 100;
  s.kv_free = 20;
  s.kv_cached = 30;
  s.host_blocks = 70;
  s.host_free = 40;
  s.host_cached = 20;
  s.host_in_transit = 3;
  s.block_tokens = 16;
  s.counters.steps = 10;
  s.counters.host_full = 8;
  s.counters.no_host_tier = 9;
  s.counters.host_dropped_blocks = 11;
  s.counters.prefetched_blocks = 12;
  s.counters.computed_tokens = 50;
  s.counters.fallbacks[{1, 20}] = 4;
  s.decisions = {{"sarathi", "admit", "chunk \"full\"\n", 7}};
  s.finished = {{"stop", 1}, {"cancelled", 2}, {"deadline", 3}};
  s.first_token.counts[0] = 1;
  s.first_token.counts[19] = 2;
  s.first_token.sum_s = 1.5;
  s.first_token.count = 3;
  HttpCounts http;
  http.add(200);
  http.add(200);
  http.add(404);
  const std::string text = metrics_text(s, {"m", 0, 1, 1, 1}, http);
  for (const char* line :
       {"serveloop_sequences{state=\"running\"} 3",
        "serveloop_kv_use_ratio 0.5",
        "serveloop_kv_blocks{state=\"used\"} 50",
        "serveloop_host_kv_blocks{state=\"used\"} 7",
        "serveloop_host_kv_blocks{state=\"cached\"} 20",
        "serveloop_host_kv_blocks{state=\"free\"} 40",
        "serveloop_host_kv_blocks{state=\"in_transit\"} 3",
        "serveloop_host_refused_total{reason=\"host_full\"} 8",
        "serveloop_host_refused_total{reason=\"no_host_tier\"} 9",
        "serveloop_host_dropped_blocks_total 11",
        "serveloop_prefetched_blocks_total 12",
        "serveloop_decisions_total{plugin=\"sarathi\",decision=\"admit\",reason=\"chunk \\\"full\\\"\\n\"} 7",
        "serveloop_fallbacks_total{kind=\"scheduler\",reason=\"over_budget\"} 4",
        "serveloop_first_token_seconds_bucket{le=\"0.001\"} 1",
        "serveloop_first_token_seconds_bucket{le=\"1000\"} 1",
        "serveloop_first_token_seconds_bucket{le=\"+Inf\"} 3",
        "serveloop_first_token_seconds_sum 1.5",
        "serveloop_http_requests_total{code=\"200\"} 2",
        "serveloop_http_requests_total{code=\"404\"} 1",
        "vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 3",
        "vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 2",
        "vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\"} 0.5",
        "vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"100\",engine=\"0\",model_name=\"m\"} 1",
        "vllm:request_success_total{engine=\"0\",finished_reason=\"abort\",model_name=\"m\"} 5",
        "vllm:iteration_tokens_total_sum{engine=\"0\",model_name=\"m\"} 50",
        "vllm:time_to_first_token_seconds_count{engine=\"0\",model_name=\"m\"} 3"})
    BOOST_TEST(text.find(std::string("\n") + line + "\n") != std::string::npos, line);
}

BOOST_AUTO_TEST_CASE(every_metric_is_told_once) {
  std::set<std::string> names;
  const HttpCounts http;
  const std::string text = metrics_text({}, {"m", 0, 1, 1, 1}, http);
  for (std::size_t at = text.find("# TYPE "); at != text.npos; at = text.find("# TYPE ", at + 1)) {
    const std::string name = text.substr(at + 7, text.find(' ', at + 7) - at - 7);
    BOOST_TEST(names.insert(name).second, name);
  }
  BOOST_TEST(names.size() > 40u);
}

BOOST_AUTO_TEST_SUITE_END()
