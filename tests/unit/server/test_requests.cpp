// Bodies: what each parameter becomes, and what is refused by which name.
#include <boost/test/unit_test.hpp>

#include "helpers.hpp"
#include "server/openai/parameters.hpp"

using namespace serveloop;
using namespace serveloop::server;
using namespace serveloop::server::openai;
using serveloop::server::test::json_of;

namespace {

const Model kModel{"small", 257, true};
const Model kIds{"hash", 1000, false};

CompletionRequest completion(const std::string& more, const Model& model = kModel) {
  const auto request = read_completion(json_of("{\"prompt\":" + more + "}"), model);
  BOOST_REQUIRE_MESSAGE(request.has_value(), (request ? "" : request.error().message));
  return *request;
}

ApiError refused(const std::string& body, const Model& model = kModel) {
  const auto request = read_completion(json_of(body), model);
  BOOST_REQUIRE_MESSAGE(!request, (body + ": no error"));
  BOOST_TEST(!request.error().message.empty());
  return request.error();
}

ApiError refused_chat(const std::string& body, const Model& model = kModel) {
  const auto request = read_chat(json_of(body), model);
  BOOST_REQUIRE_MESSAGE(!request, (body + ": no error"));
  return request.error();
}

std::string rendered(const std::string& body) {
  const auto request = read_chat(json_of(body), kModel);
  BOOST_REQUIRE_MESSAGE(request.has_value(), (request ? "" : request.error().message));
  return server::test::byte_text().chat_template->render(request->conversation).value();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(request_bodies)

BOOST_AUTO_TEST_CASE(defaults_are_openais) {
  const CompletionRequest request = completion("\"Hi\"");
  const Sampling& s = request.common.ask.spec.sampling;
  BOOST_TEST(s.temperature == 1.0F);
  BOOST_TEST(s.top_p == 1.0F);
  BOOST_TEST(s.top_k == 0u);
  BOOST_TEST(!s.alternatives);
  BOOST_TEST(request.common.ask.spec.n == 1u);
  BOOST_TEST(!request.common.ask.spec.max_tokens);
  BOOST_TEST(!request.common.delivery.stream);
  BOOST_TEST(s.seed != completion("\"Hi\"").common.ask.spec.sampling.seed);  // drawn
}

BOOST_AUTO_TEST_CASE(each_parameter_arrives) {
  const CompletionRequest request = completion(
      R"("Hi","model":"small","max_tokens":7,"temperature":0.5,"top_p":0.25,"top_k":40,"min_p":0.125,)"
      R"("repetition_penalty":1.5,"presence_penalty":-1,"frequency_penalty":2,"seed":-1,"n":3,"best_of":3,)"
      R"("logit_bias":{"5":-100,"7":1.5},"stop":["a","bc"],"stop_token_ids":[9,8],"ignore_eos":true,"min_tokens":2,)"
      R"("logprobs":4,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true},)"
      R"("user":"u","echo":false,"response_format":{"type":"text"},"add_special_tokens":false,"cache_salt":"c",)"
      R"("return_token_ids":true,"skip_special_tokens":false,"unknown":{"x":1})");
  const auto& spec = request.common.ask.spec;
  const Sampling& s = spec.sampling;
  BOOST_TEST(*spec.max_tokens == 7u);
  BOOST_TEST(s.temperature == 0.5F);
  BOOST_TEST(s.top_p == 0.25F);
  BOOST_TEST(s.top_k == 40u);
  BOOST_TEST(s.min_p == 0.125F);
  BOOST_TEST(s.repetition == 1.5F);
  BOOST_TEST(s.presence == -1.0F);
  BOOST_TEST(s.frequency == 2.0F);
  BOOST_TEST(s.seed == UINT64_MAX);
  BOOST_TEST(spec.n == 3u);
  BOOST_TEST(s.bias.size() == 2u);
  BOOST_TEST((s.bias[0] == TokenBias{5, -100}));
  BOOST_TEST((request.common.ask.stops == std::vector<std::string>{"a", "bc"}));
  BOOST_TEST((s.stop_ids == std::vector<std::uint32_t>{9, 8}));
  BOOST_TEST(request.common.ask.ignore_eos);
  BOOST_TEST(!request.common.ask.skip_special);
  BOOST_TEST(s.min_tokens == 2u);
  BOOST_TEST(*s.alternatives == 4u);
  BOOST_TEST(request.common.delivery.stream);
  BOOST_TEST(request.common.delivery.include_usage);
  BOOST_TEST(request.common.delivery.continuous_usage);
  BOOST_TEST(request.common.delivery.token_ids);
  BOOST_TEST(!request.common.add_special_tokens);
  BOOST_TEST(spec.cache_salt == "c");
}

BOOST_AUTO_TEST_CASE(null_is_as_good_as_nothing) {
  const CompletionRequest request = completion(
      R"("Hi","max_tokens":null,"stop":null,"seed":null,"logprobs":null,"stream_options":null,"suffix":null)");
  BOOST_TEST(!request.common.ask.spec.max_tokens);
  BOOST_TEST(request.common.ask.stops.empty());
}

BOOST_AUTO_TEST_CASE(samplers_that_are_not_there_may_be_left_out_by_name) {
  const CompletionRequest request = completion(
      R"("Hi","length_penalty":1.0,"typical_p":1,"mirostat":0,"mirostat_tau":5,"xtc_probability":0.0,)"
      R"("dry_multiplier":0,"dry_base":1.75,"modalities":["text"],"include_stop_str_in_output":false)");
  BOOST_TEST(request.common.ask.spec.n == 1u);
}

BOOST_AUTO_TEST_CASE(other_spellings) {
  BOOST_TEST(*completion(R"("Hi","max_tokens":3,"max_completion_tokens":5)").common.ask.spec.max_tokens ==
             5u);
  BOOST_TEST(completion(R"("Hi","top_k":-1)").common.ask.spec.sampling.top_k == 0u);
  BOOST_TEST(completion(R"("Hi","n":2.0)").common.ask.spec.n == 2u);
  BOOST_TEST(completion(R"("Hi","stop":"x")").common.ask.stops.size() == 1u);
  BOOST_TEST(completion(R"("Hi","seed":18446744073709551615)").common.ask.spec.sampling.seed == UINT64_MAX);
}

BOOST_AUTO_TEST_CASE(prompts_in_their_four_forms) {
  BOOST_TEST(std::get<std::string>(completion("\"Hi\"").prompts.at(0)) == "Hi");
  BOOST_TEST((std::get<1>(completion("[1,2]").prompts.at(0)) == std::vector<Token>{1, 2}));
  BOOST_TEST((std::get<1>(completion("[[1],[2,3]]").prompts.at(1)) == std::vector<Token>{2, 3}));
  BOOST_TEST(std::get<std::string>(completion("[\"a\",\"b\"]").prompts.at(1)) == "b");
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_named) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"("max_tokens":-1)", "max_tokens"},
      {R"("max_tokens":0)", "max_tokens"},
      {R"("max_tokens":1e300)", "max_tokens"},
      {R"("max_tokens":"7")", "max_tokens"},
      {R"("max_tokens":2.5)", "max_tokens"},
      {R"("n":1000000)", "n"},
      {R"("n":0)", "n"},
      {R"("n":true)", "n"},
      {R"("best_of":2)", "best_of"},
      {R"("temperature":-0.1)", "temperature"},
      {R"("temperature":1e9)", "temperature"},
      {R"("top_p":0)", "top_p"},
      {R"("top_p":1.1)", "top_p"},
      {R"("top_k":-2)", "top_k"},
      {R"("min_p":2)", "min_p"},
      {R"("repetition_penalty":0)", "repetition_penalty"},
      {R"("repetition_penalty":1e-60)", "repetition_penalty"},
      {R"("presence_penalty":3)", "presence_penalty"},
      {R"("frequency_penalty":"x")", "frequency_penalty"},
      {R"("seed":1.5)", "seed"},
      {R"("logit_bias":{"x":1})", "logit_bias"},
      {R"("logit_bias":{"257":1})", "logit_bias"},
      {R"("logit_bias":{"-1":1})", "logit_bias"},
      {R"("logit_bias":{"1":101})", "logit_bias.1"},
      {R"("logit_bias":{"1":1,"01":2})", "logit_bias"},
      {R"("logit_bias":[])", "logit_bias"},
      {R"("stop":5)", "stop"},
      {R"("stop":[""])", "stop"},
      {R"("stop":["a",1])", "stop"},
      {R"("stop_token_ids":[257])", "stop_token_ids"},
      {R"("stop_token_ids":[-1])", "stop_token_ids"},
      {R"("min_tokens":8,"max_tokens":7)", "min_tokens"},
      {R"("logprobs":21)", "logprobs"},
      {R"("logprobs":true)", "logprobs"},
      {R"("stream":1)", "stream"},
      {R"("stream_options":{})", "stream_options"},
      {R"("stream":true,"stream_options":{"include_usage":1})", "stream_options.include_usage"},
      {R"("echo":true)", "echo"},
      {R"("suffix":"x")", "suffix"},
      {R"("response_format":{"type":"json_object"})", "response_format"},
      {R"("guided_json":{})", "guided_json"},
      {R"("functions":[])", "functions"},
      {R"("function_call":"auto")", "function_call"},
      {R"("audio":{})", "audio"},
      {R"("modalities":["text","audio"])", "modalities"},
      {R"("modalities":["audio"])", "modalities"},
      {R"("truncate_prompt_tokens":5)", "truncate_prompt_tokens"},
      {R"("include_stop_str_in_output":true)", "include_stop_str_in_output"},
      {R"("length_penalty":0.5)", "length_penalty"},
      {R"("typical_p":0.9)", "typical_p"},
      {R"("mirostat":2)", "mirostat"},
      {R"("xtc_probability":0.1)", "xtc_probability"},
      {R"("dry_multiplier":"x")", "dry_multiplier"},
      {R"("serveloop":5)", "serveloop"},
  };
  for (const auto& [more, parameter] : cases) {
    const ApiError error = refused("{\"prompt\":\"Hi\"," + more + "}");
    BOOST_TEST(error.parameter == parameter, more + ": " + error.message);
    BOOST_TEST(error.status == 400u, more);
  }
  for (const char* prompt :
       {"5", "{}", "[]", "[[]]", "[1,\"a\"]", "[-1]", "[257]", "[1.5]", "[null]", "null"})
    BOOST_TEST(refused(std::string("{\"prompt\":") + prompt + "}").parameter == "prompt", prompt);
  BOOST_TEST(refused("[]").message == "body: expected a JSON object, found an array");
  const ApiError model = refused(R"({"prompt":"Hi","model":"gpt-4"})");
  BOOST_TEST(model.status == 404u);
  BOOST_TEST(model.code == "model_not_found");
  BOOST_TEST(model.message == "model 'gpt-4' does not exist; this server has 'small'");
}

BOOST_AUTO_TEST_CASE(many_prompts_times_n_are_bounded) {
  std::string prompts = "[\"a\"";
  for (int i = 1; i < 16; ++i) prompts += ",\"a\"";
  BOOST_TEST(completion(prompts + "],\"n\":64").prompts.size() == 16u);
  BOOST_TEST(refused("{\"prompt\":" + prompts + "],\"n\":65}").parameter == "n");
}

BOOST_AUTO_TEST_CASE(models_without_a_vocabulary_take_ids) {
  const CompletionRequest request = completion("[1,999]", kIds);
  BOOST_TEST(request.common.delivery.token_ids);
  BOOST_TEST(refused(R"({"prompt":"Hi"})", kIds).message ==
             "prompt: model 'hash' has no vocabulary; expected token ids");
  BOOST_TEST(refused(R"({"prompt":[1],"stop":"x"})", kIds).parameter == "stop");
  BOOST_TEST(refused_chat(R"({"messages":[{"role":"user","content":"Hi"}]})", kIds).parameter == "messages");
}

BOOST_AUTO_TEST_CASE(the_serveloop_object) {
  const CompletionRequest request = completion(
      R"("Hi","serveloop":{"priority":-5,"tenant":"t","deadline_ms":1500,"ttft_deadline_ms":0.5,"session":"s",)"
      R"("program":"p","category":"c","predicted_tokens":{"p50":10,"p90":20,"p99":30},"hints":{"a":1.5}})");
  const auto& spec = request.common.ask.spec;
  BOOST_TEST(*spec.priority == -5);
  BOOST_TEST(spec.tenant == "t");
  BOOST_TEST(spec.end_deadline_ns == 1'500'000'000u);
  BOOST_TEST(spec.ttft_deadline_ns == 500'000u);
  BOOST_TEST(spec.session == "s");
  BOOST_TEST(spec.program == "p");
  BOOST_TEST(spec.category == "c");
  BOOST_TEST(spec.predicted_p50 == 10u);
  BOOST_TEST(spec.predicted_p90 == 20u);
  BOOST_TEST(spec.predicted_p99 == 30u);
  BOOST_REQUIRE(spec.hints.size() == 1u);
  BOOST_TEST(spec.hints[0].key == 0xaf63dc4c8601ec8du);  // FNV-1a of "a" is ...8c
  BOOST_TEST(spec.hints[0].value == 1.5);
  BOOST_TEST(completion(R"("Hi","serveloop":{"predicted_tokens":9})").common.ask.spec.predicted_p50 == 9u);

  const ApiError unknown = refused(R"({"prompt":"Hi","serveloop":{"priorty":1}})");
  BOOST_TEST(unknown.parameter == "serveloop.priorty");
  BOOST_TEST(unknown.message == "serveloop: unknown key 'priorty'; did you mean 'priority'?");
  for (const auto& [more, parameter] : std::vector<std::pair<std::string, std::string>>{
           {R"("priority":1e9)", "serveloop.priority"},
           {R"("deadline_ms":0)", "serveloop.deadline_ms"},
           {R"("deadline_ms":-1)", "serveloop.deadline_ms"},
           {R"("session":5)", "serveloop.session"},
           {R"("hints":{"a":"b"})", "serveloop.hints.a"},
           {R"("tbt_target_ms":0)", "serveloop.tbt_target_ms"},
           {R"("predicted_tokens":-1)", "serveloop.predicted_tokens"}})
    BOOST_TEST(refused("{\"prompt\":\"Hi\",\"serveloop\":{" + more + "}}").parameter == parameter, more);
}

BOOST_AUTO_TEST_CASE(ranges_to_keep) {
  const auto spec =
      completion(R"("Hi","serveloop":{"tbt_target_ms":50,"retention":[)"
                 R"({"from_token":16,"to_token":512,"priority":80,"duration_ms":1.5},{"priority":0}]})")
          .common.ask.spec;
  BOOST_TEST(spec.tbt_target_ns == 50'000'000u);
  BOOST_REQUIRE(spec.retention.size() == 2u);
  const sl_retention& first = spec.retention[0];
  BOOST_TEST(first.from_token == 16u);
  BOOST_TEST(first.to_token == 512u);
  BOOST_TEST(first.priority == 80u);
  BOOST_TEST(first.duration_ns == 1'500'000u);
  const sl_retention& all = spec.retention[1];
  BOOST_TEST(all.from_token == 0u);
  BOOST_TEST(all.to_token == UINT32_MAX);
  BOOST_TEST(all.duration_ns == SL_NEVER);

  for (const auto& [range, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"priority":101})",
            "serveloop.retention[0].priority: expected a whole number from 0 to 100, found 101"},
           {R"({"to_token":5})", "serveloop.retention[0].priority: expected a whole number, found none"},
           {R"({"priority":1,"duration_ms":0})", "serveloop.retention[0].duration_ms: expected more than 0"},
           {R"({"priority":1,"from_token":5,"to_token":5})",
            "serveloop.retention[0].to_token: expected more than from_token = 5, found 5"},
           {R"({"priority":1,"to_tokens":5})",
            "serveloop.retention[0]: unknown key 'to_tokens'; did you mean 'to_token'?"}}) {
    const ApiError error = refused("{\"prompt\":\"Hi\",\"serveloop\":{\"retention\":[" + range + "]}}");
    BOOST_TEST(error.parameter == "serveloop.retention");
    BOOST_TEST(error.message == message);
  }
  BOOST_TEST(refused(R"({"prompt":"Hi","serveloop":{"retention":[5]}})").parameter == "serveloop.retention");
}

BOOST_AUTO_TEST_CASE(messages_are_rendered) {
  BOOST_TEST(rendered(R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":)"
                      R"([{"type":"text","text":"a"},{"type":"text","text":"b"}]}]})") ==
             "<|system|>S<|user|>a\nb<|assistant|>");
  BOOST_TEST(rendered(R"({"messages":[{"role":"assistant","content":null}],"add_generation_prompt":false,)"
                      R"("chat_template_kwargs":{"mood":"glad"},"tools":[{"type":"function"}]})") ==
             R"(<|assistant|>[{"type": "function"}]glad)");
  BOOST_TEST(rendered(R"({"messages":[{"role":"user","content":"a"}],"tools":[{}],"tool_choice":"none"})") ==
             "<|user|>a<|assistant|>");
}

BOOST_AUTO_TEST_CASE(arguments_of_tool_calls_become_objects) {
  const auto request = read_chat(
      json_of(
          R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{\"x\":1}"}},)"
          R"({"function":{"name":"g","arguments":"no json"}}]}]})"),
      kModel);
  BOOST_REQUIRE(request.has_value());
  const auto source = text::ChatTemplate::create("{{ messages[0].tool_calls|tojson }}", {});
  BOOST_TEST(
      source->render(request->conversation).value() ==
      R"([{"function": {"name": "f", "arguments": {"x": 1}}}, {"function": {"name": "g", "arguments": "no json"}}])");
}

BOOST_AUTO_TEST_CASE(a_templates_own_variables_are_not_free) {
  for (const char* name :
       {"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"}) {
    const ApiError error =
        refused_chat(R"({"messages":[{"role":"user","content":"a"}],"chat_template_kwargs":{")" +
                     std::string(name) + R"(":"x"}})");
    BOOST_TEST(error.parameter == "chat_template_kwargs." + std::string(name));
  }
}

BOOST_AUTO_TEST_CASE(wrong_messages_are_named) {
  for (const auto& [body, parameter] : std::vector<std::pair<std::string, std::string>>{
           {R"({})", "messages"},
           {R"({"messages":[]})", "messages"},
           {R"({"messages":[5]})", "messages[0]"},
           {R"({"messages":[{"content":"a"}]})", "messages[0].role"},
           {R"({"messages":[{"role":"user"}]})", "messages[0].content"},
           {R"({"messages":[{"role":"user","content":5}]})", "messages[0].content"},
           {R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})",
            "messages[0].content[0].type"},
           {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "messages[0].content[0].text"},
           {R"({"messages":[{"role":"user","content":"a"}],"tools":[1]})", "tools"},
           {R"({"messages":[{"role":"user","content":"a"}],"tool_choice":"required"})", "tool_choice"},
           {R"({"messages":[{"role":"user","content":"a"}],"chat_template":"x"})", "chat_template"},
           {R"({"messages":[{"role":"user","content":"a"}],"logprobs":1})", "logprobs"},
           {R"({"messages":[{"role":"user","content":"a"}],"top_logprobs":2})", "top_logprobs"}})
    BOOST_TEST(refused_chat(body).parameter == parameter, body);
}

BOOST_AUTO_TEST_CASE(the_deepest_json_there_is_can_be_rendered) {
  std::string deep = "1";
  for (int i = 0; i < 60; ++i) deep = "[" + deep + "]";
  std::string arguments = "1";
  for (int i = 0; i < 28; ++i) arguments = "[" + arguments + "]";
  BOOST_TEST(rendered(R"({"messages":[{"role":"user","content":"a","x":)" + deep +
                      R"(,"tool_calls":[{"function":)"
                      R"({"arguments":"{\"a\":)" +
                      arguments + R"(}"}}]}]})") == "<|user|>a<|assistant|>");
}

BOOST_AUTO_TEST_SUITE_END()
