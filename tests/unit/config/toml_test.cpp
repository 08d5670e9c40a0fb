// TOML: values with their places, limits on hostile input, paths, and a writer that reads back.
#include "base/toml.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>

#include "base/suggest.hpp"

namespace toml = serveloop::toml;
using toml::Value;

namespace {

Value document(std::string_view text) {
  auto parsed = toml::parse(text, "x.toml");
  BOOST_REQUIRE_MESSAGE(parsed.has_value(), (parsed ? "" : parsed.error().message()));
  return *parsed;
}

std::string error_of(std::string_view text) {
  const auto parsed = toml::parse(text, "x.toml");
  BOOST_REQUIRE(!parsed.has_value());
  const std::string line = parsed.error().message();
  BOOST_TEST(line.find('\n') == std::string::npos);
  return line;
}

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(toml_values)

BOOST_AUTO_TEST_CASE(keeps_types_order_and_places) {
  const Value d = document("z = 1\na = 2.5\n[t]\ns = 'x'\nb = true\nl = [1, 2]\n");
  BOOST_TEST(d.entries()[0].key == "z");
  BOOST_TEST(d.entries()[1].key == "a");
  BOOST_TEST(*d.at("a")->as_double() == 2.5);
  BOOST_TEST(*d.at("z")->as_double() == 1.0);
  BOOST_TEST(*d.at("t.l.1")->as_integer() == 2);
  BOOST_TEST(*d.at("t.b")->as_bool());
  BOOST_TEST(d.at("t.s")->place() == "x.toml:4:1");
  BOOST_TEST(d.at("t.nothing") == nullptr);
  BOOST_TEST(d.at("t.l.2") == nullptr);
}

BOOST_AUTO_TEST_CASE(typed_access_names_place_expected_and_found) {
  const Value d = document("[t]\ns = 'x'\n");
  BOOST_TEST(d.at("t.s")->as_integer("t.s").error().message() ==
             "x.toml:2:1: t.s: expected an integer, found string 'x'");
  BOOST_TEST(d.at("t")->as_strings("t").error().message() ==
             "x.toml:1:2: t: expected an array of strings, found a table");
}

BOOST_AUTO_TEST_CASE(a_syntax_error_names_its_line) {
  BOOST_TEST(error_of("a = 1\nb = [1,\n").starts_with("x.toml:"));
  BOOST_TEST(error_of("a = 1\na = 2\n").starts_with("x.toml:2:"));
  BOOST_TEST(error_of("a = 1979-05-27\n") ==
             "x.toml:1:5: expected a boolean, number, string, array or table, found a date or time; put it "
             "in quotes");
  BOOST_TEST(error_of("a = 1\n\n[=]\nb = 2\n") ==
             "x.toml:3:1: expected TOML, found a line that cannot be read");
  error_of("[.a]");
  error_of("\xc3\xa9 = 1");
  error_of("a = 1 \xc3\xa9");
  error_of("a = \"\xff\xfe\"");
  error_of(std::string("a = 1\0", 6));
}

BOOST_AUTO_TEST_CASE(hostile_depth_and_size_cost_an_error) {
  for (const std::string& text :
       {"a = " + repeated("[", 100000), "a = " + repeated("{ b = ", 100000),
        repeated("a.", 1000000) + "a = 1", "[" + repeated("a.", 1000000) + "a]",
        repeated("\"a\" . ", 100000) + "a = 1", "x = '''\n'''\n" + repeated("a.", 100000) + "a = 1",
        "x = \"\\\"\" # \"\n" + repeated("a.", 100000) + "a = 1"}) {
    BOOST_TEST(error_of(text).find("at most 64 levels of nesting") != std::string::npos);
  }
  BOOST_TEST(error_of(repeated(" ", static_cast<int>(toml::kMaxBytes) + 1)).find("at most") !=
             std::string::npos);
  document("x = '" + repeated("a.", 1000) + "' # " + repeated("[", 1000));
  document("x = \"\"\"" + repeated("[{", 1000) + "\"\"\"\"\"\ny = 1");
}

BOOST_AUTO_TEST_CASE(set_makes_tables_and_refuses_to_cross_values) {
  Value d = document("a = 1\n[[r]]\nk = 'v'\n");
  BOOST_TEST(d.set("b.c.d", Value(3)).has_value());
  BOOST_TEST(*d.at("b.c.d")->as_integer() == 3);
  BOOST_TEST(d.set("r.0.k", Value("w")).has_value());
  BOOST_TEST(*d.at("r.0.k")->as_string() == "w");
  BOOST_TEST(d.set("t.'x.y'.z", Value(true)).has_value());
  BOOST_TEST(d.find("t")->find("x.y") != nullptr);
  BOOST_TEST(!d.set("a.b", Value(1)).has_value());
  BOOST_TEST(!d.set("r.1.k", Value(1)).has_value());
  for (const char* wrong : {"", ".", "a.", ".a", "a..b", "'a"})
    BOOST_TEST(!d.set(wrong, Value(1)).has_value());
}

BOOST_AUTO_TEST_CASE(overrides_are_toml_or_words) {
  Value d;
  for (const char* one : {"a.i=3", "a.s=4GiB", "a.p=./x/y.so", "a.l=[1, 2]", "a.t={k=1}", "a.q='3'",
                          "a.e=", "a.d=1979-05-27", "a.m=1\nb = 2"}) {
    BOOST_TEST(toml::apply_override(d, one, "--set x").has_value());
  }
  BOOST_TEST(*d.at("a.i")->as_integer() == 3);
  BOOST_TEST(*d.at("a.s")->as_string() == "4GiB");
  BOOST_TEST(*d.at("a.p")->as_string() == "./x/y.so");
  BOOST_TEST(d.at("a.l")->items().size() == 2U);
  BOOST_TEST(*d.at("a.t.k")->as_integer() == 1);
  BOOST_TEST(*d.at("a.q")->as_string() == "3");
  BOOST_TEST(*d.at("a.e")->as_string() == "");
  BOOST_TEST(*d.at("a.d")->as_string() == "1979-05-27");
  BOOST_TEST(*d.at("a.m")->as_string() == "1\nb = 2");
  BOOST_TEST(toml::apply_override(d, "a", "--set a").error().message() ==
             "--set a: expected KEY=VALUE, as in engine.lag=1, found 'a'");
  BOOST_TEST(toml::apply_override(d, "a.l=[1", "--set a.l=[1").error().message() ==
             "--set a.l=[1: expected a TOML value, found [1");
}

BOOST_AUTO_TEST_CASE(all_of_an_override_is_of_the_command_line) {
  Value d = document("f = 1\n");
  BOOST_TEST(toml::apply_override(d, "a.t={k=[1]}", "--set a.t={k=[1]}").has_value());
  BOOST_TEST(d.at("a.t.k.0")->of_command_line());
  BOOST_TEST(d.at("a.t.k.0")->named("a.t.k") == "--set a.t={k=[1]}: a.t.k");
  BOOST_TEST(d.at("a.t")->named("a.t") == "--set a.t={k=[1]}");
  BOOST_TEST(!d.at("f")->of_command_line());
}

BOOST_AUTO_TEST_CASE(what_is_written_reads_back_equal) {
  Value d = document(
      "i = -9223372036854775808\nf = 1e300\ng = 0.1\nw = 3.0\ns = \"q\\\"\\\\\\u0001\\n\xc3\xa9\"\nempty = "
      "{}\n"
      "none = []\nmixed = [1, 'a', [2.5], {k = [{}]}]\n\"odd key\" = 1\n[t.u]\nx = 1\n[[r]]\na = "
      "1\n[r.sub]\nb = 2\n[[r]]\n");
  d["inf"] = Value(std::numeric_limits<double>::infinity());
  const std::string text = toml::to_toml(d);
  BOOST_TEST((document(text) == d));
  BOOST_TEST(toml::to_toml(document(text)) == text);
}

BOOST_AUTO_TEST_CASE(the_nearest_word_is_offered) {
  const std::vector<std::string> words = {"token_budget", "threads", "lag", "kv_memory", "kv_blocks"};
  BOOST_TEST(serveloop::nearest("tokens_budget", words) == "token_budget");
  BOOST_TEST(serveloop::nearest("Token-Budget", words) == "token_budget");
  BOOST_TEST(serveloop::nearest("kv_block", words) == "kv_blocks");
  BOOST_TEST(serveloop::nearest("lga", words) == "lag");
  BOOST_TEST(serveloop::nearest("budget", words) == "token_budget");
  BOOST_TEST(serveloop::nearest("colour", words) == "");
  BOOST_TEST(serveloop::did_you_mean("colour", words) ==
             "known: token_budget, threads, lag, kv_memory, kv_blocks");
  BOOST_TEST(serveloop::edit_distance(std::string(1000, 'a'), std::string(1000, 'a')) == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
