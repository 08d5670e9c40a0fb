// The step log's header: all that a replay needs beside the plugins. Plain values.
#pragma once

#include <serveloop/precision.h>

#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "engine/engine.hpp"
#include "rig/facts.hpp"
#include "rig/plugin_mark.hpp"

namespace serveloop::rig {

struct LogHeader {
  std::string config_toml, abi_stamp;  // keys of tenants are masked
  DeviceFacts facts;
  std::vector<PluginMark> plugins;
  std::vector<sl_op_key> op_keys;  // what the precision plugin was asked for
};
LogHeader log_header(const config::Config& config, const DeviceFacts& facts, const engine::Policies& policies,
                     std::span<const sl_op_key> op_keys);
void encode(const LogHeader& header, observe::Writer& out);
Result<LogHeader> decode_log_header(std::span<const std::uint8_t> bytes);

}  // namespace serveloop::rig
