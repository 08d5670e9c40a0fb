// The chat template's own promises: what a template sees, what its errors say, the clock, and threads.
#include <boost/test/unit_test.hpp>
#include <thread>

#include "golden.hpp"

using namespace golden;

namespace {

std::string error_of(const std::string& source, const Conversation& conversation = {}) {
  const auto result = rendered(source, conversation);
  BOOST_REQUIRE_MESSAGE(!result, source + ": no error");
  return result.error().message();
}

Conversation hello() {
  Conversation conversation;
  conversation.messages = value_of_json(R"([{"role": "user", "content": "Hi"}])");
  return conversation;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(chat_template)

BOOST_AUTO_TEST_CASE(sees_messages_tools_and_tokens) {
  Conversation conversation = hello();
  BOOST_TEST(rendered("{{ bos_token }}{{ messages[0].role }}{{ tools }}{{ documents }}{{ "
                      "add_generation_prompt }}{{ eos_token }}",
                      conversation)
                 .value() == "<s>userNoneNoneTrue</s>");
  conversation.tools = value_of_json(R"([{"b": 1, "a": 2}])");
  conversation.add_generation_prompt = false;
  conversation.extra = {{"enable_thinking", Value(true)}, {"bos_token", Value::text("<other>")}};
  BOOST_TEST(rendered("{{ tools|tojson }}{{ add_generation_prompt }}{{ enable_thinking }}{{ bos_token }}",
                      conversation)
                 .value() == R"([{"b": 1, "a": 2}]FalseTrue<other>)");
  ChatTemplate::Options options;
  options.variables = {{"pad_token", Value::text("<pad>")}};
  BOOST_TEST(ChatTemplate::create("{{ pad_token }}{{ bos_token }}", options)->render({}).value() == "<pad>");
}

BOOST_AUTO_TEST_CASE(what_the_template_raises_is_the_error) {
  BOOST_TEST(error_of("\n{{ raise_exception('Roles must alternate, not ' ~ 1) }}") ==
             "Roles must alternate, not 1");
}

BOOST_AUTO_TEST_CASE(errors_tell_the_line_and_what_was_found) {
  BOOST_TEST(error_of("a\n{% if x %}\n{{ 1 + }}{% endif %}") ==
             "chat template, line 3: expected an expression, found '}}'");
  BOOST_TEST(error_of("a\nb\n{% if x %}") == "chat template, line 3: the template ends before 'endif'");
  BOOST_TEST(error_of("\n\n{{ 'a' + 1 }}") ==
             "chat template, line 3: unsupported operand types for +: 'str' and 'int'");
  BOOST_TEST(error_of("{{ nothing.at.all }}") == "chat template, line 1: 'nothing' is undefined");
  BOOST_TEST(error_of("{{ messages[0].name.first }}", hello()) ==
             "chat template, line 1: 'dict object' has no attribute 'name'");
  BOOST_TEST(error_of("{{ 1|reveal }}") == "chat template, line 1: no filter is named 'reveal'");
  BOOST_TEST(error_of("{{ 1 is odder }}") == "chat template, line 1: no test is named 'odder'");
  BOOST_TEST(error_of("{% include 'x' %}") ==
             "chat template, line 1: expected a tag that chat templates may use (if, for, set, macro, ...), "
             "found 'include'");
  BOOST_TEST(error_of("{% for x in y recursive %}{% endfor %}") ==
             "chat template, line 1: recursive loops are not supported");
  BOOST_TEST(error_of("{{ 9223372036854775807 + 1 }}") == "chat template, line 1: an integer beyond 64 bits");
  BOOST_TEST(error_of("{{ -9223372036854775807 * 2 }}") ==
             "chat template, line 1: an integer beyond 64 bits");
  BOOST_TEST(error_of("{{ 99999999999999999999 }}") == "chat template, line 1: an integer beyond 64 bits");
  BOOST_TEST(error_of("{{ [].append(1) }}") ==
             "chat template, line 1: access to attribute 'append' of 'list' object is unsafe");
  BOOST_TEST(error_of("{{ ''.__class__.__mro__ }}") ==
             "chat template, line 1: 'str object' has no attribute '__class__'");
}

BOOST_AUTO_TEST_CASE(the_clock_is_the_callers) {
  Conversation conversation;
  BOOST_TEST(error_of("{{ strftime_now('%Y') }}").find("asks for the time") != std::string::npos);
  conversation.now = now();
  BOOST_TEST(rendered("{{ strftime_now('%Y-%m-%d %H:%M') }}", conversation).value() == "2025-03-07 14:05");
  BOOST_TEST(error_of("{{ strftime_now('%c' * 500) }}", conversation).find("short format") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_utf8_pass_through) {
  Conversation conversation;
  conversation.extra = {{"x", Value::text("a\xff\xc3z\xe2\x82")}};
  BOOST_TEST(rendered("{{ x }}", conversation).value() == "a\xff\xc3z\xe2\x82");
  BOOST_TEST(rendered("{{ x|length }}{{ x|upper }}{{ x[::-1] }}", conversation).value() ==
             "6A\xff\xc3Z\xe2\x82\x82\xe2z\xc3\xff"
             "a");
}

BOOST_AUTO_TEST_CASE(threads_share_a_template) {
  ChatTemplate::Options options;
  const auto made =
      ChatTemplate::create("{% for m in messages %}{{ m.role|upper }}:{{ m.content }}{% endfor %}", options);
  const Conversation conversation = hello();
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  threads.reserve(wrong.size());
  for (int& count : wrong)
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) count += made->render(conversation).value() == "USER:Hi" ? 0 : 1;
    });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(wrong == std::vector<int>(4), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
