// Weights for any architecture from a seed, for measurements and tests where no weights are at hand.
// Deviations keep activations near 1 at any depth: 1 / sqrt(hidden) for the embedding and the head, 1 /
// sqrt(inputs) for q, k, v, gate, up and biases, 1 / sqrt(inputs 2 layers) for what is added to the residual
// stream (o, down; Radford et al., 2019). Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "model/architecture.hpp"
#include "model/random_value.hpp"
#include "model/weights.hpp"

namespace serveloop::model {

// The scale of a slot that is no norm.
RandomScale random_scale(const Slot& slot, const Architecture& architecture);

// Values first .. first + out.size() - 1 of a slot, row after row, as BF16.
void fill_random(const Slot& slot, const Architecture& architecture, std::uint64_t seed, std::uint64_t first,
                 std::span<std::uint16_t> out);

}  // namespace serveloop::model
