// Truths of what a precision policy reads at load: the executor's operations, and the plans that took effect.
#include "truths.hpp"

namespace serveloop::test {

namespace {

const Truth<sl_op_key> kKey[] = {
    TRUTH(layer, c.layer),
    TRUTH(layers, c.layers),
    TRUTH(expert, -1),
    TRUTH(role, c.role),
    TRUTH(layer_kind, c.layer_kind),
    TRUTH(phase, SL_PHASE_BOTH),
    TRUTH(can, c.can),
    TRUTH(n, c.n),
    TRUTH(k, c.k),
};

const Truth<sl_format> kFormat[] = {
    TRUTH(dtype, c.dtype),
    TRUTH(granularity, c.granularity),
    TRUTH(scale_dtype, c.scale_dtype),
    TRUTH(source, c.source),
    TRUTH(rounding, c.rounding),
    TRUTH(overflow, c.overflow),
    TRUTH(ragged, c.ragged),
    TRUTH(group_n, c.group_n),
    TRUTH(group_k, c.group_k),
    TRUTH(history, c.history),
    TRUTH(amax_floor, c.amax_floor),  // whole numbers, as the probe states them
    TRUTH(amax_ceiling, c.amax_ceiling),
    TRUTH(margin, c.margin),
    TRUTH(constant, c.constant),
};

const Truth<sl_op_plan> kPlan[] = {
    TRUTH(accumulate, c.accumulate),
    TRUTH(promote_every, c.promote_every),
    TRUTH(compute, c.compute),
    TRUTH(reason, c.reason),
};

// Rows i of `table`, and no more of them.
std::uint64_t rows_of(const Facts& facts, const std::string& table, const char* field) {
  std::uint64_t rows = 0;
  while (facts.contains(item(table, rows) + field)) ++rows;
  return rows;
}

}  // namespace

void check_loaded(const Facts& facts, const execute::Executor& executor, std::uint32_t modes) {
  const std::span<const sl_op_key> keys = executor.op_keys();
  for (std::uint32_t mode = 0; mode < modes; ++mode) {
    const std::span<const sl_op_plan> plans = executor.effective(mode);
    const std::string assign = item("assign", mode) + ".keys", effective = item("effective", mode);
    BOOST_REQUIRE_EQUAL(rows_of(facts, assign, ".layer"), keys.size());
    BOOST_REQUIRE_EQUAL(rows_of(facts, effective + ".keys", ".layer"), keys.size());
    BOOST_REQUIRE_EQUAL(rows_of(facts, effective + ".plans", ".reason"), plans.size());
    BOOST_REQUIRE_EQUAL(plans.size(), keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      check_row<sl_op_key>(facts, item(assign, i), keys[i], kKey);
      check_row<sl_op_key>(facts, item(effective + ".keys", i), keys[i], kKey);
      const std::string plan = item(effective + ".plans", i);
      check_row<sl_op_plan>(facts, plan, plans[i], kPlan);
      check_row<sl_format>(facts, plan + ".weight", plans[i].weight, kFormat);
      check_row<sl_format>(facts, plan + ".input", plans[i].input, kFormat);
      check_row<sl_format>(facts, plan + ".output", plans[i].output, kFormat);
    }
  }
  BOOST_REQUIRE(!facts.contains(item("effective", modes) + ".keys[0].layer"));
}

}  // namespace serveloop::test
