#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>

#include "folder.hpp"
#include "policy/object_file.hpp"

namespace serveloop::policy::testing {
namespace {

const Limits kLimits{.sequence_slots = 8};

std::string hash_of(const std::string& probe) {
  return sha256_hex(*read_object(std::string(PROBE_FOLDER) + "/" + probe + ".so"));
}

std::string refusal(const std::string& probe, const std::string& manifest = manifest_text()) {
  const Folder folder;
  const auto loaded =
      Host(only("/nonexistent")).load_scheduler(choice(folder.plugin("p", manifest, probe)), kLimits);
  BOOST_REQUIRE_MESSAGE(!loaded, "accepted " + probe);
  const std::string line = loaded.error().message();
  BOOST_TEST(!contains(line, "\n"));
  BOOST_TEST(contains(line, folder.path("p")), line);
  return line;
}

void expect(const std::string& line, const std::string& field, const std::string& expected,
            const std::string& found) {
  BOOST_TEST(contains(line, field + ": expected " + expected), line);
  BOOST_TEST(contains(line, "found " + found), line);
}

BOOST_AUTO_TEST_SUITE(library)

BOOST_AUTO_TEST_CASE(hashes_as_the_standard_says) {
  const std::string text = "abc";
  BOOST_TEST(sha256_hex({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}) ==
             "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

BOOST_AUTO_TEST_CASE(a_refused_handshake_names_field_expected_and_found) {
  expect(refusal("probe_magic"), "magic", "0x4e49474c504c5653", "0x0000000000000001");
  expect(refusal("probe_size"), "struct_size", "at least 80", "40");
  expect(refusal("probe_major"), "abi_major", "0", "9");
  expect(refusal("probe_minor"), "abi_minor", "at most 2", "99");
  expect(refusal("probe_stamp"), "stamp", "0x", "0x0000000000000005");
  expect(refusal("probe_kind"), "kind", "scheduler as its manifest says", "eviction");
  expect(refusal("probe_id"), "id", "'probe' as its manifest says", "'sonde'");
  expect(refusal("probe_version"), "version", "'1.0.0' as its manifest says", "'2.0.0'");
  expect(refusal("probe_functions"), "functions.struct_size", "at least 16", "8");
  expect(refusal("probe_create"), "create", "a function", "null");
  expect(refusal("probe_symbol"), "serveloop_plugin", "an exported symbol", "none");
}

BOOST_AUTO_TEST_CASE(a_file_that_is_no_object_is_refused) {
  const Folder folder;
  folder.plugin("p", manifest_text(), "");
  std::ofstream(folder.path("p/probe.so")) << "not an object";
  const std::string line =
      Host(only("/nonexistent")).load_scheduler(choice(folder.path("p")), kLimits).error().message();
  BOOST_TEST(contains(line, folder.path("p") + "/probe.so: expected an object that can be loaded"), line);
  BOOST_TEST(!contains(line, "/proc/"), line);
}

BOOST_AUTO_TEST_CASE(a_missing_object_is_refused) { BOOST_TEST(contains(refusal(""), "no such file")); }

BOOST_AUTO_TEST_CASE(an_object_that_cannot_be_read_says_why) {
  const Folder folder;
  folder.plugin("p", manifest_text(), "");
  const std::string object = folder.path("p/probe.so");
  const auto why_not = [&] { return why(read_object(object)); };
  fs::create_symlink("probe.so", object);
  BOOST_TEST(contains(why_not(), "found Too many levels of symbolic links"), why_not());
  fs::remove(object);
  fs::create_directory(object);
  BOOST_TEST(contains(why_not(), "found no regular file"), why_not());
  fs::remove(object);
  folder.object("p/probe.so", "probe_good");
  fs::permissions(object, fs::perms::none);
  if (geteuid() != 0) BOOST_TEST(contains(why_not(), "found Permission denied"), why_not());
}

BOOST_AUTO_TEST_CASE(nothing_is_left_in_the_file_system) {
  const Folder folder, temporary;
  setenv("TMPDIR", temporary.path().c_str(), 1);
  const Host host(only("/nonexistent"));
  const auto first = host.open(folder.plugin("a", manifest_text()));
  const auto again = host.open(folder.plugin("b", manifest_text()));
  const auto other = host.open(folder.plugin("c", manifest_text(), "probe_answer"));
  unsetenv("TMPDIR");
  BOOST_REQUIRE((first && again && other));
  BOOST_TEST(fs::is_empty(temporary.path()));
  BOOST_TEST((*first)->opened_path() == (*again)->opened_path());
  BOOST_TEST((*first)->opened_path() != (*other)->opened_path());
  std::fstream file((*first)->opened_path());  // sealed: not even its owner can change it
  BOOST_TEST(!(file << "x" << std::flush));
}

// The loader knows an object by its path, so a number must not come to name other code.
BOOST_AUTO_TEST_CASE(code_that_was_closed_is_never_taken_for_other_code) {
  const Folder folder;
  const Host host(only("/nonexistent"));
  for (int i = 0; i < 6; ++i) {
    const std::string path = folder.plugin("p", manifest_text(), i % 2 == 0 ? "probe_good" : "probe_answer");
    const auto loaded = host.load_scheduler(choice(path), kLimits);
    BOOST_REQUIRE_MESSAGE(loaded, why(loaded));
    Buffers b;
    BOOST_TEST((*loaded)->plan(b.view, b.rows, b.gauges) == SL_OK);
    BOOST_TEST(SL_SEQ_GENERATION(b.entries[0].seq) == 1u + i % 2);
  }
}

BOOST_AUTO_TEST_CASE(a_list_checks_without_opening) {
  const Folder folder;
  const std::string trace = folder.path("trace");
  setenv("PROBE_TRACE", trace.c_str(), 1);
  const std::string right = "sha256 = '" + hash_of("probe_good") + "'";
  const auto named = [](const std::string& id, const std::string& extra, const std::string& tables = {}) {
    return manifest_text(extra, tables, "scheduler", id);
  };
  folder.plugin("a", named("good", right));
  folder.plugin("b", named("gone", right), "");
  folder.plugin("c", named("altered", right), "probe_answer");
  folder.plugin("d", named("unsealed", ""));
  std::string other_abi = named("newer", right);
  other_abi.replace(other_abi.find("major = 0"), 9, "major = 7");
  folder.plugin("e", other_abi);
  const std::vector<Listed> all = Host(only(folder.path(), false)).list();
  const std::array<const char*, 5> says = {"", "no such file", "sha256 of probe.so", "seal it",
                                           "found major 7"};
  BOOST_REQUIRE(all.size() == says.size());
  BOOST_TEST(!all[0].problem.has_value());
  for (std::size_t i = 1; i < all.size(); ++i) {
    BOOST_REQUIRE(all[i].problem.has_value());
    BOOST_TEST(contains(all[i].problem->message(), says[i]), all[i].problem->message());
  }
  BOOST_TEST(!fs::exists(trace));
  BOOST_TEST(!Host(only(folder.path(), true)).list()[3].problem.has_value());
  unsetenv("PROBE_TRACE");
}

BOOST_AUTO_TEST_CASE(opening_one_checks_as_a_load_does) {
  const Folder folder;
  const Host host(only(folder.path(), false));
  folder.plugin("p", manifest_text(), "probe_stamp");
  BOOST_TEST(contains(why(host.open("probe")), "sha256: expected the object's hash"));
  BOOST_TEST(contains(why(host.open(folder.path("p"))), "stamp: expected"));
  folder.object("p/probe.so", "probe_good");
  BOOST_TEST(host.open(folder.path("p")).has_value());
}

BOOST_AUTO_TEST_CASE(nothing_of_the_object_runs_before_manifest_and_hash_are_right) {
  const Folder folder;
  const std::string trace = folder.path("trace");
  setenv("PROBE_TRACE", trace.c_str(), 1);
  std::string other_abi = manifest_text();
  other_abi.replace(other_abi.find("major = 0"), 9, "major = 7");
  BOOST_TEST(contains(refusal("probe_good", other_abi),
                      "abi: expected a range that holds this host's 0.2, found major 7"));
  BOOST_TEST(contains(refusal("probe_good", manifest_text("", "minor_min = 50")), "minor_min 50"));
  BOOST_TEST(contains(refusal("probe_good", manifest_text("gatee = true")), "did you mean 'gate'"));
  BOOST_TEST(contains(refusal("probe_good", manifest_text("", "", "eviction")), "wrong kind"));
  const std::string zeros(64, '0');
  expect(refusal("probe_good", manifest_text("sha256 = '" + zeros + "'")), "sha256 of probe.so", zeros,
         hash_of("probe_good"));
  Choice unknown = choice(folder.plugin("p", manifest_text()));
  unknown.options["behaves"] = "x";
  BOOST_TEST(!Host(only("/nonexistent")).load_scheduler(unknown, kLimits));
  BOOST_TEST(!fs::exists(trace));
  BOOST_TEST(Host(only("/nonexistent")).load_scheduler(choice(folder.path("p")), kLimits).has_value());
  BOOST_TEST(fs::exists(trace));  // or the checks above prove nothing
  unsetenv("PROBE_TRACE");
}

BOOST_AUTO_TEST_CASE(the_search_path_asks_for_a_hash) {
  const Folder folder;
  folder.plugin("probe", manifest_text());
  const std::string line =
      Host(only(folder.path(), false)).load_scheduler(choice("probe"), kLimits).error().message();
  BOOST_TEST(contains(line, "sha256: expected the object's hash"), line);
  BOOST_TEST(contains(line, "policy.allow_unsigned"), line);
  BOOST_TEST(Host(only(folder.path(), true)).load_scheduler(choice("probe"), kLimits).has_value());
  folder.plugin("probe", manifest_text("sha256 = '" + hash_of("probe_good") + "'"));
  BOOST_TEST(Host(only(folder.path(), false)).load_scheduler(choice("probe"), kLimits).has_value());
}

BOOST_AUTO_TEST_CASE(a_replaced_object_gives_the_new_code_beside_the_old) {
  const Folder folder;
  const Host host(only("/nonexistent"));
  const std::string path = folder.plugin("p", manifest_text());
  const auto first = host.load_scheduler(choice(path), kLimits);
  folder.object("p/probe.so", "probe_answer");
  const auto second = host.load_scheduler(choice(path), kLimits);
  BOOST_REQUIRE((first && second));
  for (const auto& [instance, answer] : {std::pair{*first, 1u}, std::pair{*second, 2u}}) {
    Buffers b;
    BOOST_TEST(instance->plan(b.view, b.rows, b.gauges) == SL_OK);
    BOOST_TEST(SL_SEQ_GENERATION(b.entries[0].seq) == answer);
  }
}

BOOST_AUTO_TEST_CASE(an_overwritten_object_cannot_change_running_code) {
  const Folder folder;
  const auto loaded =
      Host(only("/nonexistent")).load_scheduler(choice(folder.plugin("p", manifest_text())), kLimits);
  BOOST_REQUIRE(loaded);
  std::ofstream(folder.path("p/probe.so"), std::ios::trunc) << std::string(100000, 'x');
  Buffers b;
  BOOST_TEST((*loaded)->plan(b.view, b.rows, b.gauges) == SL_OK);
}

BOOST_AUTO_TEST_CASE(a_gate_must_say_that_it_is_one) {
  const Folder folder;
  const Host host(only("/nonexistent"));
  const std::string line =
      host.load_gate(choice(folder.plugin("p", manifest_text())), kLimits).error().message();
  BOOST_TEST(contains(line, "gate: expected true"), line);
  const auto gate = host.load_gate(choice(folder.plugin("g", manifest_text("gate = true"))), kLimits);
  BOOST_REQUIRE_MESSAGE(gate, why(gate));
  BOOST_TEST((*gate)->is_gate());
  const auto scheduler = host.load_scheduler(choice(folder.path("g")), kLimits);
  BOOST_REQUIRE(!scheduler);
  BOOST_TEST(contains(why(scheduler), "gate: expected false, to serve as the scheduler, found true"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace serveloop::policy::testing
