// A model's weights as the CPU kernels stream them: matrices in panels, as they are stored (quantised ones stay so);
// norms and biases in F32. Packed once, the embedding too; nothing of the model's file is read any more. Thread safety:
// immutable once made.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "execute/cpu/pages.hpp"
#include "execute/cpu/pool.hpp"
#include "kernels/cpu/kernels.hpp"
#include "model/model.hpp"

namespace serveloop::execute::cpu {

inline constexpr std::size_t kRoles = 19;     // of model::Role
inline constexpr std::int32_t kOutside = -1;  // the layer of what belongs to none

// Where a layer stands in lists that begin with what is outside of them.
constexpr std::size_t place_of(std::int32_t layer) {
  return static_cast<std::size_t>(std::int64_t{layer} + 1);
}

kernels::cpu::Type kernel_type(model::Type type);

class Weights {
 public:
  // Packs with all of the pool's threads. A tied embedding is packed once. Fails where memory is short.
  static Result<Weights> pack(const model::Model& model, Pool& pool);

  const kernels::cpu::Packed& matrix(std::int32_t layer, model::Role role) const {
    return of(layer).matrix[static_cast<std::size_t>(role)];
  }
  // Null where the architecture has none.
  const float* vector(std::int32_t layer, model::Role role) const {
    return of(layer).vector[static_cast<std::size_t>(role)];
  }
  const kernels::cpu::Packed& embedding() const { return matrix(kOutside, model::Role::embedding); }
  std::size_t bytes() const { return pages_.bytes(); }

 private:
  struct Layer {
    std::array<kernels::cpu::Packed, kRoles> matrix;
    std::array<const float*, kRoles> vector{};
  };
  const Layer& of(std::int32_t layer) const { return layers_[place_of(layer)]; }

  Pages pages_;
  std::vector<Layer> layers_;  // [0]: outside of them
};

}  // namespace serveloop::execute::cpu
