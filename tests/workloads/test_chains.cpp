// Sessions and programs on engines: a next turn finds what the turn before left, and a summary tells how programs fared.
#include <fstream>
#include <map>

#include "runs.hpp"

namespace serveloop::test {
namespace {

using experiment::Summary;

void add_sessions(config::Config& config, std::uint32_t count) {
  config.workload.source = "sessions";
  config.workload.rate_per_second = 5;
  config.workload.count = count;
  config.workload.prompt = {"fixed", 32};
  config.workload.output = {"fixed", 17};
  config.workload.sessions.turns = {"fixed", 4};
  config.workload.sessions.think_time_s = {"fixed", 0.5};
}

// In blocks of 8: turn t's prompt is 49 t + 32 tokens long, of which the turn before computed 49 t - 1 (its last token was
// sampled and never run).
std::uint64_t hits_of_a_session() {
  std::uint64_t hits = 0;
  for (std::uint64_t turn = 1; turn < 4; ++turn) hits += (49 * turn - 1) / 8 * 8;
  return hits;
}

config::Config cpu_config(const TempFolder& folder) {
  const std::string path = folder.path("config.json");
  std::ofstream(path)
      << R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "tie_word_embeddings": true})";
  Scene scene;
  scene.executor = "cpu";
  config::Config config = config_of(scene, folder);
  config.model.path = path;
  config.model.random_weights = 1;
  config.engine.threads = 1;
  return config;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(chains)

BOOST_AUTO_TEST_CASE(a_turn_hits_all_that_the_turn_before_computed) {
  const TempFolder folder;
  for (const std::uint32_t lag : {0u, 1u}) {
    config::Config config = simulated_config(folder);
    config.engine.lag = lag;
    add_sessions(config, 25);
    const Summary summary = run_of(config);
    BOOST_TEST(summary.completed == 100u);
    BOOST_REQUIRE(summary.chains.has_value());
    BOOST_TEST(summary.chains->completed == 25u);
    BOOST_TEST(summary.chains->broken == 0u);
    BOOST_TEST(summary.counters.hit_tokens == 25 * hits_of_a_session());
  }
}

// The model's own tokens, in real time.
BOOST_AUTO_TEST_CASE(so_it_does_on_a_model) {
  const TempFolder folder;
  config::Config config = cpu_config(folder);
  add_sessions(config, 3);
  config.workload.rate_scale = 20;
  const Summary summary = run_of(config);
  BOOST_TEST(summary.completed == 12u);
  BOOST_TEST(summary.counters.hit_tokens == 3 * hits_of_a_session());
}

BOOST_AUTO_TEST_CASE(a_refused_turn_ends_its_session) {
  const TempFolder folder;
  config::Config config = simulated_config(folder);
  add_sessions(config, 40);
  config.workload.deadlines.end_ms = 1;  // shorter than any answer
  const Summary summary = run_of(config);
  BOOST_TEST(summary.deadline == 40u);
  BOOST_TEST((summary.chains->completed == 0 && summary.chains->broken == 40));
}

// Alone on the device, a program's time is its calls' and its tools'; and its parts carry who it is.
BOOST_AUTO_TEST_CASE(programs_are_told_by_their_time) {
  const TempFolder folder;
  config::Config config = simulated_config(folder);
  config.workload.source = "programs";
  config.workload.rate_per_second = 0.01;
  config.workload.arrival = "gamma";
  config.workload.cv = 0.1;
  config.workload.count = 5;
  config::ProgramKind& kind = config.workload.programs["agent"];
  kind.system_tokens = 64;
  kind.stages = {"fixed", 3};
  kind.fan_out = {"fixed", 2};
  kind.tool_time_s = {"fixed", 2};
  const Summary summary = run_of(config);
  BOOST_TEST(summary.completed == 5u * 3 * 2);
  BOOST_REQUIRE(summary.chains.has_value());
  BOOST_TEST((summary.chains->programs && summary.chains->completed == 5));
  const double calls_ms = 3 * summary.end_to_end.p50;
  BOOST_CHECK_CLOSE(summary.chains->time.p50, 4000 + calls_ms, 2);
  BOOST_CHECK_CLOSE(summary.chains->mean_ms, 4000 + calls_ms, 2);
  BOOST_REQUIRE_EQUAL(summary.classes.size(), 1u);
  BOOST_TEST((summary.classes[0].label == "agent" && summary.classes[0].completed == 30));
  const std::string table = experiment::table({summary});
  for (const char* row : {"programs completed", "program p50, ms", "program mean, ms", "program p99, ms"})
    BOOST_TEST(table.find(row) != std::string::npos, row);
  BOOST_TEST(table.find("sessions completed") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(requests_name_the_one_that_led_to_them) {
  const TempFolder folder;
  config::Config config = simulated_config(folder);
  add_sessions(config, 5);
  config.observe.log = folder.path("run.slog");
  run_of(config);
  const auto reader = observe::LogReader::open(config.observe.log);
  BOOST_REQUIRE(reader.has_value());
  std::map<std::string, std::uint64_t> last;  // by session
  observe::StepRecord step;
  std::size_t with_parent = 0;
  while (*(*reader)->next(step))
    for (const auto& item : step.items) {
      if (item.tag != observe::Item::message) continue;
      observe::Reader in(item.bytes);
      const auto message = engine::decode_message(in);
      const requests::RequestSpec& spec = message->arrival->spec;
      BOOST_REQUIRE(!spec.session.empty());
      BOOST_REQUIRE_EQUAL(spec.parent, spec.turn == 0 ? 0 : last.at(spec.session));
      with_parent += spec.parent != 0 ? 1 : 0;
      last[spec.session] = message->arrival->id;
    }
  BOOST_TEST(with_parent == 15u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
