#include <boost/test/unit_test.hpp>

#include "folder.hpp"

namespace serveloop::policy::testing {
namespace {

std::string error_of(const std::string& text) {
  const Result<Manifest> manifest = parse_manifest(text, "plugin.toml");
  BOOST_REQUIRE_MESSAGE(!manifest, "accepted: " + text);
  const std::string line = manifest.error().message();
  BOOST_TEST(!contains(line, "\n"));
  BOOST_TEST(contains(line, "plugin.toml"));
  return line;
}

void expect(const std::string& text, const std::string& key, const std::string& expected,
            const std::string& found) {
  const std::string line = error_of(text);
  BOOST_TEST(contains(line, key), line);
  BOOST_TEST(contains(line, expected), line);
  BOOST_TEST(contains(line, found), line);
}

BOOST_AUTO_TEST_SUITE(manifest)

BOOST_AUTO_TEST_CASE(reads_every_key) {
  const Result<Manifest> m = parse_manifest(R"(
id = "sarathi"
kind = "scheduler"
version = "0.2.0"
license = "Apache-2.0"
summary = "Chunked prefill."
library = "s.so"
sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
swap = "state"
gate = true
reasons = ["chunk_full"]
gauges = ["queue"]
[abi]
major = 0
minor_min = 1
[options.chunk]
type = "integer"
default = 512
min = 1
max = 8192
unit = "tokens"
help = "Tokens of a chunk."
[options.order]
type = "list"
choices = ["a", "b"]
)",
                                            "/x/plugin.toml");
  BOOST_REQUIRE_MESSAGE(m, why(m));
  BOOST_TEST(m->id == "sarathi");
  BOOST_TEST((m->kind == Kind::scheduler && m->swap == SwapClass::state && m->gate));
  BOOST_TEST(m->library_path() == "/x/s.so");
  BOOST_TEST(m->abi_minor_min == 1u);
  BOOST_TEST(m->reasons.at(0) == "chunk_full");
  BOOST_REQUIRE(m->options.size() == 2u);
  BOOST_TEST(m->options[0].name == "chunk");
  BOOST_TEST(*m->options[0].max == 8192.0);
  BOOST_TEST(m->options[0].fallback->as_integer().value() == 512);
  BOOST_TEST(!m->options[1].fallback);
}

BOOST_AUTO_TEST_CASE(library_defaults_to_the_id) {
  BOOST_TEST(parse_manifest("id='a'\nkind='eviction'\nversion='1'\n[abi]\nmajor=0\n", "p")->library ==
             "a.so");
}

BOOST_AUTO_TEST_CASE(refuses_what_is_wrong_with_key_expected_and_found) {
  const std::string abi = "[abi]\nmajor = 0\n";
  const std::string head = "id = 'a'\nkind = 'scheduler'\nversion = '1'\n";
  expect(head + "licence = 'x'\n" + abi, "licence", "license", "unknown key");
  expect("kind = 'scheduler'\nversion = '1'\n" + abi, "id", "a string", "nothing");
  expect("id = 'a'\nkind = 'sheduler'\nversion = '1'\n" + abi, "kind", "did you mean 'scheduler'",
         "sheduler");
  expect("id = 3\nkind = 'scheduler'\nversion = '1'\n" + abi, "id", "string", "3");
  expect("id = '../a'\nkind = 'scheduler'\nversion = '1'\n" + abi, "id", "letters", "../a");
  expect(head + "library = '../../b.so'\n" + abi, "library", "beside", "../../b.so");
  expect(head + "sha256 = 'abc'\n" + abi, "sha256", "64", "abc");
  expect(head + "swap = 'never'\n" + abi, "swap", "events, state, none", "never");
  expect(head + "gate = 'yes'\n" + abi, "gate", "true or false", "yes");
  expect("id = 'a'\nkind = 'eviction'\nversion = '1'\ngate = true\n" + abi, "gate", "scheduler", "eviction");
  expect(head + "reasons = ['a', 'a']\n" + abi, "reasons", "once", "twice");
  expect(head + "gauges = ['a b']\n" + abi, "gauges", "letters", "a b");
  expect(head, "abi", "major", "nothing");
  expect(head + "[abi]\nminor_min = 0\n", "abi.major", "integer", "nothing");
  expect(head + "[abi]\nmajor = -1\n", "abi.major", "0 to", "-1");
  expect(head + "[abi]\nmajor = 0\nminor = 1\n", "abi.minor", "minor_min", "unknown key");
  expect(head + "abi = 0\n", "abi", "a table", "0");
  expect("id = 'a", "plugin.toml:1", "", "");
}

BOOST_AUTO_TEST_CASE(refuses_a_wrong_option_schema) {
  const std::string head = "id = 'a'\nkind = 'scheduler'\nversion = '1'\n[abi]\nmajor = 0\n[options.x]\n";
  expect(head + "default = 3\n", "options.x.type", "boolean", "nothing");
  expect(head + "type = 'int'\n", "options.x.type", "integer", "'int'");
  expect(head + "type = 'integer'\ndefault = 1.5\n", "options.x.default", "an integer", "1.5");
  expect(head + "type = 'integer'\ndefault = 9\nmax = 8\n", "options.x.default", "at most 8", "9");
  expect(head + "type = 'number'\nmin = 3\nmax = 2\n", "options.x.max", "at least min", "2");
  expect(head + "type = 'number'\nmin = nan\n", "options.x.min", "finite", "nan");
  expect(head + "type = 'text'\nmin = 3\n", "options.x.min", "number", "text");
  expect(head + "type = 'integer'\nchoices = ['a']\n", "options.x.choices", "text", "integer");
  expect(head + "type = 'text'\ndefault = 'c'\nchoices = ['a', 'b']\n", "options.x.default", "a, b", "'c'");
  expect(head + "type = 'text'\ndefalt = 'c'\n", "options.x.defalt", "did you mean 'default'", "unknown key");
  expect("id = 'a'\nkind = 'scheduler'\nversion = '1'\noptions = 3\n[abi]\nmajor = 0\n", "options", "a table",
         "3");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(options)

Manifest schema() {
  return *parse_manifest(R"(
id = "a"
kind = "scheduler"
version = "1"
[abi]
major = 0
[options.chunk]
type = "integer"
default = 512
min = 1
max = 8192
unit = "tokens"
[options.share]
type = "number"
default = 0.5
[options.fair]
type = "boolean"
default = true
[options.mode]
type = "text"
choices = ["fast", "slow"]
[options.names]
type = "list"
default = ["a", "b"]
)",
                         "plugin.toml");
}

toml::Value table(const std::string& text) { return *toml::parse(text, "engine.toml"); }

BOOST_AUTO_TEST_CASE(become_rows_with_defaults) {
  const Manifest m = schema();
  Result<CheckedOptions> first = check_options(m, table("mode = 'fast'\nshare = 2\n"));
  BOOST_REQUIRE_MESSAGE(first, why(first));
  const CheckedOptions checked = std::move(*first);
  const std::vector<sl_option>& rows = checked.rows();
  const auto text = [](const sl_text& t) { return std::string(t.data, t.size); };
  BOOST_REQUIRE(rows.size() == 6u);
  BOOST_TEST(rows[0].integer == 512);
  BOOST_TEST(rows[0].number == 512.0);
  BOOST_TEST(rows[1].type == static_cast<std::uint32_t>(SL_OPTION_NUMBER));
  BOOST_TEST(rows[1].number == 2.0);
  BOOST_TEST(rows[2].integer == 1);
  BOOST_TEST(text(rows[3].name) == "mode");
  BOOST_TEST(text(rows[3].text) == "fast");
  BOOST_TEST(text(rows[4].name) == "names");
  BOOST_TEST(text(rows[5].text) == "b");
  BOOST_TEST(checked.effective().find("chunk")->as_integer().value() == 512);
  BOOST_TEST(checked.table().count == 6u);
}

BOOST_AUTO_TEST_CASE(are_refused_with_place_expected_and_found) {
  const auto refused = [](const std::string& text, const std::string& expected, const std::string& found) {
    const Result<CheckedOptions> checked = check_options(schema(), table(text));
    BOOST_REQUIRE_MESSAGE(!checked, "accepted: " + text);
    const std::string line = checked.error().message();
    BOOST_TEST(contains(line, "engine.toml"), line);
    BOOST_TEST(contains(line, expected), line);
    BOOST_TEST(contains(line, found), line);
  };
  refused("chunks = 3\nmode = 'fast'\n", "did you mean 'chunk'", "unknown option 'chunks'");
  refused("chunk = 'x'\nmode = 'fast'\n", "an integer from 1 to 8192 (tokens)", "'x'");
  refused("chunk = 0\nmode = 'fast'\n", "from 1 to 8192", "0");
  refused("share = inf\nmode = 'fast'\n", "a number", "inf");
  refused("fair = 1\nmode = 'fast'\n", "true or false", "1");
  refused("mode = 'fats'\n", "did you mean 'fast'", "'fats'");
  refused("names = [1]\nmode = 'fast'\n", "an array of strings", "array");
  refused("chunk = 3\n", "no default", "nothing");
  BOOST_TEST(!check_options(schema(), toml::Value("x")));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace serveloop::policy::testing
