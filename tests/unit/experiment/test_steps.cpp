// A calibration's steps: a plan that fits every configuration, batches as the engine would send them, and enough of a
// difference between them to find a simulated device's costs.
#include <boost/test/unit_test.hpp>
#include <set>
#include <string>

#include "base/virtual_clock.hpp"
#include "costs.hpp"
#include "execute/simulated.hpp"
#include "experiment/step_runner.hpp"

namespace serveloop::experiment::test {

namespace {

constexpr StepLimits kLimits{16, 256, 2048, 16, 1500};
constexpr std::uint32_t kVocabulary = 321;

// A simulated device that holds each batch against what an executor may ask of the engine.
class Strict final : public execute::NativeOnly {
 public:
  explicit Strict(const StepLimits& limits)
      : limits_(limits),
        rows_(limits.max_sequences),
        written_(std::size_t{limits.blocks} * limits.block_tokens) {}

  void submit(const execute::Batch& batch) override {
    BOOST_TEST(batch.step == steps++);
    for (const execute::Begin& begin : batch.begins) this->begin(begin);
    for (const execute::TableChange& change : batch.changes) {
      BOOST_REQUIRE(change.block < limits_.blocks);
      BOOST_REQUIRE(change.index == rows_.at(change.row).table.size());
      rows_[change.row].table.push_back(change.block);
    }
    std::uint32_t decodes = 0, prefill = 0;
    std::set<std::uint32_t> blocks, rows;
    for (const execute::BatchRow& row : batch.rows) {
      (row.decode ? decodes : prefill) += row.tokens;
      BOOST_REQUIRE(rows.insert(row.row).second);
      for (const std::uint32_t block : rows_.at(row.row).table)
        BOOST_REQUIRE_MESSAGE(blocks.insert(block).second, "block " << block << " has two owners");
      write(row);
    }
    for (const execute::BatchRow& row : batch.rows) read(row);
    BOOST_TEST(batch.decodes == decodes);
    BOOST_TEST(batch.prefill_tokens == prefill);
    BOOST_TEST(decodes + prefill <= limits_.token_budget);
    inner_.submit(batch);
  }
  execute::Collected collect() override { return inner_.collect(); }
  execute::DeviceTime& device() { return inner_.device(); }

  std::uint64_t steps = 0;

 private:
  struct Row {
    std::size_t known = 0;
    std::uint32_t prompt_tokens = 0;
    std::vector<std::uint32_t> table;
  };
  void begin(const execute::Begin& begin) {
    BOOST_TEST(begin.prompt.size() == begin.prompt_tokens);
    BOOST_TEST(begin.prompt_tokens + begin.max_tokens <= limits_.context_tokens);
    for (const std::uint32_t token : begin.prompt) BOOST_REQUIRE(token < kVocabulary);
    rows_.at(begin.row) = {begin.prompt.size(), begin.prompt_tokens, {}};
  }
  std::size_t slot(const Row& row, std::uint32_t position) const {
    BOOST_REQUIRE(position / limits_.block_tokens < row.table.size());
    return std::size_t{row.table[position / limits_.block_tokens]} * limits_.block_tokens +
           position % limits_.block_tokens;
  }
  void write(const execute::BatchRow& at) {
    Row& row = rows_[at.row];
    BOOST_REQUIRE(at.tokens > 0);
    BOOST_REQUIRE(at.start + at.tokens <= row.known);
    if (at.decode) BOOST_TEST((at.tokens == 1 && at.samples && at.start >= row.prompt_tokens));
    if (at.samples) BOOST_TEST(at.start + at.tokens >= row.prompt_tokens);
    for (std::uint32_t i = 0; i < at.tokens; ++i) written_[slot(row, at.start + i)] = true;
    row.known += at.samples ? 1 : 0;
  }
  void read(const execute::BatchRow& at) const {
    for (std::uint32_t i = 0; i < at.start + at.tokens; ++i)
      BOOST_REQUIRE_MESSAGE(written_[slot(rows_[at.row], i)], "row " << at.row << " reads what nobody wrote");
  }

  StepLimits limits_;
  std::vector<Row> rows_;
  std::vector<bool> written_;
  VirtualClock clock_{HostModel{}};
  execute::SimulatedExecutor inner_{clock_, some_cost(), limits_.max_sequences};
};

std::vector<MeasuredStep> taken(const StepLimits& limits, std::uint32_t rounds) {
  Strict executor(limits);
  const auto steps = run_steps(executor, limits, kVocabulary, {rounds, nullptr});
  BOOST_REQUIRE_MESSAGE(steps.has_value(), (steps ? "" : steps.error().message()));
  return *steps;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(calibration_steps)

BOOST_AUTO_TEST_CASE(a_simulated_devices_costs_are_found) {
  const std::vector<MeasuredStep> steps = taken(kLimits, 2);
  BOOST_TEST(steps.size() == 2 * kStepsAShape * step_plan(kLimits).size());
  const auto fit = fit_cost(steps);
  BOOST_REQUIRE_MESSAGE(fit.has_value(), (fit ? "" : fit.error().message()));
  check_cost(fit->cost, some_cost(), 1e-4);
  for (const Residuals& kind : fit->by_kind) BOOST_TEST(kind.steps >= 40u);
  BOOST_TEST(fit->all.spread.value_or(-1) == 0.0);  // of a group all steps are alike
}

// From the least that an engine can have to more than a calibration uses. Whatever the limits, batches are right.
BOOST_AUTO_TEST_CASE(every_configuration_gets_steps_that_fit_it) {
  for (const StepLimits& limits :
       {StepLimits{1, 1, 1, 1, 1}, StepLimits{1, 1, 8, 1, 8}, StepLimits{1, 512, 100, 16, 7},
        StepLimits{2, 2, 5, 4, 3}, StepLimits{3, 7, 50, 16, 2}, StepLimits{8, 256, 256, 16, 64},
        StepLimits{64, 16, 250, 16, 40}, StepLimits{100, 300, 1u << 30, 64, 100'000},
        StepLimits{20, 4096, 3000, 4096, 4}}) {
    BOOST_TEST_CONTEXT(limits.max_sequences << " sequences, " << limits.token_budget << " tokens, context "
                                            << limits.context_tokens << ", " << limits.blocks << " blocks of "
                                            << limits.block_tokens) {
      const std::size_t steps = taken(limits, 1).size();
      BOOST_TEST(steps == kStepsAShape * step_plan(limits).size());
      BOOST_TEST((steps > 0) == (limits.context_tokens > kStepsAShape + 1));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_plan_reaches_the_limits) {
  std::uint32_t most_decodes = 0, most_context = 0, most_chunk = 0, most_together = 0;
  for (const StepShape& s : step_plan(kLimits)) {
    if (s.chunks == 0) most_decodes = std::max(most_decodes, s.decodes);
    most_context = std::max(most_context, s.decode_tokens());
    most_chunk = std::max(most_chunk, s.chunk_tokens);
    if (s.decodes > 0) most_together = std::max(most_together, s.decodes + s.chunk_tokens);
  }
  BOOST_TEST(most_decodes == kLimits.max_sequences);
  BOOST_TEST(most_context == kLimits.context_tokens);
  BOOST_TEST(most_chunk == kLimits.token_budget);
  BOOST_TEST(most_together == kLimits.token_budget);
}

BOOST_AUTO_TEST_CASE(a_step_that_fails_ends_it) {
  Strict executor(kLimits);
  executor.device().fail_step(200);
  const auto steps = run_steps(executor, kLimits, kVocabulary, {});
  BOOST_REQUIRE(!steps);
  BOOST_TEST(steps.error().message() == "calibration: step 200: expected one that works, found made to fail");
}

BOOST_AUTO_TEST_CASE(it_stops_where_it_is_told_to) {
  Strict executor(kLimits);
  double last = -1;
  const auto steps = run_steps(executor, kLimits, kVocabulary, {5, [&](double share) {
                                                                  BOOST_TEST(share >= last);
                                                                  BOOST_TEST(share < 1);
                                                                  last = share;
                                                                  return share < 0.5;
                                                                }});
  BOOST_TEST(!steps);
  BOOST_TEST(last >= 0.5);
  BOOST_TEST(last < 0.6);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::test
