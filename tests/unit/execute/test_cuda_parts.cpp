// Parts of the CUDA executor that need no device: checks of batches, the order of runs, precision plans, refusals. That
// this program links shows that the whole of it does.
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "base/steady_clock.hpp"
#include "execute/cuda/cuda_executor.hpp"
#include "execute/cuda/numerics.hpp"

namespace serveloop::execute::cuda::test {

namespace {

// Two rows; five blocks of 16 tokens; contexts of 70.
struct Checked {
  Rows rows{RowLimits{2, 5, 16, 70, 100, 32}};
  Sampling sampling;

  Result<std::span<const kernels::cuda::TableEdit>> begin(std::uint32_t row,
                                                          std::vector<std::uint32_t> prompt,
                                                          std::vector<TableChange> changes) {
    const Begin begin{row, 0, &sampling, static_cast<std::uint32_t>(prompt.size()), 9, prompt, {}};
    return rows.edit({&begin, 1}, changes);
  }
  std::string why(std::vector<BatchRow> batch) const {
    const Status status = rows.check(batch);
    return status ? "" : status.error().message();
  }
};

bool has(const std::string& line, const std::string& part) { return line.find(part) != std::string::npos; }

model::Architecture small() {
  model::Architecture a;
  a.family = "llama";
  a.vocabulary = 100;
  a.hidden = 64;
  a.intermediate = 96;
  a.q_heads = a.kv_heads = 1;
  a.head_dim = 64;
  a.max_positions = 128;
  a.layers.resize(2);
  a.attention_scale = 0.125f;
  return a;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_parts)

BOOST_AUTO_TEST_CASE(batches_are_checked_before_they_reach_the_device) {
  Checked c;
  BOOST_REQUIRE(c.begin(0, std::vector<std::uint32_t>(20, 1), {{0, 0, 3}, {0, 1, 4}}));
  BOOST_CHECK_EQUAL(c.why({{0, 0, 20, true, false}}), "");
  BOOST_CHECK(has(c.why({{2, 0, 1, false, false}}), "row: expected below 2, found 2"));
  BOOST_CHECK(has(c.why({{0, 0, 21, false, false}}), "20 known"));
  BOOST_CHECK(has(c.why({{0, 0, 0, false, false}}), "at least one"));
  BOOST_CHECK(has(c.why({{0, UINT32_MAX, 2, false, false}}), "20 known"));
  BOOST_CHECK(has(c.why({{0, 0, 19, true, false}}), "a sample behind the prompt and all known tokens"));
  BOOST_CHECK(has(c.why({{0, 0, 20, true, false}, {0, 0, 20, true, false}}), "at most 32 tokens"));
  BOOST_CHECK(has(c.why({{1, 0, 1, false, false}}), "0 known"));
  c.rows.count(std::vector<BatchRow>{{0, 0, 20, true, false}});
  BOOST_CHECK_EQUAL(c.why({{0, 20, 1, true, true}}), "");
}

BOOST_AUTO_TEST_CASE(tables_have_a_block_for_each_position) {
  Checked c;
  BOOST_REQUIRE(c.begin(0, std::vector<std::uint32_t>(20, 1), {{0, 1, 4}}));
  BOOST_CHECK(has(c.why({{0, 0, 20, true, false}}), "2 blocks, 1 missing"));
  BOOST_REQUIRE(c.begin(0, std::vector<std::uint32_t>(20, 1), {{0, 0, 4}}));
  BOOST_CHECK_EQUAL(c.why({{0, 0, 16, false, false}}), "");
  BOOST_CHECK(has(c.why({{0, 0, 17, false, false}}), "1 blocks, 0 missing"));
  BOOST_REQUIRE(c.begin(0, {1}, {{0, 0, 5}}));  // no such block
  BOOST_CHECK(has(c.why({{0, 0, 1, false, false}}), "1 missing"));
  for (const std::uint32_t index : {5u, UINT32_MAX}) BOOST_CHECK(!c.begin(0, {1}, {{0, index, 0}}));
  BOOST_CHECK(!c.begin(2, {1}, {}));
  BOOST_CHECK(!c.begin(0, std::vector<std::uint32_t>(71, 1), {}));
  BOOST_REQUIRE(c.begin(0, {1, 100}, {{0, 0, 0}}));
  BOOST_CHECK_EQUAL(c.why({{0, 0, 1, false, false}}), "");
  BOOST_CHECK(has(c.why({{0, 0, 2, false, false}}), "ids below 100"));
}

// The device takes edits in any order.
BOOST_AUTO_TEST_CASE(an_entry_that_changes_twice_is_sent_as_it_ended) {
  Checked c;
  const auto edits = c.begin(1, {1}, {{1, 0, 2}, {1, 1, 3}, {1, 0, 4}});
  BOOST_REQUIRE(edits);
  for (const kernels::cuda::TableEdit& edit : *edits) BOOST_CHECK_EQUAL(edit.block, edit.index == 0 ? 4 : 3);
}

BOOST_AUTO_TEST_CASE(decodes_come_first_and_as_many_as_there_is_room_for) {
  StepLayout layout;
  const std::vector<BatchRow> rows = {{4, 0, 7, true, false}, {2, 600, 1, true, true},
                                      {3, 5, 1, true, false}, {1, 9, 3, false, false},
                                      {0, 30, 1, true, true}, {5, 31, 1, true, true}};
  layout.make(rows, 3);  // two groups of keys, one, and none left
  BOOST_CHECK_EQUAL(layout.size.decodes, 2);
  BOOST_CHECK_EQUAL(layout.size.chunks, 4);
  BOOST_CHECK_EQUAL(layout.size.chunk_tokens, 12);
  BOOST_CHECK_EQUAL(layout.size.samples, 5);
  int next = 0;
  for (const kernels::cuda::StepRun& run : layout.runs) {
    BOOST_CHECK_EQUAL(run.first, next);
    next += run.tokens;
  }
  BOOST_CHECK_EQUAL(layout.runs[0].row, 2);
  BOOST_CHECK_EQUAL(layout.runs[1].row, 0);
  BOOST_CHECK_EQUAL(layout.runs[2].row, 4);
  BOOST_CHECK_EQUAL(layout.sample[3], -1);
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (layout.sample[i] >= 0) {
      int found = 0;
      for (const kernels::cuda::StepRun& run : layout.runs)
        found += run.sample == layout.sample[i] && run.row == static_cast<int>(rows[i].row) ? 1 : 0;
      BOOST_CHECK_EQUAL(found, 1);
    }
}

BOOST_AUTO_TEST_CASE(steps_of_decodes_are_filled_up_to_a_bounded_set_of_sizes) {
  std::vector<int> sizes;
  for (int decodes = 1; decodes <= 256; ++decodes) {
    const int size = DecodeGraphs::size_for(decodes, 256);
    BOOST_CHECK(size >= decodes && size <= decodes + decodes / 8);
    BOOST_CHECK_EQUAL(DecodeGraphs::size_for(size, 256), size);
    if (sizes.empty() || sizes.back() != size) sizes.push_back(size);
  }
  BOOST_CHECK_LT(sizes.size(), 50u);
  BOOST_CHECK_EQUAL(DecodeGraphs::size_for(33, 34), 34);
  StepLayout layout;
  layout.make(std::vector<BatchRow>{{3, 8, 1, true, true}}, 9);
  BOOST_REQUIRE(layout.is_plain());
  layout.pad(3);
  BOOST_CHECK(layout.is_plain());
  BOOST_CHECK_EQUAL(layout.size.tokens(), 3);
  for (int i = 1; i < 3; ++i) {
    const kernels::cuda::StepRun& nobody = layout.runs[static_cast<std::size_t>(i)];
    BOOST_CHECK(nobody.row == -1 && nobody.tokens == 1 && nobody.first == i && nobody.sample == i);
  }
  layout.make(std::vector<BatchRow>{{3, 8, 1, true, true}, {4, 0, 2, true, false}}, 9);
  BOOST_CHECK(!layout.is_plain());
}

BOOST_AUTO_TEST_CASE(plans_are_of_bf16) {
  const std::vector<sl_op_key> keys = cuda_op_keys(small());
  std::vector<sl_op_plan> plans(keys.size());
  auto effective = effective_plans(keys, plans);
  BOOST_REQUIRE(effective);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    BOOST_CHECK_EQUAL((*effective)[i].weight.dtype, SL_BF16);
    BOOST_CHECK_EQUAL((*effective)[i].output.dtype, keys[i].role == SL_ROLE_LM_HEAD ? SL_F32 : SL_BF16);
  }
  BOOST_CHECK(!effective_plans(keys, std::span(plans).first(1)));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    plans[i].input.dtype = SL_E4M3FN;
    effective = effective_plans(keys, plans);
    BOOST_REQUIRE(!effective);
    BOOST_CHECK(has(effective.error().message(), "NATIVE or BF16 (on CUDA), found E4M3FN"));
    plans[i] = {};
    plans[i].weight.granularity = SL_SCALE_TENSOR;
    BOOST_CHECK(!effective_plans(keys, plans));
    plans[i] = {};
  }
}

BOOST_AUTO_TEST_CASE(what_the_kernels_do_not_compute_is_refused_by_name) {
  SteadyClock clock;
  const auto refused = [&](const model::Architecture& a, const CudaOptions& options) {
    auto model = model::random_model(a, 1).value();
    const auto made = CudaExecutor::create(clock, std::move(model), options);
    return made ? std::string() : made.error().what;
  };
  model::Architecture a = small();
  a.head_dim = 80;
  BOOST_CHECK_EQUAL(refused(a, {}), "head size");
  a = small();
  a.hidden = 60;
  BOOST_CHECK_EQUAL(refused(a, {}), "hidden size");
  a = small();
  a.logit_soft_cap = 30;
  BOOST_CHECK_EQUAL(refused(a, {}), "logit soft cap");
  CudaOptions options;
  options.lag = 2;
  BOOST_CHECK_EQUAL(refused(small(), options), "engine.lag");
  options = {};
  options.block_tokens = 8;
  BOOST_CHECK_EQUAL(refused(small(), options), "engine.block_tokens");
  options = {};
  options.token_budget = 20000;
  BOOST_CHECK_EQUAL(refused(small(), options), "engine.token_budget");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::cuda::test
