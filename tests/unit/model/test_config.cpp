// config.json of five families, as transformers 4 and 5 write them, and what is refused.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "model/from_config.hpp"

using namespace serveloop::model;

namespace {

Architecture loaded(const std::string& name) {
  const auto read = load_config_json(std::string(CONFIG_FOLDER "/") + name + ".json");
  if (!read) throw std::runtime_error(read.error().message());
  return *read;
}

std::string text_of(const std::string& name) {
  std::ifstream file(std::string(CONFIG_FOLDER "/") + name + ".json");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string error_of(const std::string& text) {
  const auto read = architecture_from_config_json(text, "c");
  return read ? "no error" : read.error().message();
}

// The small Llama with one passage replaced.
std::string changed(const std::string& name, const std::string& from, const std::string& to) {
  std::string text = text_of(name);
  const std::size_t at = text.find(from);
  BOOST_REQUIRE_MESSAGE(at != std::string::npos, from);
  return error_of(text.replace(at, from.size(), to));
}

void check_tiny(const Architecture& a, std::uint32_t head_dim) {
  BOOST_TEST(a.vocabulary == 311u);
  BOOST_TEST(a.hidden == 96u);
  BOOST_TEST(a.intermediate == 160u);
  BOOST_TEST(a.q_heads == 3u);
  BOOST_TEST(a.kv_heads == 1u);
  BOOST_TEST(a.head_dim == head_dim);
  BOOST_TEST(a.max_positions == 1009u);
  BOOST_TEST(a.norm_eps == 1e-6f);
  BOOST_REQUIRE_EQUAL(a.layers.size(), 7u);
  BOOST_TEST((a.rope_pairs == RopePairs::halves));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(from_config)

BOOST_AUTO_TEST_CASE(llama31_8b) {
  const Architecture a = loaded("llama3.1-8b");
  BOOST_TEST(a.vocabulary == 128256u);
  BOOST_TEST(a.q_features() == 4096u);
  BOOST_TEST(a.kv_features() == 1024u);
  BOOST_TEST(a.layers.size() == 32u);
  BOOST_TEST(!a.tied_embeddings);
  BOOST_TEST(a.norm_eps == 1e-5f);
  BOOST_TEST((a.ropes[0].scaling == RopeScaling::llama3));
  BOOST_TEST(a.ropes[0].theta == 500000.0);
  BOOST_TEST(a.ropes[0].original_positions == 8192u);
  BOOST_TEST(loaded("smollm2-135m").tied_embeddings);
  BOOST_TEST(loaded("smollm2-135m").q_heads == 9u);
  BOOST_TEST(loaded("qwen3-0.6b").q_features() == 2048u);
}

BOOST_AUTO_TEST_CASE(both_ways_of_writing) {
  for (const std::string major : {"4", "5"}) {
    const Architecture llama = loaded("llama_transformers" + major);
    check_tiny(llama, 32);
    BOOST_TEST((llama.ropes[0].scaling == RopeScaling::llama3));
    BOOST_TEST(llama.ropes[0].theta == 500000.0);
    BOOST_TEST(llama.ropes[0].factor == 8.0);
    BOOST_TEST(llama.ropes[0].low_freq_factor == 1.0);
    BOOST_TEST(llama.ropes[0].high_freq_factor == 4.0);
    BOOST_TEST(llama.ropes[0].original_positions == 512u);
    BOOST_TEST(llama.attention_scale == static_cast<float>(1 / std::sqrt(32.0)));
    BOOST_TEST((!llama.qkv_bias && !llama.qk_norm && !llama.post_norms && !llama.tied_embeddings));

    const Architecture mistral = loaded("mistral_transformers" + major);
    check_tiny(mistral, 32);
    for (const Layer& layer : mistral.layers) BOOST_TEST(layer.window == 53u);
    BOOST_TEST(mistral.ropes[0].theta == 10000.0);

    const Architecture qwen2 = loaded("qwen2_transformers" + major);
    check_tiny(qwen2, 32);
    for (std::size_t i = 0; i < 7; ++i) BOOST_TEST(qwen2.layers[i].window == (i >= 5 ? 41u : 0u));
    BOOST_TEST((qwen2.qkv_bias && !qwen2.qk_norm));

    const Architecture qwen3 = loaded("qwen3_transformers" + major);
    check_tiny(qwen3, 40);
    for (const Layer& layer : qwen3.layers) BOOST_TEST(layer.window == 0u);
    BOOST_TEST((!qwen3.qkv_bias && qwen3.qk_norm && qwen3.tied_embeddings));
    BOOST_TEST(qwen3.ropes[0].theta == 1000000.0);

    const Architecture gemma = loaded("gemma3_transformers" + major);
    check_tiny(gemma, 40);
    BOOST_TEST((gemma.gate == Gate::gelu_tanh && gemma.qk_norm && gemma.post_norms && gemma.tied_embeddings));
    BOOST_TEST(gemma.embedding_scale == 9.8125f);
    BOOST_TEST(gemma.attention_scale == static_cast<float>(1 / std::sqrt(168.0)));
    BOOST_TEST(gemma.ropes[0].theta == 1000000.0);
    BOOST_TEST(gemma.ropes[0].factor == 8.0);
    BOOST_TEST((gemma.ropes[0].scaling == RopeScaling::linear));
    BOOST_TEST(gemma.ropes[1].theta == 10000.0);
    BOOST_TEST((gemma.ropes[1].scaling == RopeScaling::none));
    for (std::size_t i = 0; i < 7; ++i) {
      BOOST_TEST(gemma.layers[i].window == (i == 5 ? 0u : 29u));
      BOOST_TEST((gemma.layers[i].rope == (i == 5 ? RopeKind::global : RopeKind::local)));
    }
  }
}

BOOST_AUTO_TEST_CASE(absent_fields_have_the_defaults_of_their_family) {
  const auto read = [&](const std::string& type, const std::string& more = "") {
    const auto a = architecture_from_config_json(
        R"({"vocab_size":311,"hidden_size":192,"intermediate_size":160,"num_hidden_layers":30,)"
        R"("num_attention_heads":32,"max_position_embeddings":1009,"model_type":")" +
            type + "\"" + more + "}",
        "c");
    if (!a) throw std::runtime_error(a.error().message());
    return *a;
  };
  const Architecture llama = read("llama"), mistral = read("mistral"), qwen3 = read("qwen3"),
                     gemma = read("gemma3_text");
  BOOST_TEST(llama.kv_heads == 32u);
  BOOST_TEST(llama.head_dim == 6u);
  BOOST_TEST(llama.ropes[0].theta == 10000.0);
  BOOST_TEST(llama.norm_eps == 1e-6f);
  BOOST_TEST(mistral.kv_heads == 8u);
  BOOST_TEST(read("mistral", ",\"num_key_value_heads\":null").kv_heads == 32u);
  BOOST_TEST(mistral.layers[0].window == 4096u);
  BOOST_TEST(read("mistral", ",\"sliding_window\":null").layers[0].window == 0u);
  BOOST_TEST(qwen3.kv_heads == 32u);
  BOOST_TEST(qwen3.head_dim == 128u);
  BOOST_TEST(qwen3.layers[29].window == 0u);
  BOOST_TEST(read("qwen3", ",\"use_sliding_window\":true").layers[27].window == 0u);
  BOOST_TEST(read("qwen3", ",\"use_sliding_window\":true").layers[28].window == 4096u);
  BOOST_TEST(gemma.kv_heads == 4u);
  BOOST_TEST(gemma.head_dim == 256u);
  BOOST_TEST(gemma.attention_scale == 0.0625f);
  BOOST_TEST(gemma.ropes[0].theta == 1000000.0);
  BOOST_TEST(gemma.layers[4].window == 4096u);
  BOOST_TEST(gemma.layers[5].window == 0u);
  BOOST_TEST(read("gemma3_text", ",\"sliding_window_pattern\":3").layers[2].window == 0u);
}

BOOST_AUTO_TEST_CASE(a_layer_list_goes_before_the_pattern) {
  std::string text = text_of("gemma3_transformers5");
  const std::size_t at = text.find("sliding_attention");
  text.replace(at, std::strlen("sliding_attention"), "full_attention");
  const auto a = architecture_from_config_json(text, "c");
  BOOST_REQUIRE(a.has_value());
  BOOST_TEST(a->layers[0].window == 0u);
  BOOST_TEST((a->layers[0].rope == RopeKind::global));
  BOOST_TEST(a->layers[1].window == 29u);
}

BOOST_AUTO_TEST_CASE(what_is_not_computed_is_refused_by_name) {
  const std::string llama = "llama_transformers4";
  BOOST_TEST(changed(llama, "LlamaForCausalLM", "MixtralForCausalLM") ==
             "c: architectures: expected one of LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, "
             "Qwen3ForCausalLM, Gemma3ForCausalLM, found 'MixtralForCausalLM'");
  BOOST_TEST(changed(llama, "\"llama3\"", "\"yarn\"") ==
             "c: rope_type: expected default, linear or llama3, found 'yarn'");
  BOOST_TEST(changed("llama_transformers5", "\"llama3\"", "\"dynamic\"") ==
             "c: rope_type: expected default, linear or llama3, found 'dynamic'");
  BOOST_TEST(changed(llama, "\"low_freq_factor\": 1.0,", "") ==
             "c: low_freq_factor: expected a number, as RoPE type 'llama3' needs, found none");
  BOOST_TEST(changed(llama, "\"high_freq_factor\": 4.0", "\"high_freq_factor\": 1.0") ==
             "c: high_freq_factor - low_freq_factor: expected a number above 0, found 0");
  BOOST_TEST(changed(llama, "\"silu\"", "\"relu\"") ==
             "c: hidden_act: expected silu or gelu_pytorch_tanh, found 'relu'");
  BOOST_TEST(changed(llama, "\"use_cache\": true", "\"attention_bias\": true") ==
             "c: attention_bias: expected false (true is not supported), found true");
  BOOST_TEST(changed(llama, "\"use_cache\": true", "\"mlp_bias\": true") ==
             "c: mlp_bias: expected false (true is not supported), found true");
  BOOST_TEST(changed(llama, "\"use_cache\": true", "\"partial_rotary_factor\": 0.5") ==
             "c: partial_rotary_factor: expected 1, found 0.5");
  BOOST_TEST(
      changed("gemma3_transformers5", "\"use_cache\": true", "\"use_bidirectional_attention\": true") ==
      "c: use_bidirectional_attention: expected false (true is not supported), found true");
  BOOST_TEST(
      changed("qwen2_transformers4", "full_attention", "linear_attention") ==
      "c: layer_types: expected full_attention or sliding_attention, found 'linear_attention' for layer 0");
  BOOST_TEST(
      changed("qwen2_transformers4", "\"use_sliding_window\": true", "\"use_sliding_window\": false") ==
      "c: layer_types: expected full_attention, as there is no window, found 'sliding_attention' for layer "
      "5");
  BOOST_TEST(changed("qwen2_transformers4", "\"full_attention\",", "") ==
             "c: layer_types: expected 7, one a layer, found 6");
}

BOOST_AUTO_TEST_CASE(wrong_fields_are_named) {
  const std::string llama = "llama_transformers4";
  for (const auto& [to, found] : {std::pair{"0", "0"}, {"1048577", "1048577"}, {"null", "none"}})
    BOOST_TEST(changed(llama, "\"hidden_size\": 96", std::string("\"hidden_size\": ") + to) ==
               std::string("c: hidden_size: expected a whole number from 1 to 1048576, found ") + found);
  for (const char* to : {"-1", "1.5", "4294967296", "\"96\"", "[96]", "true"})
    BOOST_TEST(changed(llama, "\"hidden_size\": 96", std::string("\"hidden_size\": ") + to) ==
               std::string("c: hidden_size: expected a whole number below 2^32, found ") + to);
  BOOST_TEST(changed(llama, "\"num_hidden_layers\": 7", "\"num_hidden_layers\": 4000000000") ==
             "c: num_hidden_layers: expected a whole number from 1 to 1024, found 4000000000");
  BOOST_TEST(changed(llama, "\"num_key_value_heads\": 1", "\"num_key_value_heads\": 2") ==
             "c: query heads: expected a multiple of the 2 key heads, found 3");
  BOOST_TEST(changed(llama, "\"head_dim\": 32", "\"head_dim\": 33") ==
             "c: head size: expected an even number, found 33");
  BOOST_TEST(changed(llama, "\"head_dim\": 32,", "\"head_dim\": 0,") ==
             "c: head_dim: expected a whole number from 1, found 0");
  BOOST_TEST(changed(llama, "\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": 1e-600") ==
             "c: norm epsilon: expected a number above 0, found 0");
  BOOST_TEST(changed(llama, "\"rope_theta\": 500000.0", "\"rope_theta\": \"big\"") ==
             "c: rope_theta: expected a number that is not negative, found \"big\"");
  BOOST_TEST(changed(llama, "\"factor\": 8.0", "\"factor\": -8.0") ==
             "c: rope_scaling.factor: expected a number that is not negative, found -8.0");
  BOOST_TEST(error_of("") == "c: expected JSON, found what is none; is it a whole config.json?");
  BOOST_TEST(error_of("{\"vocab_size\": 1,") ==
             "c: expected JSON, found what is none; is it a whole config.json?");
  BOOST_TEST(error_of("[1, 2]") == "c: expected an object, found [1,2]");
  BOOST_TEST(error_of("{}") ==
             "c: architectures: expected one of LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, "
             "Qwen3ForCausalLM, Gemma3ForCausalLM, found ''");
  BOOST_TEST(error_of("{\"a\":" + std::string(16, '[') + std::string(16, ']') + "}") ==
             "c: expected at most 16 levels, found more");
  BOOST_TEST(error_of(std::string(1'000'000, '[')) == "c: expected at most 16 levels, found more");
  BOOST_TEST(error_of(std::string((1u << 20) + 1, ' ')) ==
             "c: expected at most 1048576 bytes, found 1048577");
  const std::string whole = text_of(llama);
  for (std::size_t size = 0; size + 2 < whole.size(); ++size)
    BOOST_TEST(error_of(whole.substr(0, size)) != "no error");
}

BOOST_AUTO_TEST_SUITE_END()
