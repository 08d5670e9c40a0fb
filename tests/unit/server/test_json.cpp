// Clients' JSON: what is taken, what is refused and how it is said; what is written reads back.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "helpers.hpp"
#include "server/json_text.hpp"

using namespace serveloop;
using namespace serveloop::server;
using namespace serveloop::server::test;

namespace {

std::string error_of(std::string_view text, const JsonLimits& limits = {}) {
  const Result<Json> json = parse_json(text, limits);
  BOOST_REQUIRE_MESSAGE(!json, "no error");
  return json.error().message();
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

BOOST_AUTO_TEST_SUITE(json)

BOOST_AUTO_TEST_CASE(values_are_what_they_say) {
  const Json json = json_of(R"({"a":[1,-2,2.5,5.0,true,null,"x\u00e9\n"],"a":{"b":18446744073709551615}})");
  BOOST_TEST(json.as_object()->size() == 2u);
  BOOST_TEST(at(json, "a.b").as_large() != nullptr);  // the last of equal keys counts
  const Json::Array& items = *json.as_object()->front().value.as_array();
  BOOST_TEST(items[0].as_integer().value() == 1);
  BOOST_TEST(items[1].as_integer().value() == -2);
  BOOST_TEST(!items[2].as_integer());
  BOOST_TEST(items[3].as_integer().value() == 5);
  BOOST_TEST(*items[4].as_bool());
  BOOST_TEST(items[5].is_null());
  BOOST_TEST(*items[6].as_string() == "x\xc3\xa9\n");
}

BOOST_AUTO_TEST_CASE(what_is_no_json_is_an_error_with_its_place) {
  BOOST_TEST(
      error_of("{\"a\": NaN}") ==
      "expected JSON, found what is none at byte 7: syntax error while parsing value - invalid literal; last "
      "read: '\"a\": N'");
  for (const char* text : {"", "{", "[1,]", "1e999", "{\"a\":1} x", "\"\\ud800\"", "Infinity", "{\"a\" 1}"})
    BOOST_TEST(error_of(text).starts_with("expected JSON, found what is none at byte"), text);
  BOOST_TEST(error_of("[\"" + std::string(10'000, 'x') + "\n\"]").size() < 400u);
}

BOOST_AUTO_TEST_CASE(what_is_no_utf8_is_told_as_such) {
  for (const auto& [text, byte] : std::vector<std::pair<std::string, int>>{
           {"\"\xff\"", 2}, {"{\"\xc3\xa9\": \"a\xc3\"}", 10}, {"\xff", 1}, {"[1] \xed\xa0\x80", 5}})
    BOOST_TEST(error_of(text) ==
               "expected JSON in UTF-8, found what is none at byte " + std::to_string(byte));
  BOOST_TEST(error_of("{'a': \"\xff\"}").starts_with("expected JSON, found what is none at byte 2"));
  BOOST_TEST(error_of("[1,2,3,\"\xff\"]", {100, 64, 2}) == "expected JSON, found more than 2 values");
}

BOOST_AUTO_TEST_CASE(size_depth_and_count_are_bounded) {
  BOOST_TEST(parse_json(nested(64)).has_value());
  BOOST_TEST(error_of(nested(65)) == "expected JSON, found more than 64 levels of nesting");
  BOOST_TEST(error_of(std::string(1 << 20, '[')) == "expected JSON, found more than 64 levels of nesting");
  BOOST_TEST(error_of("[1,2,3,4]", {100, 64, 4}) == "expected JSON, found more than 4 values");
  BOOST_TEST(error_of("[1,2,3]", {4, 64, 100}) == "expected JSON of at most 4 bytes, found 7");
}

BOOST_AUTO_TEST_CASE(text_that_is_written_reads_back) {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  all += "\xc3\xa9\xf0\x9f\x99\x82";
  BOOST_TEST(*json_of(json_quoted(all)).as_string() == all);
  BOOST_TEST(*json_of(json_quoted("a\xff\"")).as_string() == "a\xef\xbf\xbd\"");
}

BOOST_AUTO_TEST_CASE(numbers_are_always_json) {
  std::string out;
  append_number(out, std::numeric_limits<float>::infinity(), -9999.0F);
  BOOST_TEST(out == "-9999");
  out.clear();
  append_number(out, std::nan(""));
  BOOST_TEST(out == "0");
  out.clear();
  append_number(out, -0.125F);
  BOOST_TEST(out == "-0.125");
}

BOOST_AUTO_TEST_SUITE_END()
