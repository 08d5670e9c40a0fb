// Items of a step log as text, two that differ side by side. Thread-safe where the engine is not running.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "engine/engine.hpp"
#include "observe/step_log.hpp"

namespace serveloop::experiment {

struct LogItem {
  observe::Item tag{};  // Item{}: nothing was there
  std::span<const std::uint8_t> bytes;
};
// Rows from the first that differs on, a screenful. `engine` stands where the items were made.
std::pair<std::string, std::string> show_both(const LogItem& recorded, const LogItem& replayed,
                                              const engine::Engine& engine);

}  // namespace serveloop::experiment
