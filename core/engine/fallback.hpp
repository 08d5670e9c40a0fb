// The linked-in policies. Eviction's lives in the cache (least recently used), since the cache keeps that
// order anyway.
#pragma once

#include <serveloop/preemption.h>

#include <span>

#include "engine/options.hpp"
#include "requests/manager.hpp"

namespace serveloop::engine::fallback {

std::uint32_t plan(requests::Manager& requests, const Options& options, std::span<sl_entry> entries);
std::uint32_t preempt(std::span<const sl_candidate> candidates, std::uint32_t need,
                      std::span<sl_yield> yields);

}  // namespace serveloop::engine::fallback
