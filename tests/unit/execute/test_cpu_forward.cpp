// The forward pass against a plain transformer in F64, and what a plan may ask for.
#include <fmt/format.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>

#include "execute/cpu/cpu_executor.hpp"
#include "reference.hpp"
#include "tiny_models.hpp"

namespace serveloop::execute::cpu::test {

namespace {

constexpr std::uint32_t kTokens = 83, kBlocks = 64;

struct Logits final : LogitSink {
  void take(std::size_t run, float* logits, int vocabulary) noexcept override {
    rows[run].assign(logits, logits + vocabulary);
  }
  std::vector<std::vector<float>> rows;
};

std::vector<std::uint32_t> tokens_of(std::uint32_t salt, std::uint32_t vocabulary) {
  std::vector<std::uint32_t> tokens(kTokens);
  for (std::uint32_t i = 0; i < kTokens; ++i) tokens[i] = (salt * 7919 + i * i * 31 + i * 101) % vocabulary;
  return tokens;
}

struct Errors {
  double worst = 0, size = 0;  // of logits: the largest difference, the largest value
};

// Two sequences in chunks of all sizes, side by side, in scattered blocks; logits after each chunk.
Errors compare(const model::Model& model, std::uint8_t input, std::uint8_t kv, unsigned threads,
               std::uint32_t block_tokens, kernels::cpu::Isa isa) {
  Pool pool(threads);
  const Weights weights = Weights::pack(model, pool).value();
  const std::vector<sl_op_key> keys = cpu_op_keys(model.architecture, weights);
  const Numerics numerics = numerics_of(keys, plans_of(keys, input, kv), weights).value();
  const KvCache cache =
      KvCache::create(model.architecture, numerics.kv_types(), block_tokens, kBlocks).value();
  const auto forward =
      Forward::create(model.architecture, weights, kernels::cpu::kernels(isa), pool, 2 * kTokens, 2).value();

  std::vector<std::int32_t> blocks(kBlocks);
  std::iota(blocks.begin(), blocks.end(), 0);
  std::shuffle(blocks.begin(), blocks.end(), std::mt19937(7));
  const std::uint32_t vocabulary = model.architecture.vocabulary;
  const std::vector<std::uint32_t> ids[] = {tokens_of(1, vocabulary), tokens_of(2, vocabulary)};
  Reference references[] = {Reference(model), Reference(model)};
  Logits sink;
  Errors errors;
  std::uint32_t at[] = {0, 0};
  for (std::uint32_t step = 0; at[0] < kTokens || at[1] < kTokens; ++step) {
    std::vector<Run> runs;
    std::vector<Vector> expected;
    for (std::uint32_t s = 0; s < 2; ++s) {
      const std::uint32_t tokens = std::min((step * 13 + s * 34) % 37 + 1, kTokens - at[s]);
      if (tokens == 0) continue;
      runs.push_back({at[s], tokens, ids[s].data() + at[s], blocks.data() + s * kBlocks / 2, true});
      Vector logits;
      for (std::uint32_t i = 0; i < tokens; ++i) logits = references[s].next(ids[s][at[s] + i]);
      expected.push_back(logits);
      at[s] += tokens;
    }
    sink.rows.assign(runs.size(), {});
    forward->pass(runs, numerics, cache, sink);
    for (std::size_t r = 0; r < runs.size(); ++r) {
      BOOST_REQUIRE_EQUAL(sink.rows[r].size(), vocabulary);
      for (std::uint32_t i = 0; i < vocabulary; ++i) {
        errors.worst = std::max(errors.worst, std::fabs(sink.rows[r][i] - expected[r][i]));
        errors.size = std::max(errors.size, std::fabs(expected[r][i]));
      }
    }
  }
  return errors;
}

void check(const std::string& name, const Errors& errors, double tolerance) {
  BOOST_TEST_MESSAGE(fmt::format("{}: error {:.2e} of logits up to {:.2f}", name, errors.worst, errors.size));
  BOOST_TEST_CONTEXT(name) {
    BOOST_CHECK_GT(errors.size, 0.5);
    BOOST_CHECK_LT(errors.worst, tolerance * errors.size);
  }
}

std::vector<kernels::cpu::Isa> isas() {
  std::vector<kernels::cpu::Isa> all;
  for (int i = 0; i < kernels::cpu::kIsaCount; ++i)
    if (kernels::cpu::runs(static_cast<kernels::cpu::Isa>(i)))
      all.push_back(static_cast<kernels::cpu::Isa>(i));
  return all;
}

constexpr double kF32 = 5e-6;   // of the largest logit: F32 sums of three layers
constexpr double kBf16 = 2e-2;  // 8 bits of every activation, K and V
constexpr double kInt8 = 5e-2;

}  // namespace

BOOST_AUTO_TEST_SUITE(cpu_forward)

BOOST_AUTO_TEST_CASE(all_families_match_a_transformer_in_f64) {
  for (const kernels::cpu::Isa isa : isas())
    for (const model::Architecture& a : all_families())
      check(fmt::format("{} {}", a.family, kernels::cpu::name(isa)),
            compare(random(a), SL_F32, SL_F32, 2, 8, isa), kF32);
}

BOOST_AUTO_TEST_CASE(every_type_of_weight_is_widened_exactly) {
  for (const model::Type type : {model::Type::f32, model::Type::f16, model::Type::bf16, model::Type::q8_0,
                                 model::Type::q4_0, model::Type::q4_1})
    for (const model::Architecture& a : {llama(), gemma3()})
      check(
          fmt::format("{} {}", a.family, model::info(type).name),
          compare(stored_as(random(whole_blocks(a)), {type}), SL_F32, SL_F32, 1, 16, kernels::cpu::detect()),
          kF32);
}

BOOST_AUTO_TEST_CASE(lower_precision_stays_near) {
  for (const model::Architecture& a : all_families()) {
    check(a.family + " BF16", compare(random(a), SL_BF16, SL_BF16, 2, 4, kernels::cpu::detect()), kBf16);
    const model::Model mixed = stored_as(
        random(whole_blocks(a)),
        {model::Type::q8_0, model::Type::q4_1, model::Type::q4_0, model::Type::q8_0, model::Type::bf16});
    check(a.family + " native",
          compare(mixed, SL_DTYPE_NATIVE, SL_DTYPE_NATIVE, 2, 32, kernels::cpu::detect()), kInt8);
  }
}

BOOST_AUTO_TEST_CASE(the_plan_is_what_is_computed) {  // each format shows
  const model::Model model = stored_as(random(whole_blocks(llama())), {model::Type::q8_0});
  const auto error = [&](std::uint8_t input, std::uint8_t kv) {
    return compare(model, input, kv, 1, 16, kernels::cpu::detect()).worst;
  };
  const double exact = error(SL_F32, SL_F32);
  BOOST_CHECK_GT(error(SL_BF16, SL_F32), 20 * exact);
  BOOST_CHECK_GT(error(SL_INT8, SL_F32), 20 * exact);
  const double half = error(SL_F32, SL_F16);
  BOOST_CHECK_GT(half, 20 * exact);
  BOOST_CHECK_GT(error(SL_F32, SL_BF16), 4 * half);  // three more bits
}

BOOST_AUTO_TEST_CASE(what_took_effect_is_named) {
  const model::Model model = stored_as(random(whole_blocks(llama())), {model::Type::q8_0, model::Type::bf16});
  Pool pool(1);
  const Weights weights = Weights::pack(model, pool).value();
  const std::vector<sl_op_key> keys = cpu_op_keys(model.architecture, weights);
  const Numerics numerics = numerics_of(keys, std::vector<sl_op_plan>(keys.size()), weights).value();
  bool int8 = false, bf16 = false;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const sl_op_plan& plan = numerics.effective[i];
    BOOST_CHECK_EQUAL(int(plan.output.dtype), SL_F32);
    if (keys[i].role == SL_ROLE_KV) BOOST_CHECK_EQUAL(int(plan.weight.dtype), SL_F16);
    if (keys[i].role != SL_ROLE_Q) continue;
    const bool quantised = kernels::cpu::quantised(weights.matrix(keys[i].layer, model::Role::q).type);
    (quantised ? int8 : bf16) = true;
    BOOST_CHECK_EQUAL(int(plan.input.dtype), quantised ? SL_INT8 : SL_BF16);
    BOOST_CHECK_EQUAL((keys[i].can & 1u << SL_INT8) != 0, quantised);
    BOOST_CHECK_EQUAL(plan.input.group_k, quantised ? 32u : 0u);
    BOOST_CHECK_EQUAL(plan.input.group_n, quantised ? 1u : 0u);
    BOOST_CHECK_EQUAL(int(plan.input.scale_dtype), quantised ? SL_F32 : SL_DTYPE_NATIVE);
    BOOST_CHECK_EQUAL(plan.compute, SL_COMPUTE_NATIVE);
    BOOST_CHECK_EQUAL(plan.reason, 0u);
  }
  BOOST_CHECK(int8 && bf16);
  // What took effect can be asked for, and takes effect as it is.
  const Numerics again = numerics_of(keys, numerics.effective, weights).value();
  for (std::size_t i = 0; i < keys.size(); ++i)
    BOOST_CHECK_EQUAL(std::memcmp(&again.effective[i], &numerics.effective[i], sizeof(sl_op_plan)), 0);
  const Numerics f32 = numerics_of(keys, plans_of(keys, SL_F32, SL_F32), weights).value();
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (keys[i].role == SL_ROLE_Q)
      BOOST_CHECK_EQUAL(f32.effective[i].compute,
                        (keys[i].can & 1u << SL_INT8) != 0 ? SL_COMPUTE_DEQUANTISED : SL_COMPUTE_NATIVE);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_computed_is_refused) {
  const model::Model model = random(llama());
  Pool pool(1);
  const Weights weights = Weights::pack(model, pool).value();
  const std::vector<sl_op_key> keys = cpu_op_keys(model.architecture, weights);
  const auto refused = [&](std::uint16_t role, auto&& change, const std::string& part) {
    std::vector<sl_op_plan> plans(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (keys[i].role == role) change(plans[i]);
    const auto made = numerics_of(keys, plans, weights);
    BOOST_REQUIRE(!made);
    BOOST_CHECK_MESSAGE(made.error().message().find(part) != std::string::npos, made.error().message());
  };
  refused(
      SL_ROLE_UP, [](sl_op_plan& p) { p.input.dtype = SL_E4M3FN; }, "found E4M3FN");
  refused(
      SL_ROLE_UP, [](sl_op_plan& p) { p.input.dtype = SL_INT8; }, "expected NATIVE, F32, BF16");
  refused(
      SL_ROLE_DOWN, [](sl_op_plan& p) { p.weight.dtype = SL_INT8; }, "weight");
  refused(
      SL_ROLE_DOWN, [](sl_op_plan& p) { p.output.dtype = SL_BF16; }, "output");
  refused(
      SL_ROLE_NORM, [](sl_op_plan& p) { p.input.dtype = SL_BF16; }, "input");
  refused(
      SL_ROLE_KV, [](sl_op_plan& p) { p.weight.dtype = SL_F32; }, "K and V of one type");
  refused(
      SL_ROLE_KV, [](sl_op_plan& p) { p.input.dtype = 77; }, "found unknown");
  BOOST_CHECK(!numerics_of(keys, std::vector<sl_op_plan>(3), weights));
}

// Each field on its own: nothing that a plan says is passed over.
BOOST_AUTO_TEST_CASE(scales_sums_and_ways_that_are_not_computed_are_refused) {
  const model::Model model = stored_as(random(whole_blocks(llama())), {model::Type::q8_0});
  Pool pool(1);
  const Weights weights = Weights::pack(model, pool).value();
  const std::vector<sl_op_key> keys = cpu_op_keys(model.architecture, weights);
  using Change = std::function<void(sl_op_plan&)>;
  const auto line = [&](std::uint16_t role, const Change& change) {
    std::vector<sl_op_plan> plans(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (keys[i].role == role) change(plans[i]);
    const auto made = numerics_of(keys, plans, weights);
    return made ? "no error" : made.error().message();
  };
  const auto check = [](const std::string& found, const std::string& part) {
    BOOST_CHECK_MESSAGE(found.find(part) != std::string::npos, found << " has no '" << part << "'");
  };

  const std::function<void(sl_format&)> scalings[] = {
      [](sl_format& f) { f.granularity = SL_SCALE_TENSOR; },
      [](sl_format& f) { f.source = SL_SOURCE_CONSTANT; },
      [](sl_format& f) { f.scale_dtype = SL_E8M0; },
      [](sl_format& f) { f.rounding = SL_ROUND_POWER_OF_TWO_UP; },
      [](sl_format& f) { f.overflow = SL_OVERFLOW_NAN; },
      [](sl_format& f) { f.group_n = 128; },
      [](sl_format& f) { f.group_k = 64; },
      [](sl_format& f) { f.history = 16; },
      [](sl_format& f) { f.amax_floor = 1; },
      [](sl_format& f) { f.amax_ceiling = 1; },
      [](sl_format& f) { f.margin = 1; },
      [](sl_format& f) { f.constant = 0.5f; },
  };
  for (const auto& scaling : scalings) {
    for (const std::uint16_t role : {SL_ROLE_UP, SL_ROLE_NORM, SL_ROLE_EMBED, SL_ROLE_KV})
      for (sl_format sl_op_plan::*tensor : {&sl_op_plan::weight, &sl_op_plan::input, &sl_op_plan::output})
        check(line(role, [&](sl_op_plan& p) { scaling(p.*tensor); }), "NATIVE without scales");
    check(
        line(SL_ROLE_KV, [&](sl_op_plan& p) { p.weight.dtype = p.input.dtype = SL_BF16, scaling(p.weight); }),
        "expected BF16 without scales");
    check(line(SL_ROLE_UP, [&](sl_op_plan& p) { p.input.dtype = SL_INT8, scaling(p.input); }),
          "expected INT8 with dynamic F32 scales of groups of 32");
    check(line(SL_ROLE_UP,
               [&](sl_op_plan& p) {
                 p.input.dtype = SL_INT8;
                 p.input.granularity = SL_SCALE_GROUP;
                 p.input.group_k = 32;
                 p.input.source = SL_SOURCE_DYNAMIC;
                 scaling(p.input);
               }),
          "expected INT8 with dynamic F32 scales of groups of 32");
  }
  for (const std::uint16_t role : {SL_ROLE_UP, SL_ROLE_NORM, SL_ROLE_KV}) {
    check(line(role, [](sl_op_plan& p) { p.accumulate = SL_ACCUMULATE_FAST; }), "accumulate F32");
    check(line(role, [](sl_op_plan& p) { p.accumulate = SL_ACCUMULATE_PROMOTED; }), "accumulate F32");
    check(line(role, [](sl_op_plan& p) { p.promote_every = 4; }), "promote_every 4");
    check(line(role, [](sl_op_plan& p) { p.compute = SL_COMPUTE_EMULATED; }), "found EMULATED");
    check(line(role, [](sl_op_plan& p) { p.compute = SL_COMPUTE_DEQUANTISED; }), "found DEQUANTISED");
  }
  const Change dequantised = [](sl_op_plan& p) {
    p.input.dtype = SL_F32, p.compute = SL_COMPUTE_DEQUANTISED;
  };
  BOOST_CHECK_EQUAL(line(SL_ROLE_UP, dequantised), "no error");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::cpu::test
