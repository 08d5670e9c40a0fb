// From tiny files of each family to architecture, weights and vocabulary, and what is refused on the way.
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>

#include "model/from_gguf.hpp"
#include "model/model.hpp"
#include "tiny.hpp"

using namespace serveloop::model;
using namespace serveloop::model::test;

namespace {

struct Read {
  Bytes bytes;
  Architecture architecture;
  Weights weights;
  std::optional<Vocabulary> vocabulary;
  std::string error = "no error";
};

Read read(GgufWriter& file) {
  Read out;
  out.bytes = file.finish();
  const auto keep = [&](const auto& result) {
    if (!result) out.error = result.error().message();
    return result.has_value();
  };
  const auto parsed = gguf::File::parse(out.bytes, "x");
  if (!keep(parsed)) return out;
  const auto architecture = architecture_from_gguf(*parsed);
  if (!keep(architecture)) return out;
  out.architecture = *architecture;
  const auto weights = weights_from_gguf(*parsed, *architecture);
  if (!keep(weights)) return out;
  out.weights = *weights;
  const auto vocabulary = vocabulary_from_gguf(*parsed, architecture->vocabulary);
  if (keep(vocabulary)) out.vocabulary = *vocabulary;
  return out;
}

std::string changed(const char* family, const std::function<void(GgufWriter&)>& change) {
  GgufWriter file = tiny(family, 2);
  change(file);
  return read(file).error;
}

// Replaces a key's 32-bit value.
void set(GgufWriter& file, const std::string& key, std::uint32_t value) {
  const auto* name = reinterpret_cast<const std::byte*>(key.data());
  const auto at = std::search(file.keys.begin(), file.keys.end(), name, name + key.size());
  BOOST_REQUIRE(at != file.keys.end());
  std::memcpy(&*at + key.size() + 4, &value, sizeof value);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(from_gguf_files)

BOOST_AUTO_TEST_CASE(llama) {
  GgufWriter file = tiny("llama");
  const Read it = read(file);
  BOOST_REQUIRE_EQUAL(it.error, "no error");
  const Architecture& a = it.architecture;
  BOOST_TEST(a.family == "llama");
  BOOST_TEST(a.vocabulary == kVocabulary);
  BOOST_TEST(a.hidden == kHidden);
  BOOST_TEST(a.intermediate == kIntermediate);
  BOOST_TEST(a.q_heads == 3u);
  BOOST_TEST(a.kv_heads == 1u);
  BOOST_TEST(a.head_dim == 40u);
  BOOST_TEST(a.max_positions == 1009u);
  BOOST_TEST(a.layers.size() == kLayers);
  BOOST_TEST(a.layers[6].window == 0u);
  BOOST_TEST(a.norm_eps == 1e-5f);
  BOOST_TEST(a.tied_embeddings);
  BOOST_TEST((!a.qkv_bias && !a.qk_norm && !a.post_norms));
  BOOST_TEST((a.gate == Gate::swish));
  BOOST_TEST((a.rope_pairs == RopePairs::neighbours));
  BOOST_TEST(a.ropes[0].theta == 70000.0);
  BOOST_TEST((a.ropes[0].scaling == RopeScaling::none));
  BOOST_TEST(a.embedding_scale == 1.0f);
  BOOST_TEST(a.attention_scale == static_cast<float>(1 / std::sqrt(40.0)));
  BOOST_TEST(a.logit_soft_cap == 0.0f);
}

// Each tensor of the file is found under its role, with its type, shape and bytes.
BOOST_AUTO_TEST_CASE(weights_are_the_files_bytes) {
  for (const char* family : {"llama", "qwen2", "qwen3", "gemma3"}) {
    GgufWriter file = tiny(family);
    add_matrix(file, "output.weight", kVocabulary, kHidden, 30);
    const Read it = read(file);
    BOOST_REQUIRE_EQUAL(it.error, "no error");
    BOOST_TEST(!it.architecture.tied_embeddings);
    BOOST_TEST(slots(it.architecture).size() == file.tensors.size());
    const auto same = [&](const Tensor& tensor, const std::string& name) {
      const WrittenTensor& written = file.find(name);
      BOOST_REQUIRE_MESSAGE(tensor, name);
      BOOST_TEST(tensor.cols == written.sizes[0]);
      BOOST_TEST(tensor.rows == (written.sizes.size() == 1 ? 1 : written.sizes[1]));
      BOOST_REQUIRE_EQUAL(tensor.bytes(), written.data.size());
      BOOST_TEST(std::memcmp(tensor.data, written.data.data(), written.data.size()) == 0, name);
    };
    same(it.weights.embedding, "token_embd.weight");
    same(it.weights.final_norm, "output_norm.weight");
    same(it.weights.lm_head, "output.weight");
    const std::string f = family;
    for (std::uint32_t i = 0; i < kLayers; ++i) {
      const LayerWeights& w = it.weights.layers[i];
      const std::string blk = "blk." + std::to_string(i) + ".";
      same(w.attention_norm, blk + "attn_norm.weight"), same(w.q, blk + "attn_q.weight");
      same(w.k, blk + "attn_k.weight"), same(w.v, blk + "attn_v.weight"),
          same(w.o, blk + "attn_output.weight");
      same(w.ffn_norm, blk + "ffn_norm.weight"), same(w.gate, blk + "ffn_gate.weight");
      same(w.up, blk + "ffn_up.weight"), same(w.down, blk + "ffn_down.weight");
      if (f == "qwen2") {
        same(w.q_bias, blk + "attn_q.bias"), same(w.k_bias, blk + "attn_k.bias"),
            same(w.v_bias, blk + "attn_v.bias");
      } else {
        BOOST_TEST((!w.q_bias && !w.k_bias && !w.v_bias));
      }
      if (f == "qwen3" || f == "gemma3")
        same(w.q_norm, blk + "attn_q_norm.weight"), same(w.k_norm, blk + "attn_k_norm.weight");
      if (f == "gemma3")
        same(w.post_attention_norm, blk + "post_attention_norm.weight"),
            same(w.post_ffn_norm, blk + "post_ffw_norm.weight");
    }
    BOOST_TEST(it.architecture.qkv_bias == (f == "qwen2"));
    BOOST_TEST(it.architecture.qk_norm == (f == "qwen3" || f == "gemma3"));
    BOOST_TEST((it.architecture.rope_pairs == (f == "llama" ? RopePairs::neighbours : RopePairs::halves)));
  }
}

BOOST_AUTO_TEST_CASE(gemma3) {
  GgufWriter file = tiny("gemma3");
  const Read it = read(file);
  BOOST_REQUIRE_EQUAL(it.error, "no error");
  const Architecture& a = it.architecture;
  BOOST_TEST((a.gate == Gate::gelu_tanh && a.post_norms && a.tied_embeddings));
  BOOST_TEST(a.embedding_scale == 9.8125f);  // sqrt(96) = 9.798 in steps of 1/16
  BOOST_TEST(a.ropes[0].theta == 70000.0);
  BOOST_TEST((a.ropes[0].scaling == RopeScaling::linear));
  BOOST_TEST(a.ropes[0].factor == 8.0);
  BOOST_TEST(a.ropes[1].theta == 10000.0);
  BOOST_TEST((a.ropes[1].scaling == RopeScaling::none));
  for (std::uint32_t i = 0; i < kLayers; ++i) {
    BOOST_TEST(a.layers[i].window == (i == 5 ? 0u : 29u));
    BOOST_TEST((a.layers[i].rope == (i == 5 ? RopeKind::global : RopeKind::local)));
  }
  BOOST_TEST(it.weights.lm_head.data == it.weights.embedding.data);

  GgufWriter every = tiny("gemma3", 3);
  every.array("gemma3.attention.sliding_window_pattern", kBool, std::vector<std::uint8_t>{0, 1, 0});
  every.f32("gemma3.rope.freq_base_swa", 5000.0f);
  every.f32("gemma3.final_logit_softcapping", 30.0f);
  every.f32("gemma3.attn_logit_softcapping", 50.0f);
  const Read other = read(every);
  BOOST_REQUIRE_EQUAL(other.error, "no error");
  for (std::uint32_t i = 0; i < 3; ++i)
    BOOST_TEST(other.architecture.layers[i].window == (i == 1 ? 29u : 0u));
  BOOST_TEST(other.architecture.ropes[1].theta == 5000.0);
  BOOST_TEST(other.architecture.logit_soft_cap == 30.0f);
  BOOST_TEST(other.architecture.attention_soft_cap == 50.0f);

  GgufWriter period = tiny("gemma3", 3);
  period.u32("gemma3.attention.sliding_window_pattern", 2);
  const Read third = read(period);
  BOOST_REQUIRE_EQUAL(third.error, "no error");
  for (std::uint32_t i = 0; i < 3; ++i)
    BOOST_TEST(third.architecture.layers[i].window == (i == 1 ? 0u : 29u));

  BOOST_TEST(read(*std::make_unique<GgufWriter>(tiny("gemma3", 62))).architecture.attention_scale ==
             static_cast<float>(1 / std::sqrt(96 / 3.0)));
}

BOOST_AUTO_TEST_CASE(mistral_windows_and_llama3_divisors) {
  GgufWriter file = tiny("llama", 2);
  file.u32("llama.attention.sliding_window", 53);
  add_vector(file, "rope_freqs.weight", 20);
  const Read it = read(file);
  BOOST_REQUIRE_EQUAL(it.error, "no error");
  for (const Layer& layer : it.architecture.layers) BOOST_TEST(layer.window == 53u);
  BOOST_REQUIRE_EQUAL(it.architecture.ropes[0].divisors.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) {
    float written = 0;
    std::memcpy(&written, file.find("rope_freqs.weight").data.data() + 4 * i, sizeof written);
    BOOST_TEST(it.architecture.ropes[0].divisors[i] == written);
  }
  BOOST_TEST(changed("llama", [](GgufWriter& f) { add_vector(f, "rope_freqs.weight", 21); }) ==
             "x: tensor 'rope_freqs.weight': expected F32 [20], found F32 [21]");
  BOOST_TEST(changed("llama", [](GgufWriter& f) {
               add_vector(f, "rope_freqs.weight", 20);
               std::memset(f.tensors.back().data.data(), 0, 4);
             }) == "x: RoPE divisor: expected a number above 0, found 0");
}

BOOST_AUTO_TEST_CASE(vocabularies) {
  GgufWriter file = tiny("llama", 1);
  const Read it = read(file);
  BOOST_REQUIRE(it.vocabulary.has_value());
  const Vocabulary& v = *it.vocabulary;
  BOOST_TEST(v.model == "gpt2");
  BOOST_TEST(v.pre == "smollm");
  BOOST_TEST(v.tokens.size() == kVocabulary - 2);
  BOOST_TEST(v.tokens[308] == "t308");
  BOOST_TEST(v.tokens[5] == std::string("a\0b", 3));
  BOOST_TEST(v.tokens[6] == "");
  BOOST_TEST(v.types.size() == v.tokens.size());
  BOOST_TEST((v.types[9] == TokenType::normal));
  BOOST_TEST(v.scores.at(308) == -0.5f);
  BOOST_TEST(v.merges.at(1) == "t 2");
  BOOST_TEST(*v.bos == 1u);
  BOOST_TEST(*v.eos == 308u);
  BOOST_TEST((!v.eot && !v.unknown && !v.add_eos));
  BOOST_TEST(*v.add_bos);
  BOOST_TEST(v.chat_template == "{{ messages }}");

  BOOST_TEST(changed("llama", [](GgufWriter& f) { f.u32("tokenizer.ggml.eot_token_id", 309); }) ==
             "x: key 'tokenizer.ggml.eot_token_id': expected an integer from 0 to 308, found 309");
  BOOST_TEST(
      changed("llama", [](GgufWriter& f) { f.find("token_embd.weight").sizes[1] = 308; }) ==
      "x: key 'tokenizer.ggml.tokens': expected 1 to 308 tokens, as the embedding has rows, found 309");
}

BOOST_AUTO_TEST_CASE(what_is_not_computed_is_refused_by_name) {
  GgufWriter mamba;
  mamba.text("general.architecture", "mamba");
  BOOST_TEST(read(mamba).error ==
             "x: general.architecture: expected one of llama, qwen2, qwen3, gemma3, found 'mamba'");
  GgufWriter none;
  BOOST_TEST(read(none).error == "x: key 'general.architecture': expected a string, found no such key");
  BOOST_TEST(changed("llama", [](GgufWriter& f) { f.u32("llama.expert_count", 8); }) ==
             "x: key 'llama.expert_count': expected 0 (mixtures of experts are not supported), found 8");
  BOOST_TEST(changed("llama", [](GgufWriter& f) { f.u32("llama.rope.dimension_count", 20); }) ==
             "x: key 'llama.rope.dimension_count': expected 40, the head size, found 20");
  BOOST_TEST(changed("llama", [](GgufWriter& f) { set(f, "llama.attention.value_length", 24); }) ==
             "x: key 'llama.attention.value_length': expected 40, the head size, found 24");
  BOOST_TEST(changed("qwen3", [](GgufWriter& f) { f.text("qwen3.rope.scaling.type", "yarn"); }) ==
             "x: key 'qwen3.rope.scaling.type': expected none or linear, found 'yarn'");
  BOOST_TEST(changed("llama", [](GgufWriter& f) { f.number("split.count", kU16, std::uint16_t{3}); }) ==
             "x: expected a model in one file, found one part of several; join the parts first");
  BOOST_TEST(changed("llama", [](GgufWriter& f) { set(f, "llama.block_count", 2'000'000'000); }) ==
             "x: key 'llama.block_count': expected an integer from 1 to 1024, found 2000000000");
  BOOST_TEST(changed("llama", [](GgufWriter& f) { set(f, "llama.attention.head_count_kv", 2); }) ==
             "x: query heads: expected a multiple of the 2 key heads, found 3");
  BOOST_TEST(changed("llama", [](GgufWriter& f) { set(f, "llama.rope.freq_base", 0xbf800000u); }) ==
             "x: RoPE base: expected a number above 0, found -1");
  BOOST_TEST(changed("llama", [](GgufWriter& f) { set(f, "llama.rope.freq_base", 0x7fc00000u); }) ==
             "x: key 'llama.rope.freq_base': expected a finite f32 or f64, found nan");
}

BOOST_AUTO_TEST_CASE(wrong_tensors_are_named) {
  const auto drop = [](const char* name) {
    return [name](GgufWriter& f) {
      std::erase_if(f.tensors, [&](const WrittenTensor& t) { return t.name == name; });
    };
  };
  BOOST_TEST(changed("llama", drop("blk.1.ffn_up.weight")) ==
             "x: tensor 'blk.1.ffn_up.weight': expected [160, 96], found no such tensor");
  BOOST_TEST(changed("llama", drop("token_embd.weight")) ==
             "x: tensor 'token_embd.weight': expected the embedding, found no such tensor");
  BOOST_TEST(changed("qwen2", drop("blk.1.attn_k.bias")) ==
             "x: tensor 'blk.1.attn_k.bias': expected [1, 40], found no such tensor");
  BOOST_TEST(changed("gemma3", drop("blk.0.post_ffw_norm.weight")) ==
             "x: tensor 'blk.0.post_ffw_norm.weight': expected [1, 96], found no such tensor");
  BOOST_TEST(changed("llama", [](GgufWriter& f) { f.find("blk.1.attn_k.weight").sizes[1] = 39; }) ==
             "x: tensor 'blk.1.attn_k.weight': expected [40, 96], found [39, 96]");
  BOOST_TEST(
      changed("llama", [](GgufWriter& f) { f.find("blk.1.attn_v.weight").type = 20; }) ==  // IQ4_NL: smaller
      "x: tensor 'blk.1.attn_v.weight': expected one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, found IQ4_NL");
  BOOST_TEST(changed("llama", [](GgufWriter& f) { f.find("blk.0.attn_norm.weight").type = 8; }) ==
             "x: tensor 'blk.0.attn_norm.weight': expected F32, F16 or BF16 for a vector, found Q8_0");
  BOOST_TEST(
      changed("llama", [](GgufWriter& f) { add_vector(f, "blk.0.attn_output.bias", 96); }) ==
      "x: tensor 'blk.0.attn_output.bias': expected only what llama has, found one more; the file needs more "
      "than is computed here");
}

BOOST_AUTO_TEST_CASE(a_model_keeps_its_file) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("serveloop-model-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const std::string path = folder / "tiny.gguf";
  GgufWriter file = tiny("qwen3", 2);
  const Bytes bytes = file.finish();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
  {
    const auto model = load_gguf(path);
    if (!model) throw std::runtime_error(model.error().message());
    std::filesystem::remove(path);
    const WrittenTensor& written = file.find("blk.1.ffn_down.weight");
    const Tensor& down = model->weights.layers[1].down;
    BOOST_TEST(std::memcmp(down.data, written.data.data(), written.data.size()) == 0);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(down.data) % 32 == 0u);
    BOOST_TEST(model->vocabulary->tokens.size() == kVocabulary - 2);
  }
  const auto line = [](const std::string& bad) { return load_gguf(bad).error().message(); };
  BOOST_TEST(line(path) == path + ": expected a readable file, found No such file or directory");
  BOOST_TEST(line(folder) == folder.string() + ": expected a readable file, found a folder");
  std::ofstream(path).close();
  BOOST_TEST(line(path) == path + ": expected a readable file, found an empty one");
  std::filesystem::remove_all(folder);
}

BOOST_AUTO_TEST_SUITE_END()
