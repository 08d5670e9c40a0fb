// The operations of an architecture, as precision plugins are asked for them. Thread safety: pure functions.
#pragma once

#include <serveloop/precision.h>

#include <vector>

#include "model/architecture.hpp"

namespace serveloop::model {

// Bit sets of dtypes (1 << SL_*) that a backend computes in.
struct CanCompute {
  std::uint16_t embed = 1u << SL_DTYPE_NATIVE;
  std::uint16_t linear = 1u << SL_DTYPE_NATIVE;
  std::uint16_t norm = 1u << SL_DTYPE_NATIVE;
  std::uint16_t kv = 1u << SL_DTYPE_NATIVE;
};

// EMBED, then for each layer NORM, Q, K, V, O, GATE, UP, DOWN, KV, then LM_HEAD. n and k are output and input
// features; EMBED: n = hidden, k = vocabulary (a row chosen among them); NORM, all of a layer's under one
// key: n = k = hidden; KV: n = features of K (or V) a token, k = those of a head.
std::vector<sl_op_key> op_keys(const Architecture& architecture, const CanCompute& can);

}  // namespace serveloop::model
