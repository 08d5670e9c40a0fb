// docs/CONFIG.md is what the schema says. SERVELOOP_WRITE_DOCS=1 writes it.
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "config/schema.hpp"

namespace config = serveloop::config;

BOOST_AUTO_TEST_SUITE(docs)

BOOST_AUTO_TEST_CASE(the_reference_is_current) {
  const char* root = std::getenv("SERVELOOP_SOURCE_ROOT");
  BOOST_REQUIRE_MESSAGE(root != nullptr, "SERVELOOP_SOURCE_ROOT names the source tree");
  const std::string path = std::string(root) + "/docs/CONFIG.md";
  if (std::getenv("SERVELOOP_WRITE_DOCS") != nullptr) std::ofstream(path) << config::reference_markdown();
  std::ifstream file(path);
  const std::string committed((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  BOOST_TEST(committed == config::reference_markdown(),
             "docs/CONFIG.md is not what the schema says; run this test with SERVELOOP_WRITE_DOCS=1");
}

BOOST_AUTO_TEST_CASE(every_key_has_help) {
  for (const config::Schema* schema :
       {&config::config_schema(), &config::calibration_schema(), &config::ab_schema()}) {
    for (const config::Section& section : *schema) {
      for (const config::Key& key : section.keys) BOOST_TEST(std::string(key.help).ends_with("."), key.name);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
