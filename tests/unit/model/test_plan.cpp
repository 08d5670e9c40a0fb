// What an architecture says of itself: RoPE's angles, operations, bytes.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>

#include "model/from_config.hpp"
#include "model/memory_plan.hpp"
#include "model/model.hpp"
#include "model/op_keys.hpp"

using namespace serveloop::model;

namespace {

Architecture loaded(const char* name) {
  return load_config_json(std::string(CONFIG_FOLDER "/") + name + ".json").value();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(plans)

// Llama 3's rule written out by wavelengths, as its authors do.
BOOST_AUTO_TEST_CASE(rope_frequencies_of_llama3) {
  const Architecture a = loaded("llama3.1-8b");
  const std::vector<double> got = rope_frequencies(a.ropes[0], a.head_dim);
  BOOST_REQUIRE_EQUAL(got.size(), 64u);
  int kept = 0, ramp = 0, slowed = 0;
  std::vector<float> divisors;
  for (int i = 0; i < 64; ++i) {
    const double plain = 1 / std::pow(500000.0, 2 * i / 128.0), wave = 2 * 3.14159265358979323846 / plain;
    double expected = plain;
    if (wave > 8192 / 1.0) {
      expected = plain / 8, ++slowed;
    } else if (wave >= 8192 / 4.0) {
      const double smooth = (8192 / wave - 1) / (4 - 1);
      expected = (1 - smooth) * plain / 8 + smooth * plain, ++ramp;
    } else {
      ++kept;
    }
    BOOST_TEST(got[i] == expected, boost::test_tools::tolerance(1e-13));
    divisors.push_back(static_cast<float>(plain / expected));
  }
  BOOST_TEST((kept > 20 && ramp > 3 && slowed > 20));
  // GGUF stores the quotients instead.
  const Rope stored{.theta = 500000.0, .divisors = divisors};
  for (int i = 0; i < 64; ++i)
    BOOST_TEST(rope_frequencies(stored, 128)[i] == got[i], boost::test_tools::tolerance(1e-7));
}

BOOST_AUTO_TEST_CASE(rope_frequencies_of_gemma3) {
  const Architecture a = loaded("gemma3_transformers4");
  for (int i = 0; i < 20; ++i) {
    BOOST_TEST(rope_frequencies(a.ropes[0], 40)[i] == std::pow(1e6, -i / 20.0) / 8,
               boost::test_tools::tolerance(1e-13));
    BOOST_TEST(rope_frequencies(a.ropes[1], 40)[i] == std::pow(1e4, -i / 20.0),
               boost::test_tools::tolerance(1e-13));
  }
}

BOOST_AUTO_TEST_CASE(gemma_scales_are_bf16) {
  BOOST_TEST(gemma_embedding_scale(640) == 25.25f);  // 25.298
  BOOST_TEST(gemma_embedding_scale(1152) == 34.0f);  // 33.941
  BOOST_TEST(gemma_embedding_scale(2560) == 50.5f);  // 50.596
  BOOST_TEST(gemma_embedding_scale(3840) == 62.0f);  // 61.968
  BOOST_TEST(gemma_embedding_scale(5376) == 73.5f);  // 73.321
}

BOOST_AUTO_TEST_CASE(operations) {
  const Architecture a = loaded("gemma3_transformers5");
  const CanCompute can{1, 2, 4, 8};
  const std::vector<sl_op_key> keys = op_keys(a, can);
  BOOST_REQUIRE_EQUAL(keys.size(), 2u + 7 * 9);
  struct Expected {
    std::uint16_t role, can;
    std::uint32_t n, k;
  };
  const Expected layer[] = {{SL_ROLE_NORM, 4, 96, 96}, {SL_ROLE_Q, 2, 120, 96},    {SL_ROLE_K, 2, 40, 96},
                            {SL_ROLE_V, 2, 40, 96},    {SL_ROLE_O, 2, 96, 120},    {SL_ROLE_GATE, 2, 160, 96},
                            {SL_ROLE_UP, 2, 160, 96},  {SL_ROLE_DOWN, 2, 96, 160}, {SL_ROLE_KV, 8, 40, 40}};
  const auto same = [](const sl_op_key& key, std::int32_t at, std::uint16_t kind, const Expected& expected) {
    BOOST_TEST(key.layer == at);
    BOOST_TEST(key.layers == 7);
    BOOST_TEST(key.expert == -1);
    BOOST_TEST(key.layer_kind == kind);
    BOOST_TEST(key.phase == SL_PHASE_BOTH);
    BOOST_TEST(key.role == expected.role);
    BOOST_TEST(key.can == expected.can);
    BOOST_TEST(key.n == expected.n);
    BOOST_TEST(key.k == expected.k);
  };
  same(keys.front(), -1, SL_LAYER_FULL, {SL_ROLE_EMBED, 1, 96, 311});
  same(keys.back(), -1, SL_LAYER_FULL, {SL_ROLE_LM_HEAD, 2, 311, 96});
  for (std::int32_t i = 0; i < 7; ++i)
    for (std::size_t j = 0; j < 9; ++j)
      same(keys[1 + 9 * static_cast<std::size_t>(i) + j], i, i == 5 ? SL_LAYER_FULL : SL_LAYER_SLIDING,
           layer[j]);
}

BOOST_AUTO_TEST_CASE(bytes) {
  const Architecture llama = loaded("llama3.1-8b");
  BOOST_TEST(weight_bytes(llama, Type::bf16)->total ==
             2 * 8'030'261'248u);  // its published number of parameters
  BOOST_TEST(kv_bytes_per_token(llama, SL_BF16).value() == 2u * 32 * 8 * 128 * 2);
  BOOST_TEST(kv_bytes_per_token(llama, SL_E4M3FN).value() == 2u * 32 * 8 * 128);
  BOOST_TEST(kv_bytes_per_token(llama, SL_F32).value() == 2u * 32 * 8 * 128 * 4);
  BOOST_TEST(kv_bytes_per_token(llama, SL_DTYPE_NATIVE).error().message() ==
             "KV dtype: expected F32, BF16, F16, E4M3FN, E5M2 or INT8, found dtype 0");
  const WeightBytes q4 = weight_bytes(llama, Type::q4_1).value();
  const std::uint64_t vectors = (2 * 32 + 1) * 4096;
  BOOST_TEST(q4.by_type[static_cast<std::size_t>(Type::f32)] == 4 * vectors);
  BOOST_TEST(q4.by_type[static_cast<std::size_t>(Type::q4_1)] == (8'030'261'248u - vectors) / 32 * 20);
  BOOST_TEST(q4.total == 4 * vectors + (8'030'261'248u - vectors) / 32 * 20);
  BOOST_TEST(weight_bytes(loaded("gemma3_transformers5"), Type::q8_0).error().message() ==
             "blk.0.attn_output.weight: expected rows of a multiple of 32 values, as Q8_0 has, found 120");
  // A tied head counts once.
  const auto model = random_model(loaded("gemma3_transformers5"), 1);
  BOOST_TEST(weight_bytes(model->weights, model->architecture).total ==
             weight_bytes(model->architecture, Type::bf16)->total);
  BOOST_TEST(weight_bytes(loaded("smollm2-135m"), Type::bf16)->total == 2u * 134'515'008);
}

BOOST_AUTO_TEST_SUITE_END()
