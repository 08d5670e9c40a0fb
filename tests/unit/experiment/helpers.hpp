// What the tests of workloads share.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "experiment/workload.hpp"

namespace serveloop::experiment::test {

inline constexpr std::uint32_t kContext = 131072;

inline std::string trace_path(const std::string& name) {
  const char* root = std::getenv("SERVELOOP_SOURCE_ROOT");
  BOOST_REQUIRE_MESSAGE(root != nullptr, "SERVELOOP_SOURCE_ROOT names the source tree");
  return std::string(root) + "/data/traces/" + name;
}

inline config::Workload trace_config(const std::string& name) {
  config::Workload config;
  config.source = "trace";
  config.trace = trace_path(name);
  config.format = name.ends_with(".csv") ? "azure" : "mooncake";
  return config;
}

inline config::Workload synthetic_config(std::uint32_t requests = 1000) {
  config::Workload config;
  config.source = "synthetic";
  config.rate_per_second = 10;
  config.requests = requests;
  return config;
}

inline Workload made(const config::Workload& config, std::uint32_t context_tokens = kContext) {
  Result<Workload> workload = Workload::make(config, context_tokens);
  if (!workload) BOOST_FAIL(workload.error().message());
  return std::move(*workload);
}

inline std::vector<requests::RequestSpec> all_of(Workload& workload) {
  std::vector<requests::RequestSpec> specs;
  while (workload.peek() != nullptr) specs.push_back(workload.next().spec);
  return specs;
}

inline std::vector<requests::RequestSpec> specs_of(const config::Workload& config,
                                                   std::uint32_t context_tokens = kContext) {
  Workload workload = made(config, context_tokens);
  return all_of(workload);
}

}  // namespace serveloop::experiment::test
