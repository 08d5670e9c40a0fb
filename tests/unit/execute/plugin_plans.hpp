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

// Mode 0. "a b": a's plans, but b's of K and V. Throws what went wrong.
inline std::vector<sl_op_plan> plugin_plans(const std::string& plugin, std::span<const sl_op_key> keys) {
  if (const std::size_t space = plugin.find(' '); space != std::string::npos) {
    std::vector<sl_op_plan> plans = plugin_plans(plugin.substr(0, space), keys);
    const std::vector<sl_op_plan> others = plugin_plans(plugin.substr(space + 1), keys);
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (keys[i].role == SL_ROLE_KV) plans[i] = others[i];
    return plans;
  }
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
