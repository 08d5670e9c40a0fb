// The table fits the terminal, and says what a reader must know.
#include <algorithm>
#include <sstream>

#include "experiment/ab/report.hpp"
#include "helpers.hpp"

namespace serveloop::experiment::ab::test {

namespace {

std::vector<ArmRuns> four_arms() {
  std::vector<ArmRuns> arms = queues(3, 2000, 0.5, 1.3);
  arms.push_back({"much-slower", queues(3, 2000, 0.5, 2000)[1].runs});
  arms.push_back({"c", queues(4, 2000, 0.5)[0].runs});
  return arms;
}

std::size_t widest(const std::string& text) {
  std::istringstream lines(text);
  std::size_t width = 0;
  for (std::string line; std::getline(lines, line);) width = std::max(width, line.size());
  return width;
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tables)

BOOST_AUTO_TEST_CASE(a_hundred_columns_are_enough) {
  const std::vector<ArmRuns> arms = four_arms();
  CompareOptions options;
  options.resamples = 200;
  const Comparison comparison = compared(arms, options);
  const std::vector<std::string> notes = notes_of(comparison, arms);
  const std::string narrow = table(comparison, notes, 100), wide = table(comparison, notes, 0);
  BOOST_TEST_MESSAGE(narrow);
  BOOST_TEST(widest(narrow.substr(0, narrow.find("\n2,000 requests"))) <= 100u, narrow);
  // A block an arm, each with the baseline; or all side by side.
  BOOST_TEST(count(narrow, "first token p50, ms") == 3u);
  BOOST_TEST(count(wide, "first token p50, ms") == 1u);
  for (const char* arm : {"much-slower", "b", "c"}) BOOST_TEST(count(narrow, arm) >= 1u);
  BOOST_TEST(wide.find("[") != std::string::npos);
  BOOST_TEST(count(wide, "worse") >= 2u);
}

BOOST_AUTO_TEST_CASE(notes_tell_what_figures_do_not) {
  std::vector<ArmRuns> arms = queues(3, 500, 0.5);
  arms[1].runs[0].sequences[7].outcome = Outcome::rejected;
  arms[1].runs[0].figures = {{"fallbacks", 3}, {"ejected", 1}, {"unfinished", 2}};
  CompareOptions options;
  options.resamples = 200;
  const Comparison comparison = compared(arms, options);
  std::string all;
  for (const std::string& note : notes_of(comparison, arms)) all += note + "\n";
  for (const char* part :
       {"b: 1 request completed in a alone, 0 here alone (1 rejected); latencies are of those that both "
        "completed\n",
        "b: too little data for 2 metrics: 499 requests; 1000 are needed\n", "b: the fallback answered 3 x",
        "b: 1 x a policy was ejected", "b: 2 requests stayed unfinished\n"})
    BOOST_TEST(all.find(part) != std::string::npos, part << " in\n" << all);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::ab::test
