// A service over a tiny model: requests from several threads, swaps, cancels, refusals; and law 1 over all of it.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "../../need.hpp"
#include "service/check.hpp"
#include "service/service.hpp"

namespace serveloop::service::test {

namespace {

using serveloop::test::need;

constexpr const char* kTiny =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
  "vocab_size": 311, "hidden_size": 32, "intermediate_size": 50, "num_hidden_layers": 2, "num_attention_heads": 4,
  "num_key_value_heads": 2, "head_dim": 10, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
  "rope_theta": 10000.0, "tie_word_embeddings": true})";

config::Config config_with(const std::vector<config::Override>& overrides = {}) {
  const std::filesystem::path folder = std::filesystem::path(TEMP_FOLDER) / "service";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << kTiny;
  std::vector<config::Override> all{"engine.threads=2", "engine.lag=1", "engine.max_sequences=4"};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return need(config::parse(fmt::format(R"(
[model]
path = "config.json"
random_weights = 7
[engine]
executor = "cpu"
kv_blocks = 24
block_tokens = 4
token_budget = 24
[policy]
search = ["{}"]
[simulated]
calibration = "{}/cpu-smollm2-135m.toml"
)",
                                        PLUGIN_FOLDER, CALIBRATION_FOLDER),
                            "test.toml", folder.string(), all));
}

struct Answer final : Receiver {
  void piece(const Piece& piece) override {
    const std::lock_guard lock(mutex);
    tokens[piece.choice].push_back(piece.token);
    logprobs += piece.logprobs.size();
    changed.notify_all();
  }
  void end(const End& end) override {
    const std::lock_guard lock(mutex);
    finish[end.choice] = end.finish;
    finished = *end.finished;
    changed.notify_all();
  }
  void wait_for(const std::function<bool()>& what) {
    std::unique_lock lock(mutex);
    BOOST_REQUIRE(changed.wait_for(lock, std::chrono::seconds(60), what));
  }
  void wait_ends(std::size_t choices = 1) {
    wait_for([&] { return finish.size() == choices; });
  }
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::uint32_t, std::vector<requests::Token>> tokens;
  std::map<std::uint32_t, Finish> finish;
  engine::Finished finished;
  std::size_t logprobs = 0;
};

Ask ask_of(std::uint32_t i) {
  Ask ask;
  for (std::uint32_t t = 0; t < 5 + 7 * (i % 5); ++t) ask.spec.prompt.push_back((i / 3 * 31 + t * t) % 311);
  ask.spec.max_tokens = 12 + i % 20;
  ask.spec.n = i % 4 == 3 ? 2 : 1;
  ask.spec.sampling.seed = i;
  ask.spec.sampling.temperature = i % 3 == 0 ? 0.0f : 1.0f;
  ask.spec.sampling.top_p = i % 5 == 0 ? 0.8f : 1.0f;
  if (i % 6 == 0) ask.spec.sampling.repetition = 1.2f;
  if (i % 2 == 0) ask.spec.sampling.alternatives = 2;
  return ask;
}

// From several threads, so without the test library's macros.
std::shared_ptr<Answer> send(Service& service, Ask ask, std::uint64_t* id = nullptr) {
  auto answer = std::make_shared<Answer>();
  const auto request = service.submit(std::move(ask), answer);
  if (!request) throw std::runtime_error(request.error().error.message());
  if (id != nullptr) *id = *request;
  return answer;
}

Refusal refusal(Service& service, Ask ask) {
  const auto request = service.submit(std::move(ask), std::make_shared<Answer>());
  BOOST_REQUIRE(!request);
  return request.error();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(services)

// Each alone, one after the other; then all at once from four threads, in a pool that is too small, under three schedulers in
// turn: the same tokens.
BOOST_AUTO_TEST_CASE(together_as_alone) {
  constexpr std::uint32_t kAsks = 48;
  std::map<std::uint32_t, std::map<std::uint32_t, std::vector<requests::Token>>> alone;
  {
    const auto service =
        need(Service::start(config_with({"engine.kv_blocks=400", "engine.threads=1", "engine.lag=0"})));
    for (std::uint32_t i = 0; i < kAsks; ++i) {
      const auto answer = send(*service, ask_of(i));
      answer->wait_ends(ask_of(i).spec.n);
      alone[i] = answer->tokens;
    }
  }
  const auto service = need(Service::start(config_with()));
  std::vector<std::shared_ptr<Answer>> answers(kAsks);
  std::vector<std::thread> clients;
  for (std::uint32_t client = 0; client < 4; ++client)
    clients.emplace_back([&, client] {
      for (std::uint32_t i = client; i < kAsks; i += 4) answers[i] = send(*service, ask_of(i));
    });
  for (const char* scheduler : {"sarathi", "priority", "fcfs"}) {
    const auto swapped = service->swap({policy::Kind::scheduler, "", {scheduler, {}}});
    BOOST_TEST((swapped.has_value()));
    BOOST_TEST(service->policies().front().id == scheduler);
    BOOST_TEST((service->policies().front().options.find("max_prefill_tokens") != nullptr) ==
               (scheduler == std::string("fcfs")));  // a default
  }
  for (std::thread& client : clients) client.join();
  for (std::uint32_t i = 0; i < kAsks; ++i) {
    answers[i]->wait_ends(ask_of(i).spec.n);
    BOOST_TEST_CONTEXT("request " << i) { BOOST_TEST((answers[i]->tokens == alone[i])); }
    if (i % 2 == 0)
      BOOST_TEST(answers[i]->logprobs == 3 * ask_of(i).spec.n * ask_of(i).spec.max_tokens.value());
  }
  const Snapshot snapshot = service->snapshot();
  BOOST_TEST(snapshot.counters.preemptions > 0u);
  BOOST_TEST(snapshot.finished.at("length") == 60u);
  BOOST_TEST(snapshot.kv_free + snapshot.kv_cached == snapshot.kv_blocks);
  BOOST_TEST(snapshot.first_token.count == 60u);
  BOOST_TEST(!snapshot.decisions.empty());
}

BOOST_AUTO_TEST_CASE(a_cancel_ends_a_request_alone) {
  const auto service = need(Service::start(config_with()));
  Ask endless = ask_of(0);
  endless.spec.max_tokens = 80;
  std::uint64_t id = 0;
  const auto long_one = send(*service, endless, &id), other = send(*service, ask_of(1));
  long_one->wait_for([&] { return long_one->tokens[0].size() > 3; });
  service->cancel(id);
  long_one->wait_ends();
  other->wait_ends();
  BOOST_TEST((long_one->finish.at(0) == Finish::cancelled && long_one->tokens[0].size() < 80u));
  BOOST_TEST((other->finish.at(0) == Finish::length));
}

BOOST_AUTO_TEST_CASE(refusals_name_what_is_wrong) {
  const auto service = need(Service::start(config_with({"engine.max_waiting=3"})));
  const auto expect = [&](Ask ask, Refusal::Why why, const std::string& part, const std::string& parameter) {
    const Refusal got = refusal(*service, std::move(ask));
    BOOST_TEST((got.why == why));
    BOOST_TEST(got.parameter == parameter);
    BOOST_TEST(got.error.message().find(part) != std::string::npos, got.error.message());
  };
  Ask ask = ask_of(0);
  ask.spec.prompt.push_back(311);
  expect(ask, Refusal::Why::invalid, "prompt: expected token ids below 311, found 311", "prompt");
  ask = ask_of(0);
  ask.spec.prompt.assign(600, 5);
  expect(ask, Refusal::Why::invalid, "prompt + max_tokens of at most", "prompt");
  ask = ask_of(0);
  ask.spec.n = 4;
  expect(ask, Refusal::Why::invalid, "engine.max_waiting = 3", "n");
  ask = ask_of(0);
  ask.spec.max_tokens = 100'000;
  expect(ask, Refusal::Why::invalid, "100000", "max_tokens");
  ask = ask_of(0);
  ask.spec.sampling.top_p = 0;
  expect(ask, Refusal::Why::invalid, "top_p", "top_p");
  ask = ask_of(0);
  ask.stops = {"x"};
  expect(ask, Refusal::Why::invalid, "a model with a vocabulary", "stop");
  ask = ask_of(0);
  ask.spec.max_tokens = 80;
  std::vector<std::shared_ptr<Answer>> taken;
  bool full = false;
  for (int i = 0; i < 40 && !full; ++i) {  // four run, three wait
    auto answer = std::make_shared<Answer>();
    const auto request = service->submit(ask, answer);
    full = !request;
    if (request)
      taken.push_back(answer);
    else
      BOOST_TEST((request.error().why == Refusal::Why::full));
  }
  BOOST_TEST(full);
  for (const auto& answer : taken) answer->wait_ends();
  service->drain(1'000'000'000);
  expect(ask_of(0), Refusal::Why::closing, "closing", "");
}

BOOST_AUTO_TEST_CASE(swaps_that_fail_leave_the_old_one) {
  const auto service = need(Service::start(config_with()));
  const auto fails = [&](SwapAsk ask, const std::string& part) {
    const auto swapped = service->swap(ask);
    BOOST_REQUIRE(!swapped);
    const std::string message = swapped.error().error.message();
    BOOST_TEST(message.find(part) != std::string::npos, message);
    BOOST_TEST(service->policies().front().id == "fcfs");
  };
  fails({policy::Kind::scheduler, "", {"nobody", {}}}, "nobody");
  fails({policy::Kind::scheduler, "", {"lru", {}}}, "lru");
  fails({policy::Kind::scheduler, "hold", {"fcfs", {}}}, "policy.gates");
  fails({policy::Kind::scheduler, "", {"sarathi", toml::Value(toml::Table{{"chunk", 5}})}}, "chunk");
}

BOOST_AUTO_TEST_CASE(an_end_of_service_ends_all) {
  auto service = need(Service::start(config_with()));
  Ask ask = ask_of(0);
  ask.spec.max_tokens = 80;
  const auto answer = send(*service, ask);
  service.reset();
  BOOST_TEST(answer->finish.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_check_tells_of_memory_or_of_what_is_wrong) {
  const std::string text = need(check(config_with()));
  for (const char* part :
       {"KV pool", "24 blocks of 4 tokens, 224 bytes a token", "at most 4 at once", "scheduler  fcfs"})
    BOOST_TEST(text.find(part) != std::string::npos, text);
  const auto fails = [](const std::vector<config::Override>& overrides, const std::string& part) {
    const Result<std::string> checked = check(config_with(overrides));
    BOOST_REQUIRE(!checked);
    BOOST_TEST(checked.error().message().find(part) != std::string::npos, checked.error().message());
  };
  fails({"model.path=/no/where"}, "model.path");
  fails({"engine.kv_blocks=100000000"}, "a KV pool of at most");
  fails({"policy.precision=nobody"}, "nobody");
  fails({"engine.context_tokens=600"}, "at most 512");
  fails({"engine.executor=simulated"}, "cpu");
}

// 48 TiB of weights: nothing of them may be touched before that is seen.
BOOST_AUTO_TEST_CASE(weights_beyond_the_memory_are_refused_before_they_are_made) {
  const std::filesystem::path file = std::filesystem::path(TEMP_FOLDER) / "service" / "huge.json";
  std::filesystem::create_directories(file.parent_path());
  std::string huge = kTiny;
  const auto set = [&](const std::string& from, const std::string& to) {
    const std::size_t at = huge.find(from);
    BOOST_REQUIRE(at != std::string::npos);
    huge.replace(at, from.size(), to);
  };
  set("\"hidden_size\": 32", "\"hidden_size\": 131072");
  set("\"intermediate_size\": 50", "\"intermediate_size\": 131072");
  set("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 512");
  std::ofstream(file) << huge;
  const Result<std::string> checked = check(config_with({"model.path=" + file.string()}));
  BOOST_REQUIRE(!checked);
  const std::string message = checked.error().message();
  for (const char* part : {"does not fit into memory", "weights of at most", "smaller model"})
    BOOST_TEST(message.find(part) != std::string::npos, message);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::service::test
