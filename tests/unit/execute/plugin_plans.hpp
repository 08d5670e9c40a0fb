// What a shipped precision plugin says of an executor's operations, through the plugin host.
#pragma once

#include <serveloop/precision.h>

#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/mapping.hpp"
#include "policy/host.hpp"

namespace serveloop::execute::cpu::test {

// Mode 0. Throws what went wrong.
inline std::vector<sl_op_plan> plugin_plans(const std::string& plugin, std::span<const sl_op_key> keys) {
  policy::SearchOptions search;
  search.folders = {SERVELOOP_BUILD_PLUGINS};
  search.standard_places = false;
  const auto precision = policy::Host(search).load_precision({plugin}, {});
  if (!precision) throw std::runtime_error(precision.error().message());
  std::vector<sl_op_plan> plans(keys.size());
  sl_out out = out_of(plans.data(), plans.size());
  const std::int32_t status = (*precision)->assign(table_of(keys.data(), keys.size()), 0, out);
  if (status < 0 || out.count != keys.size())
    throw std::runtime_error("precision plugin " + plugin + " failed");
  return plans;
}

}  // namespace serveloop::execute::cpu::test
