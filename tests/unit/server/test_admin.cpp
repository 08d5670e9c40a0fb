// Over the admin socket: policies are shown and changed, one change at a time.
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "server/toml_value.hpp"
#include "server_stage.hpp"

using namespace serveloop;
using namespace serveloop::server;
using namespace serveloop::server::test;

BOOST_AUTO_TEST_SUITE(admin)

namespace {

toml::Value made_options() {
  toml::Value options;
  options["a"] = 1;
  options["of \"all\""] = toml::Array{2.0, 0.5, true, "x\n", toml::Array{}, toml::Value()};
  return options;
}

struct AdminStage {
  AdminStage() {
    path =
        (std::filesystem::temp_directory_path() / ("serveloop-admin-" + std::to_string(::getpid()))).string();
    std::filesystem::remove(path);
    options.admin.socket = path;
    engine.policies_ = {{"scheduler", "", "fcfs", "1.0", "ab", made_options()},
                        {"gate", "bucket", "token-bucket", "1", "", {}}};
  }
  ~AdminStage() { std::filesystem::remove(path); }
  Answer put(const std::string& kind, const std::string& body) const {
    Client client = Client::local(path);
    client.send(put_text(kind, body));
    return client.receive();
  }
  static std::string put_text(const std::string& kind, const std::string& body) {
    return "PUT /admin/policy/" + kind +
           " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
  }
  std::string path;
  ServerOptions options = any_port();
  FakeEngine engine{&byte_text()};
};

}  // namespace

BOOST_AUTO_TEST_CASE(policies_are_shown_and_changed) {
  AdminStage stage;
  const auto server = started(stage.engine, stage.options);
  Client client = Client::local(stage.path);
  BOOST_TEST(at(json_of(client.get("/admin/policy").body), "policies").as_array()->size() == 2u);
  const Json json = json_of(client.get("/admin/policy/scheduler").body);
  BOOST_TEST(text_at(json, "policies.0.plugin") == "fcfs");
  BOOST_TEST(to_json(made_options()) == R"({"a":1,"of \"all\"":[2.0,0.5,true,"x\n",[],{}]})");
  const Result<toml::Value> read = to_toml(at(json, "policies.0.options"));
  BOOST_TEST((read && *read == made_options()), "what GET shows is what PUT takes");
  BOOST_TEST(client.get("/admin/policy/schedule").status == 404);
  BOOST_TEST(client.get("/v1/models").status == 404);
  BOOST_TEST(Client(server->url()).get("/admin/policy").status == 404);

  BOOST_TEST(
      stage.put("scheduler", R"({"plugin":"sarathi","options":{"chunk_budget":256,"a":[1.5,"x",true]}})")
          .status == 200);
  BOOST_TEST(stage.put("gate", R"({"plugin":"token-bucket","gate":"bucket"})").status == 200);
  BOOST_REQUIRE(stage.engine.swaps_.size() == 2u);
  BOOST_TEST(toml::to_inline(stage.engine.swaps_[0].choice.options) ==
             R"({ chunk_budget = 256, a = [1.5, "x", true] })");
  BOOST_TEST((stage.engine.swaps_[1].kind == policy::Kind::scheduler));
  BOOST_TEST(stage.engine.swaps_[1].gate == "bucket");

  for (const auto& [kind, body, status] : std::vector<std::tuple<std::string, std::string, int>>{
           {"precision", R"({"plugin":"native"})", 409},
           {"nothing", R"({"plugin":"fcfs"})", 404},
           {"scheduler", "{", 400},
           {"scheduler", "{}", 400},
           {"scheduler", R"({"plugin":"./x.so"})", 400},
           {"scheduler", R"({"plugin":"x.so,a=1"})", 400},
           {"scheduler", R"({"plugin":"sarathi,chunk_budget=64"})", 400},
           {"scheduler", R"({"plugin":".hidden"})", 400},
           {"scheduler", R"({"plugin":"a","gate":"b"})", 400},
           {"gate", R"({"plugin":"a"})", 400},
           {"scheduler", R"({"plugin":"a","option":{}})", 400},
           {"scheduler", R"({"plugin":"a","options":{"x":null}})", 400}})
    BOOST_TEST(stage.put(kind, body).status == status, kind + body);
  BOOST_TEST(stage.engine.swaps_.size() == 2u);
  stage.engine.swap_answer_ =
      tl::unexpected(service::SwapRefusal{false, {"plugin 'x'", "an id", "none", ""}});
  const Answer failed = stage.put("eviction", R"({"plugin":"x"})");
  BOOST_TEST(failed.status == 422);
  BOOST_TEST(text_at(json_of(failed.body), "error.message") == "plugin 'x': expected an id, found none");
  stage.engine.swap_answer_ = tl::unexpected(service::SwapRefusal{true, {"swap", "one", "another", ""}});
  BOOST_TEST(stage.put("eviction", R"({"plugin":"x"})").status == 409);
}

BOOST_AUTO_TEST_CASE(one_change_at_a_time_and_looks_beside_it) {
  AdminStage stage;
  Gate gate;
  const auto server = started(stage.engine, stage.options);
  const Opener opener(gate);
  stage.engine.during_swap_ = [&] { gate.wait(); };
  Client first = Client::local(stage.path);
  first.send(AdminStage::put_text("scheduler", R"({"plugin":"sarathi"})"));
  BOOST_REQUIRE(stage.engine.wait_for([&] { return gate.waiting() == 1; }));
  const Answer second = stage.put("eviction", R"({"plugin":"slru"})");
  BOOST_TEST(second.status == 409);
  BOOST_TEST(text_at(json_of(second.body), "error.code") == "swap_under_way");
  BOOST_TEST(Client::local(stage.path).get("/admin/policy").status == 200);
  BOOST_TEST(gate.waiting() == 1u);
  gate.open();
  BOOST_TEST(first.receive().status == 200);
  BOOST_TEST(stage.engine.swaps_.size() == 1u);
  BOOST_TEST(stage.put("eviction", R"({"plugin":"slru"})").status == 200);
}

BOOST_AUTO_TEST_CASE(the_socket_is_its_owners_and_goes_with_the_server) {
  AdminStage stage;
  {
    const auto server = started(stage.engine, stage.options);
    struct stat found {};
    BOOST_REQUIRE(::stat(stage.path.c_str(), &found) == 0);
    BOOST_TEST((found.st_mode & 0777) == 0600);
    const auto second = Server::start(stage.options, stage.engine);
    BOOST_REQUIRE(!second);
    BOOST_TEST(second.error().message().find("nobody listens on, found a program that does") !=
               std::string::npos);
    BOOST_TEST(Client::local(stage.path).get("/admin/policy").status == 200);
  }
  BOOST_TEST(!std::filesystem::exists(stage.path));
}

BOOST_AUTO_TEST_CASE(a_stale_socket_is_replaced_and_nothing_else) {
  AdminStage stage;
  std::ofstream(stage.path) << "mine";
  BOOST_TEST(!Server::start(stage.options, stage.engine));
  BOOST_TEST(std::filesystem::exists(stage.path));
  std::filesystem::remove(stage.path);
  {
    const auto server = started(stage.engine, stage.options);
    std::filesystem::rename(stage.path, stage.path + ".kept");  // a server that ended without removing it
  }
  std::filesystem::rename(stage.path + ".kept", stage.path);
  const auto server = started(stage.engine, stage.options);
  BOOST_TEST(Client::local(stage.path).get("/admin/policy").status == 200);
}

BOOST_AUTO_TEST_SUITE_END()
