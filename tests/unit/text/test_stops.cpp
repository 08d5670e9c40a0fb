// Stop strings against a search over the whole text, whatever the portions.
#include <boost/test/unit_test.hpp>

#include "text/stops.hpp"
#include "vocabularies.hpp"

namespace serveloop::text::test {

namespace {

struct Answer {
  std::string delivered;
  std::optional<Stop> stop;
};

// By the definition: the first end of any stop string, and of those that end there the longest.
Answer searched(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::optional<Stop> best;
    for (std::size_t i = 0; i < stops.size(); ++i)
      if (std::string_view(text).substr(0, end).ends_with(stops[i]) &&
          (!best || stops[i].size() > stops[best->which].size()))
        best = Stop{i, end - stops[i].size()};
    if (best) return {text.substr(0, best->at), best};
  }
  return {text, std::nullopt};
}

// The longest end of the text that begins a stop string and is not all of it.
std::size_t could_become(std::string_view text, const std::vector<std::string>& stops) {
  std::size_t longest = 0;
  for (const std::string& stop : stops)
    for (std::size_t n = 1; n < stop.size() && n <= text.size(); ++n)
      if (text.ends_with(std::string_view(stop).substr(0, n))) longest = std::max(longest, n);
  return longest;
}

std::string letters_of(std::mt19937_64& random, std::size_t most, std::size_t alphabet) {
  static const char* const kLetters[] = {"a", "b", "é", "è", "c"};
  std::string text;
  for (std::size_t left = 1 + random() % most; left > 0; --left) text += kLetters[random() % alphabet];
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stop_strings)

BOOST_AUTO_TEST_CASE(random_texts_stop_where_a_search_says) {
  std::mt19937_64 random(11);
  std::size_t stopped = 0;
  for (int round = 0; round < 40000; ++round) {
    const std::size_t alphabet = 1 + random() % 5;
    std::vector<std::string> stops;
    for (std::size_t left = random() % 5; left > 0; --left)
      stops.push_back(letters_of(random, 1 + random() % 7, alphabet));
    const StopSet set = StopSet::create(stops).value();
    const std::string text = letters_of(random, 40, alphabet);
    const Answer expected = searched(text, stops);
    StopMatcher matcher(set);
    std::string out, seen;
    for (const std::string_view portion : portions(text, random, 1 + random() % 9)) {
      seen += portion;
      const bool now = matcher.push(portion, out);
      BOOST_TEST_REQUIRE(now == matcher.stop().has_value());
      if (now) continue;
      BOOST_TEST_REQUIRE(matcher.held_bytes() == could_become(seen, stops));
      BOOST_TEST_REQUIRE(out == seen.substr(0, seen.size() - matcher.held_bytes()));
    }
    matcher.finish(out);
    BOOST_TEST_REQUIRE(out == expected.delivered);
    BOOST_TEST_REQUIRE(matcher.stop().has_value() == expected.stop.has_value());
    if (!expected.stop) continue;
    BOOST_TEST_REQUIRE(matcher.stop()->which == expected.stop->which);
    BOOST_TEST_REQUIRE(matcher.stop()->at == expected.stop->at);
    ++stopped;
  }
  BOOST_TEST(stopped > 10000u);
  BOOST_TEST(stopped < 35000u);
}

BOOST_AUTO_TEST_CASE(nothing_follows_a_stop) {
  const StopSet set = StopSet::create({"\n\n", "END", "\n\n"}).value();
  StopMatcher matcher(set);
  std::string out;
  BOOST_TEST(!matcher.push("one\n", out));
  BOOST_TEST(out == "one");
  BOOST_TEST(matcher.held_bytes() == 1u);
  BOOST_TEST(!matcher.push("two EN", out));
  BOOST_TEST(out == "one\ntwo ");
  BOOST_TEST(!matcher.push("\n", out));
  BOOST_TEST(out == "one\ntwo EN");
  BOOST_TEST(matcher.push("\nthree", out));
  BOOST_TEST(matcher.push("four", out));
  matcher.finish(out);
  BOOST_TEST(out == "one\ntwo EN");
  BOOST_TEST(matcher.stop()->which == 0u);
  BOOST_TEST(matcher.stop()->at == 10u);
}

BOOST_AUTO_TEST_CASE(a_text_that_ends_delivers_what_was_held_back) {
  const StopSet set = StopSet::create({"abcd", "bcx"}).value();
  StopMatcher matcher(set);
  std::string out;
  matcher.push("zabc", out);
  BOOST_TEST(out == "z");
  matcher.push("c", out);
  BOOST_TEST(out == "zabcc");
  matcher.push("abc", out);
  matcher.finish(out);
  BOOST_TEST(out == "zabccabc");
  BOOST_TEST(!matcher.stop().has_value());

  const StopSet none = StopSet::create({}).value();
  StopMatcher idle(none);
  out.clear();
  BOOST_TEST(!idle.push("anything", out));
  BOOST_TEST(out == "anything");
}

// Stops that share all but their last letter: searching each anew at each place would take minutes.
BOOST_AUTO_TEST_CASE(long_stops_cost_no_more_than_their_text) {
  std::vector<std::string> stops;
  for (char last = '0'; last < '0' + static_cast<int>(kMaxStops); ++last)
    stops.push_back(std::string(kMaxStopBytes - 1, 'a') + last);
  const StopSet set = StopSet::create(stops).value();
  StopMatcher matcher(set);
  std::string out;
  for (int i = 0; i < 20000; ++i) matcher.push(std::string(kMaxStopBytes - 2, 'a') + "b", out);
  BOOST_TEST(out.size() == 20000u * (kMaxStopBytes - 1));
  BOOST_TEST(matcher.held_bytes() == 0u);
}

BOOST_AUTO_TEST_CASE(wrong_stop_strings_are_refused) {
  const auto message = [](std::vector<std::string> stops) {
    const Result<StopSet> made = StopSet::create(std::move(stops));
    return made ? std::string() : made.error().message();
  };
  BOOST_TEST(message({"a", ""}) == "stop[1]: expected 1 to 1024 bytes, found 0");
  BOOST_TEST(message({std::string(1025, 'a')}) == "stop[0]: expected 1 to 1024 bytes, found 1025");
  BOOST_TEST(message({"ok\xc3"}) == "stop[0]: expected UTF-8, found a wrong byte at offset 2");
  BOOST_TEST(message(std::vector<std::string>(65, "a")) == "stop: expected at most 64 strings, found 65");
  BOOST_TEST(message(std::vector<std::string>(64, std::string(1024, 'a'))).empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::text::test
