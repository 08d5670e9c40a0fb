// A log travels: it may not hold an API key, and must replay all the same.
#include <boost/test/unit_test.hpp>
#include <fstream>

#include "experiment/replay.hpp"
#include "stage.hpp"

namespace serveloop::test {

BOOST_AUTO_TEST_SUITE(keys)

BOOST_AUTO_TEST_CASE(a_mark_tells_nothing_and_stays_itself) {
  const std::string mark = requests::mask_key("sk-secret");
  BOOST_CHECK_EQUAL(mark.size(), 20u);
  BOOST_CHECK(mark.starts_with("key:"));
  BOOST_CHECK_EQUAL(requests::masked("sk-secret"), mark);
  BOOST_CHECK_EQUAL(requests::masked(mark), mark);
  BOOST_CHECK_NE(requests::mask_key(mark), mark);  // a client that sends a mark does not own its key
  BOOST_CHECK_NE(requests::mask_key("sk-secres"), mark);
  BOOST_CHECK_EQUAL(requests::mask_key(""), "");
  BOOST_CHECK_EQUAL(requests::masked(""), "");
}

BOOST_AUTO_TEST_CASE(a_log_holds_no_key_and_replays) {
  Scene scene;
  scene.log = "run.slog";
  scene.scheduler = "priority";
  scene.tenants["acme"] = {{"sk-acme-0001", "sk-acme-0002"}, 2.0};
  scene.rules = {{"gold", "sk-gold-0003", {}, {}, {}, {}, 7, {}}};
  Stage stage(scene);
  const auto with_key = [](const char* key) {
    requests::RequestSpec spec = ask(1, 20, 5);
    spec.key = key;
    return spec;
  };
  stage.at(0, [&] {
    for (const char* key : {"sk-acme-0002", "sk-gold-0003", "sk-nobodys-0004", ""})
      stage.request(with_key(key));
    stage.request(with_key(requests::mask_key("sk-acme-0001").c_str()));
  });
  stage.run();
  stage.finish_log();
  BOOST_CHECK_EQUAL(stage.end_of(1).tenant, 1u);
  BOOST_CHECK_EQUAL(stage.end_of(2).priority_rule, 0);
  for (const std::uint64_t id : {3u, 4u, 5u}) {
    BOOST_CHECK_EQUAL(stage.end_of(id).tenant, 0u);
    BOOST_CHECK_EQUAL(stage.end_of(id).priority_rule, -1);
  }
  std::ifstream in(stage.log_path(), std::ios::binary);
  const std::string log(std::istreambuf_iterator<char>(in), {});
  BOOST_CHECK(log.find("sk-") == std::string::npos);
  BOOST_CHECK(log.find(requests::mask_key("sk-gold-0003")) != std::string::npos);
  const auto result = experiment::replay(stage.log_path(), {});
  if (!result) BOOST_FAIL(result.error().message());
  if (result->difference) BOOST_ERROR(result->difference->text());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
