#include "engine/precision_setup.hpp"

#include <fmt/format.h>

#include "base/mapping.hpp"
#include "engine/precision_check.hpp"

namespace serveloop::engine {

Result<std::vector<sl_op_plan>> assign(policy::Precision& precision, std::span<const sl_op_key> keys,
                                       std::uint32_t mode) {
  std::vector<sl_op_plan> plans(keys.size());
  sl_out out = out_of(plans.data(), plans.size());
  const std::int32_t status = precision.assign(table_of(keys.data(), keys.size()), mode, out);
  if (status < 0 || out.count != keys.size())
    return fail(fmt::format("precision '{}' gave no plan for mode {}", precision.id(), mode),
                fmt::format("{} operation plans", keys.size()),
                status < 0 ? fmt::format("status {}", status) : std::to_string(out.count));
  return plans;
}

Result<std::uint32_t> set_up_precision(policy::Precision& precision, execute::Executor& executor,
                                       bool deterministic) {
  const std::span<const sl_op_key> keys = executor.op_keys();
  const sl_table key_table = table_of(keys.data(), keys.size());
  std::uint32_t modes = 1;
  if (precision.modes(modes) < 0)
    return fail(fmt::format("precision '{}' names no mode", precision.id()), "at least 1 mode",
                "0 or a failed call");
  for (std::uint32_t mode = 0; mode < modes; ++mode) {
    const Result<std::vector<sl_op_plan>> plans = assign(precision, keys, mode);
    if (!plans) return tl::unexpected(plans.error());
    if (Status checked = check_precision(keys, *plans, deterministic); !checked)
      return tl::unexpected(checked.error());
    if (Status applied = executor.apply(mode, *plans); !applied) return tl::unexpected(applied.error());
    const std::span<const sl_op_plan> effective = executor.effective(mode);
    precision.effective(key_table, mode, table_of(effective.data(), effective.size()));
  }
  return modes;
}

}  // namespace serveloop::engine
