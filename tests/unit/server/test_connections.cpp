// What connections promise to whoever answers, and to each other.
#include <boost/test/unit_test.hpp>

#include "hub_stage.hpp"

using namespace serveloop;
using namespace serveloop::server;
using namespace serveloop::server::test;

namespace {

using Asked = std::shared_ptr<Exchange>;

Response plain(std::string body) { return {200, "text/plain", {}, std::move(body)}; }

void add(Router& router, const char* path, std::function<void(const Asked&)> answer) {
  router.add(Method::get, path, Handler([answer = std::move(answer)](const Request&, const Asked& exchange) {
               answer(exchange);
             }));
}

// A stream of what the test puts into it.
class Ticks final : public Body {
 public:
  bool pull(std::string& out, std::size_t) override {
    if (fails) throw std::runtime_error("no tick");
    for (; ready > 0; --ready) out += "tick\n";
    return !over;
  }
  std::atomic<int> ready{1};
  std::atomic<bool> fails{false}, over{false}, gone{false};
  void more() { exchange.lock()->more(); }
  std::weak_ptr<Exchange> exchange;  // set before the first byte of the answer is sent
};

void add_ticks(Router& router, const char* path, const std::shared_ptr<Ticks>& ticks) {
  add(router, path, [ticks](const Asked& exchange) {
    ticks->exchange = exchange;
    exchange->on_gone([ticks] { ticks->gone = true; });
    exchange->stream(plain(""), ticks);
  });
}

bool within_5_s(const std::function<bool()>& what) {
  for (int i = 0; i < 1000 && !what(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return what();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(connections)

BOOST_AUTO_TEST_CASE(the_first_answer_counts) {
  const std::string large(std::size_t{4} << 20, 'x');
  Router router;
  add(router, "/twice", [&](const Asked& exchange) {
    exchange->respond(plain(large));
    exchange->respond(plain("second"));
    exchange->answer([] { return plain("third"); });
    exchange->stream(plain(""), std::make_shared<Ticks>());
  });
  add(router, "/once", [](const Asked& exchange) { exchange->respond(plain("once")); });
  HubStage stage(std::move(router));
  Client client = stage.client();
  for (int i = 0; i < 3; ++i) {
    BOOST_TEST((client.get("/twice").body == large));
    BOOST_TEST(client.get("/once").body == "once");
  }
}

BOOST_AUTO_TEST_CASE(a_long_answer_is_written_beside_others) {
  Gate gate;
  Router router;
  add(router, "/long", [&](const Asked& exchange) {
    exchange->answer([&] {
      gate.wait();
      return plain("long");
    });
  });
  add(router, "/short", [](const Asked& exchange) { exchange->respond(plain("short")); });
  HubStage stage(std::move(router));
  const Opener opener(gate);
  Client patient = stage.client(), other = stage.client();
  patient.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
  BOOST_REQUIRE(within_5_s([&] { return gate.waiting() == 1; }));
  BOOST_TEST(other.get("/short").body == "short");
  gate.open();
  BOOST_TEST(patient.receive().body == "long");
}

BOOST_AUTO_TEST_CASE(an_answer_that_fails_is_one) {
  Router router;
  add(router, "/fails", [](const Asked& exchange) {
    exchange->answer([]() -> Response { throw std::runtime_error("a secret"); });
  });
  HubStage stage(std::move(router));
  Client client = stage.client();
  for (int i = 0; i < 2; ++i) {
    const Answer answer = client.get("/fails");
    BOOST_TEST(answer.status == 500);
    BOOST_TEST(answer.body.find("its log tells more") != std::string::npos);
    BOOST_TEST(answer.body.find("secret") == std::string::npos);
  }
}

// Both are woken in one batch; the first one fails.
BOOST_AUTO_TEST_CASE(a_stream_that_fails_ends_alone) {
  const auto bad = std::make_shared<Ticks>(), good = std::make_shared<Ticks>();
  Gate gate;
  Router router;
  add_ticks(router, "/bad", bad);
  add_ticks(router, "/good", good);
  HubStage stage(std::move(router));
  const Opener opener(gate);
  Client unlucky = stage.client(), lucky = stage.client();
  for (const auto& [client, path] : {std::pair{&unlucky, "/bad"}, std::pair{&lucky, "/good"}}) {
    client->send(std::string("GET ") + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
    client->receive_until("tick\n");
  }
  stage.on_io([&] { gate.wait(); });
  bad->fails = true;
  good->over = true;
  good->ready = 1;
  bad->more();
  good->more();
  gate.open();
  BOOST_TEST(lucky.receive_until("0\r\n\r\n").find("tick\n") != std::string::npos);
  BOOST_TEST(unlucky.closed());
  BOOST_TEST(bad->gone.load());
  BOOST_TEST(!good->gone.load());
}

BOOST_AUTO_TEST_CASE(a_reader_takes_a_portion_in_time_or_is_cut_off) {
  const std::string large(std::size_t{8} << 20, 'x');
  Router router;
  add(router, "/large", [&](const Asked& exchange) { exchange->respond(plain(large)); });
  HttpLimits limits;
  limits.write_pause = std::chrono::seconds(1);
  HubStage stage(std::move(router), limits);
  BOOST_TEST((stage.client(1).get("/large").body == large));
  Client slow = stage.client(1);  // a kilobyte now and then, never a second without
  slow.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
  std::size_t taken = 0, bytes = 0;
  for (int i = 0; i < 100 && (bytes = slow.skip(1024)) > 0; ++i) {
    taken += bytes;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  BOOST_TEST(bytes == 0u);
  BOOST_TEST(taken < 100'000u);
}

BOOST_AUTO_TEST_SUITE_END()
