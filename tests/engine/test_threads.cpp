// post() and prepare() are open to any thread: clients send and cancel while the loop runs, and law 1 holds for what
// they get. Meant for ThreadSanitizer.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <mutex>
#include <thread>

#include "world.hpp"

namespace serveloop::test {

namespace {

constexpr std::size_t kClients = 4, kEach = 40;

// Clients know a request's number before the loop can tell of it.
class Desk final : public engine::Output {
 public:
  void know(std::uint64_t request, std::size_t ask) {
    const std::lock_guard lock(mutex_);
    ask_of_[request] = ask;
  }
  void finished(const engine::Finished& end, std::span<const requests::Token> generated) override {
    const std::lock_guard lock(mutex_);
    outputs[{ask_of_.at(end.request), end.fork}].assign(generated.begin(), generated.end());
    finishes[end.finish] += 1;
  }
  Outputs outputs;
  std::map<std::uint32_t, std::size_t> finishes;

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::size_t> ask_of_;
};

engine::Message arrival_of(engine::Engine& engine, requests::RequestSpec spec) {
  engine::Message message;
  message.what = engine::Message::What::arrive;
  message.arrival = engine.prepare(std::move(spec)).value();
  return message;
}

engine::Message cancel_of(std::uint64_t request) {
  engine::Message message;
  message.what = engine::Message::What::cancel;
  message.request = request;
  return message;
}

// Asks from, from + kClients, ...; those whose number three divides are cancelled right away or a little later.
void be_a_client(std::size_t from, const std::vector<Ask>& asks, engine::Engine& engine, Desk& desk,
                 std::atomic<std::size_t>& refused) {
  std::vector<std::uint64_t> later;
  for (std::size_t i = from; i < asks.size(); i += kClients) {
    engine::Message message = arrival_of(engine, asks[i].spec);
    const std::uint64_t id = message.arrival->id;
    desk.know(id, i);
    while (!engine.post(message)) {  // the queue is bounded: wait for room
      ++refused;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    if (i % 3 == 0) later.push_back(id);
    if (later.size() > i % 4) {
      (void)engine.post(cancel_of(later.front()));
      later.erase(later.begin());
    }
  }
  for (const std::uint64_t id : later) (void)engine.post(cancel_of(id));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(threads)

BOOST_AUTO_TEST_CASE(clients_send_and_cancel_while_the_loop_runs) {
  std::vector<Ask> asks = mixed_asks(kClients * kEach, 11, 60);
  std::size_t sequences = 0;
  for (Ask& ask : asks) {
    ask.spec.arrival_ns = 0;  // the virtual clock is the loop's alone
    sequences += ask.spec.n;
  }
  const Outputs reference = alone(asks);

  for (const std::uint32_t lag : {0u, 1u}) {
    Setting setting;
    setting.blocks = 64;
    setting.max_waiting = 12;
    setting.lag = lag;
    Desk desk;
    World world(setting, {}, nullptr, &desk);
    engine::Engine& engine = world.engine();
    std::atomic<std::size_t> refused = 0;
    std::vector<std::jthread> clients;
    for (std::size_t i = 0; i < kClients; ++i)
      clients.emplace_back([&, i] { be_a_client(i, asks, engine, desk, refused); });
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (desk.outputs.size() < sequences && std::chrono::steady_clock::now() < give_up)
      if (!engine.step()) std::this_thread::yield();
    BOOST_TEST_REQUIRE(desk.outputs.size() == sequences);
    clients.clear();
    while (engine.step()) {
    }

    for (const auto& [which, expected] : reference) {
      const Tokens& got = desk.outputs.at(which);
      BOOST_TEST_REQUIRE(got.size() <= expected.size());
      BOOST_TEST(std::equal(got.begin(), got.end(), expected.begin()));
      if (which.first % 3 != 0) BOOST_TEST(got.size() == expected.size());
    }
    BOOST_TEST(refused > 0u);  // the bound was felt
    BOOST_TEST(desk.finishes[SL_FINISH_CANCELLED] > 0u);
    BOOST_TEST(engine.audit(true) == "");
    BOOST_TEST(world.counters().finished == sequences);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
