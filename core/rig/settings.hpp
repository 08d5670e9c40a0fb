// What a configuration means for the parts of an engine. Thread-safe: pure functions, but for what loads plugins.
#pragma once

#include "config/config.hpp"
#include "engine/engine.hpp"
#include "rig/facts.hpp"

namespace serveloop::rig {

engine::Options engine_options(const config::Config& config, const DeviceFacts& facts);
requests::Labeler labeler(const config::Config& config);
policy::Host plugin_host(const config::Config& config);
policy::Limits limits(const engine::Options& options);
policy::Choice choice_of(const config::PluginChoice& choice);
// The KV pool's size may follow from its plan, so it is told of no blocks.
Result<std::shared_ptr<policy::Precision>> load_precision(const config::Config& config,
                                                          const policy::Host& host, const sl_cost& cost);
// Loads all that the configuration names but its precision, which a device has loaded; none is started when one fails.
Result<engine::Policies> load_policies(const config::Config& config, const policy::Host& host,
                                       const engine::Options& options,
                                       std::shared_ptr<policy::Precision> precision);

}  // namespace serveloop::rig
