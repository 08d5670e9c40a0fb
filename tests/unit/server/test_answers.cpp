// From an ask to the text of its answer, whole and streamed, without a socket.
#include <boost/test/unit_test.hpp>

#include "fake.hpp"
#include "helpers.hpp"
#include "server/generation.hpp"

using namespace serveloop;
using namespace serveloop::server;
using namespace serveloop::server::test;

namespace {

struct Given {
  std::vector<std::string> prompts{"abc"};
  std::uint32_t n = 1, max_tokens = 3;
  bool chat = false, text = true;
  openai::Delivery delivery;
};

Response answer(FakeEngine& engine, const Given& given, std::size_t room = 1 << 16) {
  const auto exchange = std::make_shared<FakeExchange>();
  openai::Shape shape;
  shape.chat = given.chat;
  shape.delivery = given.delivery;
  shape.id = "cmpl-1";
  shape.model = "small";
  shape.created_s = 9;
  shape.n = given.n;
  shape.text = given.text ? &byte_text() : nullptr;
  std::vector<service::Ask> asks;
  for (const std::string& prompt : given.prompts) {
    service::Ask ask;
    ask.spec.prompt.assign(prompt.begin(), prompt.end());
    ask.spec.n = given.n;
    ask.spec.max_tokens = given.max_tokens;
    ask.spec.sampling.alternatives = given.delivery.logprobs;
    shape.prompt_tokens.push_back(static_cast<std::uint32_t>(prompt.size()));
    asks.push_back(std::move(ask));
  }
  std::make_shared<Generation>(engine, exchange, shape)->run(std::move(asks));
  return exchange->wait(room);
}

std::string joined(const std::vector<Json>& events, const char* path, double index = 0) {
  std::string text;
  for (const Json& event : events)
    if (!at(event, "choices").as_array()->empty() && number_at(event, "choices.0.index") == index &&
        at(event, "choices.0").find("text") != nullptr)
      text += text_at(event, path);
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(answers)

BOOST_AUTO_TEST_CASE(a_completion) {
  FakeEngine engine(&byte_text());
  const Response response = answer(engine, {});
  BOOST_TEST(response.status == 200u);
  BOOST_TEST(
      response.body ==
      R"({"id":"cmpl-1","object":"text_completion","created":9,"model":"small","choices":[{"index":0,"text":"abc",)"
      R"("logprobs":null,"finish_reason":"length","stop_reason":null}],"usage":{"prompt_tokens":3,"completion_tokens":3,)"
      R"("total_tokens":6,"prompt_tokens_details":{"cached_tokens":2}},"timings":{"request":1,"queue_ms":1.000,)"
      R"("prefill_ms":2.000,"decode_ms":4.000,"first_token_ms":3.000,"total_ms":8.000,"cached_tokens":2,)"
      R"("recomputed_tokens":0,"preemptions":1,"causes":{"host_policy":1.500}}})");
}

BOOST_AUTO_TEST_CASE(a_chat_completion) {
  FakeEngine engine(&byte_text());
  engine.stop_after_ = 2;
  Given given;
  given.chat = true;
  const Json json = json_of(answer(engine, given).body);
  BOOST_TEST(text_at(json, "object") == "chat.completion");
  BOOST_TEST(text_at(json, "choices.0.message.role") == "assistant");
  BOOST_TEST(text_at(json, "choices.0.message.content") == "ab");
  BOOST_TEST(text_at(json, "choices.0.finish_reason") == "stop");
  BOOST_TEST(text_at(json, "choices.0.stop_reason") == "!");
  BOOST_TEST(number_at(json, "usage.completion_tokens") == 2);
}

BOOST_AUTO_TEST_CASE(a_stream_has_an_event_a_token_and_ends) {
  FakeEngine engine(&byte_text());
  Given given;
  given.delivery.stream = true;
  for (const std::size_t room : {std::size_t{1}, std::size_t{1} << 16}) {
    const Response response = answer(engine, given, room);
    BOOST_TEST(response.content_type.starts_with("text/event-stream"));
    const std::vector<Json> events = events_of(response.body);
    BOOST_REQUIRE(events.size() == 4u);
    BOOST_TEST(joined(events, "choices.0.text") == "abc");
    BOOST_TEST(at(events[0], "choices.0.finish_reason").is_null());
    BOOST_TEST(text_at(events[3], "choices.0.finish_reason") == "length");
    BOOST_TEST(number_at(events[3], "timings.total_ms") == 8);
    BOOST_TEST(events[0].find("usage") == nullptr);
  }
}

BOOST_AUTO_TEST_CASE(a_chats_stream_opens_with_its_role) {
  FakeEngine engine(&byte_text());
  Given given;
  given.chat = given.delivery.stream = true;
  const std::vector<Json> events = events_of(answer(engine, given).body);
  BOOST_REQUIRE(events.size() == 5u);
  BOOST_TEST(text_at(events[0], "object") == "chat.completion.chunk");
  BOOST_TEST(text_at(events[0], "choices.0.delta.role") == "assistant");
  BOOST_TEST(text_at(events[2], "choices.0.delta.content") == "b");
  BOOST_TEST(at(events[4], "choices.0.delta").as_object()->empty());
}

BOOST_AUTO_TEST_CASE(usage_comes_last_or_always) {
  FakeEngine engine(&byte_text());
  Given given;
  given.delivery.stream = given.delivery.include_usage = true;
  std::vector<Json> events = events_of(answer(engine, given).body);
  BOOST_REQUIRE(events.size() == 5u);
  BOOST_TEST(at(events[0], "usage").is_null());
  BOOST_TEST(at(events[4], "choices").as_array()->empty());
  BOOST_TEST(number_at(events[4], "usage.total_tokens") == 6);
  BOOST_TEST(number_at(events[4], "usage.prompt_tokens_details.cached_tokens") == 2);
  BOOST_TEST(number_at(events[4], "timings.request") == 1);
  given.delivery.continuous_usage = true;
  events = events_of(answer(engine, given).body);
  BOOST_TEST(number_at(events[0], "usage.completion_tokens") == 1);
  BOOST_TEST(number_at(events[1], "usage.completion_tokens") == 2);
  BOOST_TEST(number_at(events[4], "usage.completion_tokens") == 3);
}

BOOST_AUTO_TEST_CASE(choices_of_prompts_are_numbered_through) {
  FakeEngine engine(&byte_text());
  Given given;
  given.prompts = {"ab", "xyz"};
  given.n = 2;
  const Json json = json_of(answer(engine, given).body);
  BOOST_REQUIRE(at(json, "choices").as_array()->size() == 4u);
  BOOST_TEST(text_at(json, "choices.1.text") == "aba");
  BOOST_TEST(text_at(json, "choices.2.text") == "xyz");
  BOOST_TEST(number_at(json, "choices.3.index") == 3);
  BOOST_TEST(number_at(json, "usage.prompt_tokens") == 5);
  BOOST_TEST(number_at(json, "usage.completion_tokens") == 12);
  BOOST_TEST(number_at(json, "usage.prompt_tokens_details.cached_tokens") == 4);
  BOOST_TEST(number_at(json, "choices.3.timings.total_ms") == 8);
  given.delivery.stream = true;
  const std::vector<Json> events = events_of(answer(engine, given).body);
  BOOST_TEST(events.size() == 16u);
  for (int index = 0; index < 4; ++index)
    BOOST_TEST(joined(events, "choices.0.text", index) == (index < 2 ? "aba" : "xyz"));
}

BOOST_AUTO_TEST_CASE(log_probabilities) {
  FakeEngine engine(&byte_text());
  Given given;
  given.delivery.logprobs = 2;
  const Json json = json_of(answer(engine, given).body);
  BOOST_TEST(number_at(json, "choices.0.logprobs.text_offset.2") == 2);
  BOOST_TEST(number_at(json, "choices.0.logprobs.token_logprobs.0") == -0.5);
  BOOST_TEST(text_at(json, "choices.0.logprobs.tokens.2") == "c");
  BOOST_TEST(number_at(json, "choices.0.logprobs.top_logprobs.2.a") == -1);
  BOOST_TEST(number_at(json, "choices.0.logprobs.top_logprobs.2.c") == -0.5);  // its own, not among the two
  given.chat = true;
  const Json chat = json_of(answer(engine, given).body);
  BOOST_TEST(text_at(chat, "choices.0.logprobs.content.1.token") == "b");
  BOOST_TEST(number_at(chat, "choices.0.logprobs.content.1.bytes.0") == 98);
  BOOST_TEST(at(chat, "choices.0.logprobs.content.1.top_logprobs").as_array()->size() == 2u);
  given.delivery.stream = true;
  const std::vector<Json> events = events_of(answer(engine, given).body);
  BOOST_TEST(number_at(events[2], "choices.0.logprobs.content.0.logprob") == -0.5);
  given.chat = false;
  BOOST_TEST(number_at(events_of(answer(engine, given).body)[2], "choices.0.logprobs.text_offset.0") == 2);
}

BOOST_AUTO_TEST_CASE(models_without_a_vocabulary_answer_in_ids) {
  FakeEngine engine(nullptr);
  Given given;
  given.text = false;
  given.delivery.token_ids = true;
  given.delivery.logprobs = 1;
  const Json json = json_of(answer(engine, given).body);
  BOOST_TEST(number_at(json, "choices.0.token_ids.2") == 'c');
  BOOST_TEST(text_at(json, "choices.0.text").empty());
  BOOST_TEST(text_at(json, "choices.0.logprobs.tokens.0") == "token_id:97");
  given.delivery.stream = true;
  const std::vector<Json> events = events_of(answer(engine, given).body);
  BOOST_REQUIRE(events.size() == 4u);
  BOOST_TEST(number_at(events[1], "choices.0.token_ids.0") == 'b');
}

BOOST_AUTO_TEST_CASE(failures_before_a_token_are_told_by_status) {
  for (const bool stream : {false, true}) {
    FakeEngine engine(&byte_text());
    Given given;
    given.delivery.stream = stream;
    engine.bad_end_ = service::Finish::rejected;
    Response response = answer(engine, given);
    BOOST_TEST(response.status == 429u);
    BOOST_TEST(text_at(json_of(response.body), "error.type") == "rate_limit_error");
    engine.bad_end_ = service::Finish::error;
    response = answer(engine, given);
    BOOST_TEST(response.status == 500u);
    engine.bad_end_ = service::Finish::deadline;  // no failure of ours: an answer that was cut short
    response = answer(engine, given);
    BOOST_TEST(response.status == 200u);
    BOOST_TEST(response.body.find(R"("finish_reason":"abort","stop_reason":"deadline")") !=
               std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(refusals_are_told_by_status) {
  FakeEngine engine(&byte_text());
  using Why = service::Refusal::Why;
  engine.refusal_ = service::Refusal{Why::full, "", {"too many", "", "", ""}};
  Response response = answer(engine, {});
  BOOST_TEST(response.status == 429u);
  BOOST_TEST((response.headers == Headers{{"Retry-After", "1"}}));
  engine.refusal_->why = Why::closing;
  BOOST_TEST(answer(engine, {}).status == 503u);
  engine.refusal_ = service::Refusal{Why::invalid, "max_tokens", {"wrong", "", "", ""}};
  response = answer(engine, {});
  BOOST_TEST(response.status == 400u);
  BOOST_TEST(text_at(json_of(response.body), "error.param") == "max_tokens");
}

BOOST_AUTO_TEST_CASE(a_later_prompts_refusal_is_told_by_status_and_cancels_the_others) {
  FakeEngine engine(&byte_text());
  engine.accepts_ = 1;
  engine.refusal_ = service::Refusal{service::Refusal::Why::full, "", {"too many", "", "", ""}};
  Given given;
  given.prompts = {"abc", "abc"};
  given.max_tokens = 1000;
  given.delivery.stream = true;
  BOOST_TEST(answer(engine, given).status == 429u);
  BOOST_TEST((engine.cancelled() == std::set<std::uint64_t>{1}));
}

BOOST_AUTO_TEST_CASE(who_goes_away_cancels_all_that_runs) {
  FakeEngine engine(&byte_text(), std::chrono::milliseconds(1));
  const auto exchange = std::make_shared<FakeExchange>();
  openai::Shape shape;
  shape.prompt_tokens = {1, 1};
  service::Ask ask;
  ask.spec.prompt = {97};
  ask.spec.max_tokens = 1000000;
  std::make_shared<Generation>(engine, exchange, shape)->run({ask, ask});
  BOOST_TEST(engine.running() == 2u);
  exchange->go_away();
  BOOST_TEST(engine.wait_for([&] { return engine.running() == 0; }));
  BOOST_TEST((engine.cancelled() == std::set<std::uint64_t>{1, 2}));
}

BOOST_AUTO_TEST_SUITE_END()
