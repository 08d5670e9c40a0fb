// Runs of workloads on small engines.
#pragma once

#include <boost/test/unit_test.hpp>
#include <string>

#include "experiment/run.hpp"
#include "stage.hpp"

namespace serveloop::test {

inline experiment::Summary run_of(const config::Config& config) {
  Result<experiment::Summary> summary = experiment::run(config, {});
  if (!summary) BOOST_FAIL(summary.error().message());
  BOOST_TEST(summary->unfinished == 0u);
  return std::move(*summary);
}

// A simulated device with room for all.
inline config::Config simulated_config(const TempFolder& folder) {
  Scene scene;
  scene.executor = "simulated";
  config::Config config = config_of(scene, folder);
  config.engine.context_tokens = 8192;
  return config;
}

}  // namespace serveloop::test
