// A calibration: the coefficients of the cost model that stands in for a device under virtual time. Files of
// them lie in configs/calibrations/<name>.toml; docs/CONFIG.md lists their keys.
//
// A step's time on the device, as <serveloop/cost.h> predicts it, is the sum of
//   step_fixed_us                                   once (weights read, kernels launched)
//   decode_sequence_us  x sequences that decode
//   decode_context_ns   x sum of their contexts     (KV tokens read)
//   prefill_token_us    x prompt tokens computed
//   prefill_context_ns  x prefill pairs             (token x token attended; sl_chunk_pairs)
//   prefill_step_us                                 once if there are prompt tokens
//   decode_token_us     x sequences that decode     (as prefill_token_us: arithmetic that shares the weights)
// less overlap x the shorter of step_fixed_us and what prefill_token_us and decode_token_us make.
// Thread safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace serveloop::config {

struct Calibration {
  std::string name, device, source;
  double step_fixed_us = 0;
  double decode_sequence_us = 0;
  double decode_context_ns = 0;
  double prefill_token_us = 0;
  double prefill_context_ns = 0;
  double prefill_step_us = 0;
  double decode_token_us = 0;
  double overlap = 0;  // 0 to 1
  std::uint64_t kv_bytes_per_token = 0;
  std::uint64_t kv_memory_bytes = 0;  // the pool where [engine] states none
  double swap_gb_per_s = 0;           // each way between device and host; 1e9 bytes a second
  // The engine's own work, charged to a virtual clock.
  double host_step_us = 0;      // once a step
  double host_sequence_us = 0;  // a running sequence
  double policy_us = 0;         // a policy call
  bool operator==(const Calibration&) const = default;
};

Result<Calibration> load_calibration(const std::string& path);
Result<Calibration> parse_calibration(std::string_view text, std::string_view source_name);
std::string to_toml(const Calibration& calibration);

// The file of a calibration named in [simulated]: a path stays itself; a name is looked for as
// <folder>/<name>.toml. An error lists the names found and where it looked.
Result<std::string> find_calibration(const std::string& name_or_path,
                                     const std::vector<std::string>& folders);
// Where names are looked for: <folder>/calibrations and <folder> of the TOML file, SERVELOOP_CALIBRATION_PATH
// (split at ':'), then configs/calibrations and share/serveloop/calibrations beside the program's own folder; each once.
std::vector<std::string> calibration_folders(const std::string& config_folder);

}  // namespace serveloop::config
