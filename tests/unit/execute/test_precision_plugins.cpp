// The shipped precision plugins, loaded as the engine loads them: the CPU takes their plans, and what took effect is what
// their pages say.
#include <boost/test/unit_test.hpp>

#include "execute/cpu/numerics.hpp"
#include "plugin_plans.hpp"
#include "tiny_models.hpp"

namespace serveloop::execute::cpu::test {

namespace {

struct Effect {                                // dtypes
  unsigned on_quantised, on_bf16, on_f32, kv;  // inputs by weight, K and V
  unsigned asked;                              // for K and V
};

void check(const std::string& plugin, const Effect& effect) {
  for (const model::Architecture& a : all_families()) {
    const model::Model model = stored_as(
        random(whole_blocks(a)),
        {model::Type::q4_1, model::Type::bf16, model::Type::f32, model::Type::q8_0, model::Type::f16});
    Pool pool(1);
    const Weights weights = Weights::pack(model, pool).value();
    const std::vector<sl_op_key> keys = cpu_op_keys(model.architecture, weights);
    const std::vector<sl_op_plan> asked = plugin_plans(plugin, keys);
    const auto numerics = numerics_of(keys, asked, weights);
    BOOST_REQUIRE_MESSAGE(numerics, plugin << ": " << (numerics ? "" : numerics.error().message()));
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const sl_op_plan& plan = numerics->effective[i];
      BOOST_TEST_CONTEXT(plugin << ", " << a.family << ", layer " << keys[i].layer << ", role "
                                << keys[i].role) {
        BOOST_CHECK_EQUAL(unsigned{plan.output.dtype}, SL_F32);
        if (keys[i].role == SL_ROLE_KV) {
          BOOST_CHECK_EQUAL(unsigned{plan.weight.dtype}, effect.kv);
          BOOST_CHECK_EQUAL(unsigned{plan.input.dtype}, effect.kv);
          BOOST_CHECK_EQUAL(unsigned{asked[i].weight.dtype}, effect.asked);
          BOOST_CHECK_EQUAL(unsigned{asked[i].input.dtype}, effect.asked);
          continue;
        }
        BOOST_CHECK_EQUAL(unsigned{plan.weight.dtype}, SL_DTYPE_NATIVE);
        if (keys[i].role == SL_ROLE_EMBED || keys[i].role == SL_ROLE_NORM) {
          BOOST_CHECK_EQUAL(unsigned{plan.input.dtype}, SL_F32);
        } else if ((keys[i].can & 1u << SL_INT8) != 0) {
          BOOST_CHECK_EQUAL(unsigned{plan.input.dtype}, effect.on_quantised);
        } else {
          BOOST_CHECK(plan.input.dtype == effect.on_bf16 || plan.input.dtype == effect.on_f32);
        }
      }
    }
  }
}

// What a matrix of one type gets.
unsigned input_of(const std::string& plugin, model::Type type) {
  const model::Model model = stored_as(random(whole_blocks(llama())), {type});
  Pool pool(1);
  const Weights weights = Weights::pack(model, pool).value();
  const std::vector<sl_op_key> keys = cpu_op_keys(model.architecture, weights);
  const Numerics numerics = numerics_of(keys, plugin_plans(plugin, keys), weights).value();
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (keys[i].role == SL_ROLE_DOWN) return numerics.effective[i].input.dtype;
  return ~0u;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(precision_plugins)

BOOST_AUTO_TEST_CASE(f32_is_f32_throughout) { check("f32", {SL_F32, SL_F32, SL_F32, SL_F32, SL_F32}); }

BOOST_AUTO_TEST_CASE(bf16_is_bf16_in_products_and_kv) {
  check("bf16", {SL_BF16, SL_BF16, SL_BF16, SL_BF16, SL_BF16});
}

BOOST_AUTO_TEST_CASE(native_follows_the_weights) {
  check("native", {SL_INT8, SL_BF16, SL_F32, SL_F16, SL_DTYPE_NATIVE});
  for (const auto& [type, input] : {std::pair{model::Type::q8_0, SL_INT8},
                                    {model::Type::q4_0, SL_INT8},
                                    {model::Type::q4_1, SL_INT8},
                                    {model::Type::bf16, SL_BF16},
                                    {model::Type::f16, SL_F32},
                                    {model::Type::f32, SL_F32}})
    BOOST_CHECK_EQUAL(input_of("native", type), unsigned(input));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::cpu::test
