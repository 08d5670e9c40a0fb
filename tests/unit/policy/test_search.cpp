#include <boost/test/unit_test.hpp>

#include "folder.hpp"

namespace serveloop::policy::testing {
namespace {

std::string eviction_text() { return manifest_text("", "", "eviction", "old"); }

BOOST_AUTO_TEST_SUITE(search)

BOOST_AUTO_TEST_CASE(finds_by_id_three_levels_deep) {
  const Folder folder;
  folder.plugin("allocators/eviction/old", eviction_text(), "");
  folder.plugin("a/b/c/deep", manifest_text("", "", "scheduler", "deep"), "");
  const Search search(only(folder.path()));
  const Result<Found> found = search.find("old", Kind::eviction);
  BOOST_REQUIRE_MESSAGE(found, why(found));
  BOOST_TEST(found->manifest.folder == folder.path("allocators/eviction/old"));
  BOOST_TEST(!found->by_path);
  BOOST_TEST(!search.find("deep"));
  BOOST_TEST(search.list().size() == 1u);
}

BOOST_AUTO_TEST_CASE(finds_by_path_of_folder_manifest_or_object) {
  const Folder folder;
  const std::string path = folder.plugin("p", manifest_text());
  const Search search(only("/nonexistent"));
  for (const std::string& name : {path, path + "/", path + "/plugin.toml", path + "/probe.so"}) {
    const Result<Found> found = search.find(name, Kind::scheduler);
    BOOST_REQUIRE_MESSAGE(found, why(found));
    BOOST_TEST(found->by_path);
  }
  folder.object("p/other.so", "probe_good");
  const std::string misnamed = search.find(path + "/other.so").error().message();
  BOOST_TEST(contains(misnamed, "expected other.so, found probe.so"));
  BOOST_TEST(contains(misnamed, "its policy's id as its name: rename it, or state library = \"other.so\""));
  BOOST_TEST(contains(search.find(path + "/none.so").error().message(), "no such file"));
  BOOST_TEST(contains(search.find(folder.path() + "/").error().message(), "its manifest"));
}

BOOST_AUTO_TEST_CASE(a_missing_plugin_lists_those_found_and_where_it_looked) {
  const Folder folder;
  folder.plugin("probe", manifest_text(), "");
  folder.plugin("other", manifest_text("", "", "scheduler", "other"), "");
  folder.plugin("old", eviction_text(), "");
  const std::string line = Search(only(folder.path())).find("prob", Kind::scheduler).error().message();
  BOOST_TEST(contains(line, "scheduler 'prob' not found"), line);
  BOOST_TEST(contains(line, "one of: other, probe"), line);
  BOOST_TEST(contains(line, "did you mean 'probe'"), line);
  BOOST_TEST(contains(line, "looked in: " + folder.path()), line);
  BOOST_TEST(!contains(line, "old"), line);
}

BOOST_AUTO_TEST_CASE(a_folder_without_a_slash_is_told_how_to_write_it) {
  const Folder folder;
  const Search search(only(folder.path()));
  for (const char* id : {".", ".."})
    BOOST_TEST(contains(why(search.find(id)), std::string("for the folder write '") + id + "/'"));
  folder.plugin("mine", manifest_text());
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  BOOST_TEST(contains(why(search.find("mine", Kind::scheduler)), "write './mine'"));
  BOOST_TEST(contains(why(search.find("yours")), "looked in"));
  // Nor is a file without one a path, though it lies here.
  fs::current_path(folder.path("mine"));
  BOOST_TEST(contains(why(search.find("probe.so", Kind::scheduler)), "for the file write './probe.so'"));
  BOOST_TEST(contains(why(search.find("plugin.toml")), "for the file write './plugin.toml'"));
  BOOST_TEST(search.find("./probe.so").has_value());
  fs::current_path(before);
}

BOOST_AUTO_TEST_CASE(a_wrong_kind_says_so) {
  const Folder folder;
  const std::string path = folder.plugin("old", eviction_text(), "");
  const Search search(only(folder.path()));
  for (const std::string& name : {std::string("old"), path}) {
    const std::string line = search.find(name, Kind::scheduler).error().message();
    BOOST_TEST(contains(line, "wrong kind: expected scheduler, found eviction"), line);
  }
}

BOOST_AUTO_TEST_CASE(a_broken_manifest_is_named_only_where_it_matters) {
  const Folder folder;
  folder.plugin("bad", "id = 3", "");
  folder.plugin("probe", manifest_text(), "");
  const Search search(only(folder.path()));
  BOOST_TEST(search.find("probe").has_value());
  BOOST_TEST(contains(search.find("bad").error().message(), "bad/plugin.toml"));
  const std::vector<Listed> all = search.list();
  BOOST_REQUIRE(all.size() == 2u);
  BOOST_TEST(!all[0].manifest);
  BOOST_TEST(all[1].manifest->id == "probe");
}

BOOST_AUTO_TEST_CASE(the_environment_comes_first_and_shadows) {
  const Folder first, second;
  first.plugin("x", manifest_text(), "");
  second.plugin("x", manifest_text(), "");
  setenv("SERVELOOP_PLUGIN_PATH", (":" + first.path() + ":/nonexistent:").c_str(), 1);
  setenv("HOME", "/nonexistent/home", 1);
  const Search search({{second.path()}, true, true});
  unsetenv("SERVELOOP_PLUGIN_PATH");
  BOOST_TEST(search.find("probe")->manifest.folder == first.path("x"));
  BOOST_REQUIRE(search.places().size() == 6u);
  BOOST_TEST(search.places()[0] == first.path());
  BOOST_TEST(search.places()[2] == second.path());
  BOOST_TEST(search.places()[3] == "/nonexistent/home/.local/lib/serveloop/plugins/0");
  BOOST_TEST(contains(search.places()[4], "/serveloop/plugins/0"));
  BOOST_TEST(search.places()[5].ends_with("/plugins"));
  std::size_t shadowed = 0;
  for (const Listed& listed : search.list()) shadowed += listed.shadowed ? 1 : 0;
  BOOST_TEST(shadowed == 1u);
}

BOOST_AUTO_TEST_CASE(survives_a_link_that_leads_back) {
  const Folder folder;
  fs::create_directory(folder.path("in"));
  fs::create_directory_symlink(folder.path(), folder.path("in/back"));
  folder.plugin("probe", manifest_text(), "");
  BOOST_TEST(Search(only(folder.path())).list().size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace serveloop::policy::testing
