// Over sockets: keep-alive, clients that go away, slow readers, the end.
#include <boost/test/unit_test.hpp>

#include "server_stage.hpp"

using namespace serveloop;
using namespace serveloop::server;
using namespace serveloop::server::test;

namespace {

const char* const kLong = R"({"prompt":"abc","max_tokens":4000,"stream":true})";
constexpr std::chrono::milliseconds kStep{1};

}  // namespace

BOOST_AUTO_TEST_SUITE(http)

BOOST_AUTO_TEST_CASE(many_requests_on_one_connection) {
  const Stage stage;
  Client client = stage.client();
  BOOST_TEST(client.get("/health").body == R"({"status":"ok"})");
  BOOST_TEST(client.get("/version").body == R"({"version":"1.2.3"})");
  BOOST_TEST(text_at(json_of(client.get("/v1/models").body), "data.0.id") == "small");
  BOOST_TEST(number_at(json_of(client.get("/v1/models/small").body), "max_model_len") == 4096);
  BOOST_TEST(client.get("/v1/models/other").status == 404);
  BOOST_TEST(client.get("/metrics").body.find("serveloop_http_requests_total{code=\"200\"} 4\n") !=
             std::string::npos);
  client.post("/v1/completions", R"({"prompt":"abc","max_tokens":4})");
  BOOST_TEST(text_at(json_of(client.receive().body), "choices.0.text") == "abca");
  client.post("/v1/chat/completions",
              R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":11,"stream":true})");
  const Answer chat = client.receive();
  BOOST_TEST(chat.head.find("Transfer-Encoding: chunked") != std::string::npos);
  BOOST_TEST(events_of(chat.body).size() == 13u);
  BOOST_TEST(client.get("/ready").status == 200);
}

BOOST_AUTO_TEST_CASE(what_is_not_there_is_told_in_openais_shape) {
  const Stage stage;
  Client client = stage.client();
  Answer answer = client.get("/nothing");
  BOOST_TEST(answer.status == 404);
  BOOST_TEST(text_at(json_of(answer.body), "error.code") == "not_found");
  answer = client.get("/v1/completions");
  BOOST_TEST(answer.status == 405);
  BOOST_TEST(answer.head.find("Allow: POST\r\n") != std::string::npos);
  client.send("HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  answer = client.receive(true);
  BOOST_TEST(answer.head.find("Content-Length: 15\r\n") != std::string::npos);
  client.send("DELETE /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  BOOST_TEST(client.receive().status == 405);
  client.post("/v1/completions", R"({"prompt":"abc","max_tokens":-1})");
  answer = client.receive();
  BOOST_TEST(answer.status == 400);
  BOOST_TEST(text_at(json_of(answer.body), "error.param") == "max_tokens");
  client.post("/v1/completions", "\"\xff\"");
  BOOST_TEST(text_at(json_of(client.receive().body), "error.code") == "invalid_json");
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: "
      "2\r\n\r\n{}");
  BOOST_TEST(client.receive().status == 415);
}

BOOST_AUTO_TEST_CASE(ids_are_echoed) {
  const Stage stage;
  Client client = stage.client();
  client.post("/v1/completions", R"({"prompt":"abc"})", "X-Request-ID: mine-1\r\n");
  const Answer answer = client.receive();
  BOOST_TEST(answer.head.find("X-Request-ID: mine-1\r\n") != std::string::npos);
  BOOST_TEST(text_at(json_of(answer.body), "id") == "cmpl-mine-1");
}

BOOST_AUTO_TEST_CASE(prompts_beyond_the_context_are_refused) {
  Stage stage;
  Client client = stage.client();
  for (const auto& [body, parameter] : std::vector<std::pair<std::string, std::string>>{
           {"{\"prompt\":\"" + std::string(4096, 'a') + "\"}", "prompt"},
           {R"({"prompt":"abc","max_tokens":4094})", "max_tokens"},
           {"{\"prompt\":\"" + std::string(std::size_t{4} << 20, 'a') + "\"}", "prompt"}}) {
    client.post("/v1/completions", body);
    const Answer answer = client.receive();
    BOOST_TEST(answer.status == 400);
    BOOST_TEST(text_at(json_of(answer.body), "error.code") == "context_length_exceeded");
    BOOST_TEST(text_at(json_of(answer.body), "error.param") == parameter);
  }
  client.post("/v1/completions",
              "{\"prompt\":\"" + std::string(4090, 'a') + "\"}");  // the default 16 gives way
  BOOST_TEST(client.receive().status == 200);
  BOOST_TEST(*stage.engine.asks().back().spec.max_tokens == 6u);
}

BOOST_AUTO_TEST_CASE(tokenize_and_back) {
  const Stage stage;
  Client client = stage.client();
  client.post("/tokenize", R"({"prompt":"a<|im_end|>","return_token_strs":true})");
  const Json json = json_of(client.receive().body);
  BOOST_TEST(number_at(json, "count") == 2);
  BOOST_TEST(number_at(json, "tokens.1") == 256);
  BOOST_TEST(text_at(json, "token_strs.1") == "<|im_end|>");
  client.post("/detokenize", R"({"tokens":[97,256]})");
  BOOST_TEST(text_at(json_of(client.receive().body), "prompt") == "a<|im_end|>");
  client.post("/detokenize", R"({"tokens":[257]})");
  BOOST_TEST(text_at(json_of(client.receive().body), "error.param") == "tokens");
  client.post("/tokenize", R"({"messages":[{"role":"user","content":"a"}],"add_generation_prompt":false})");
  BOOST_TEST(number_at(json_of(client.receive().body), "count") == 9);
}

BOOST_AUTO_TEST_CASE(keys_guard_what_is_theirs) {
  ServerOptions options = any_port();
  options.tenants["acme"].keys = {"sesame"};
  Stage stage({}, options);
  Client client = stage.client();
  for (const char* path : {"/v1/models", "/v1/models/small"})
    BOOST_TEST(client.get(path).status == 401, path);
  for (const char* path : {"/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"}) {
    client.post(path, "{}");
    BOOST_TEST(client.receive().status == 401, path);
  }
  BOOST_TEST(client.get("/health").status == 200);
  const char* const key = "Authorization: Bearer sesame\r\n";
  client.post("/v1/completions", R"({"prompt":"a"})", key);
  BOOST_TEST(client.receive().status == 200);
  BOOST_TEST(stage.engine.asks().back().spec.key == "sesame");
  BOOST_TEST(stage.engine.asks().back().spec.tenant == "acme");
  client.post("/v1/completions", R"({"prompt":"a","serveloop":{"tenant":"acme"}})", key);
  BOOST_TEST(client.receive().status == 200);
  client.post("/v1/completions", R"({"prompt":"a","serveloop":{"tenant":"other"}})", key);
  const Answer answer = client.receive();
  BOOST_TEST(answer.status == 400);
  BOOST_TEST(text_at(json_of(answer.body), "error.param") == "serveloop.tenant");
}

BOOST_AUTO_TEST_CASE(a_client_that_closes_cancels_its_request) {
  for (const char* body : {kLong, R"({"prompt":"abc","max_tokens":4000})"}) {
    Stage stage(kStep);
    Client client = stage.client();
    client.post("/v1/completions", body);
    BOOST_REQUIRE(stage.engine.wait_for([&] { return stage.engine.running() == 1; }));
    client.close();
    BOOST_TEST(stage.engine.wait_for([&] { return stage.engine.cancelled().count(1) == 1; }));
  }
}

BOOST_AUTO_TEST_CASE(a_client_that_shuts_down_its_side_gets_short_answers_and_no_long_ones) {
  Stage stage(kStep);
  Client client = stage.client();
  client.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  client.shut_down_sending();
  BOOST_TEST(client.receive().status == 200);
  Client other = stage.client();
  other.post("/v1/completions", kLong);
  BOOST_REQUIRE(stage.engine.wait_for([&] { return stage.engine.running() == 1; }));
  other.shut_down_sending();
  BOOST_TEST(stage.engine.wait_for([&] { return stage.engine.cancelled().count(1) == 1; }));
  BOOST_TEST(other.closed());
}

BOOST_AUTO_TEST_CASE(requests_that_come_ahead_are_answered_in_order) {
  const Stage stage;
  Client client = stage.client();
  client.post("/v1/completions", R"({"prompt":"abc","max_tokens":2})");
  client.send(
      "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\nGET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
  BOOST_TEST(text_at(json_of(client.receive().body), "choices.0.text") == "ab");
  BOOST_TEST(client.receive().body == R"({"version":"1.2.3"})");
  BOOST_TEST(client.receive().status == 404);
}

BOOST_AUTO_TEST_CASE(a_slow_reader_holds_nobody_up_and_gets_all) {
  Stage stage;
  stage.engine.info_.longest_request = 1 << 20;
  Client slow =
      stage.client();  // reads nothing of some 20 MB, more than sockets keep, until another was answered
  slow.post("/v1/completions", R"({"prompt":"abc","max_tokens":100000,"stream":true})");
  BOOST_REQUIRE(
      stage.engine.wait_for([&] { return stage.engine.asks().size() == 1 && stage.engine.running() == 0; }));
  Client other = stage.client();
  other.post("/v1/completions", R"({"prompt":"abc","max_tokens":4})");
  BOOST_TEST(other.receive().status == 200);
  BOOST_TEST(events_of(slow.receive().body).size() == 100001u);
}

BOOST_AUTO_TEST_CASE(http_1_0_is_answered_and_closed) {
  const Stage stage;
  Client client = stage.client();
  const std::string body = R"({"prompt":"abc","max_tokens":3,"stream":true})";
  client.send("POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const Answer answer = client.receive();
  BOOST_TEST(answer.head.find("Connection: close") != std::string::npos);
  BOOST_TEST(events_of(answer.body).size() == 4u);
}

BOOST_AUTO_TEST_CASE(chunked_bodies_and_100_continue) {
  const Stage stage;
  Client client = stage.client();
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
      "chunked\r\n\r\n10\r\n{\"prompt\":\"abc\",\r\n");
  client.send("10\r\n\"max_tokens\": 3}\r\n0\r\n\r\n");
  BOOST_TEST(text_at(json_of(client.receive().body), "choices.0.text") == "abc");
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "
      "16\r\n\r\n");
  BOOST_TEST(client.receive_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("{\"prompt\":\"abc\"}");
  BOOST_TEST(client.receive().status == 200);
}

BOOST_AUTO_TEST_CASE(a_port_in_use_is_one_line) {
  Stage stage;
  ServerOptions options = any_port();
  options.server.port = static_cast<std::uint32_t>(std::stoi(stage.server->url().substr(17)));
  BOOST_TEST(!can_listen(options.server));
  BOOST_TEST(can_listen(any_port().server).has_value());
  const auto second = Server::start(options, stage.engine);
  BOOST_REQUIRE(!second);
  BOOST_TEST(second.error().message().find("Address already in use; another program listens there") !=
             std::string::npos);
}

// By the address that its host stands for.
BOOST_AUTO_TEST_CASE(it_knows_whether_only_this_machine_reaches_it) {
  for (const auto& [host, loopback] : {std::pair{"127.0.0.1", true}, std::pair{"127.9.8.7", true},
                                       std::pair{"localhost", true}, std::pair{"0.0.0.0", false}}) {
    ServerOptions options = any_port();
    options.server.host = host;
    Stage stage({}, options);
    BOOST_TEST(stage.server->loopback() == loopback, host);
  }
}

BOOST_AUTO_TEST_CASE(ending_finishes_what_runs_and_takes_no_more) {
  Stage stage(kStep);
  Client idle = stage.client();
  BOOST_TEST(idle.get("/health").status == 200);
  Client busy = stage.client();
  busy.post("/v1/completions", R"({"prompt":"abc","max_tokens":100,"stream":true})");
  busy.receive_until("data:");
  stage.server->stop_listening();
  BOOST_TEST(idle.closed());
  BOOST_TEST(busy.receive_until("[DONE]").size() > 1000u);
  BOOST_TEST(busy.closed());
  BOOST_CHECK_THROW(stage.client().get("/health"), std::runtime_error);
  stage.server->finish(5'000'000'000);
}

BOOST_AUTO_TEST_CASE(a_server_can_end_while_all_is_busy) {
  FakeEngine engine(&byte_text(), kStep);
  std::vector<Client> clients;
  {
    const std::unique_ptr<Server> server = started(engine);
    for (int i = 0; i < 16; ++i) {
      clients.emplace_back(server->url());
      clients.back().post("/v1/completions", i % 2 == 0 ? kLong : R"({"prompt":"abc","max_tokens":4000})");
    }
    BOOST_REQUIRE(engine.wait_for([&] { return engine.running() == 16; }));
  }
  BOOST_TEST(engine.wait_for([&] { return engine.running() == 0; }));
}

BOOST_AUTO_TEST_SUITE_END()
