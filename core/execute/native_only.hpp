// Precision on executors that compute nothing: a small list of operations, native numbers only.
#pragma once

#include <fmt/format.h>

#include <vector>

#include "execute/executor.hpp"

namespace serveloop::execute {

class NativeOnly : public Executor {
 public:
  NativeOnly() {
    for (std::int32_t layer = 0; layer < kLayers; ++layer)
      for (const std::uint16_t role :
           {SL_ROLE_Q, SL_ROLE_K, SL_ROLE_V, SL_ROLE_O, SL_ROLE_GATE, SL_ROLE_UP, SL_ROLE_DOWN, SL_ROLE_KV})
        keys_.push_back(
            {layer, kLayers, -1, role, SL_LAYER_FULL, SL_PHASE_BOTH, 1u << SL_DTYPE_NATIVE, 64, 64});
    keys_.push_back(
        {-1, kLayers, -1, SL_ROLE_LM_HEAD, SL_LAYER_FULL, SL_PHASE_BOTH, 1u << SL_DTYPE_NATIVE, 64, 64});
  }
  std::span<const sl_op_key> op_keys() const override { return keys_; }
  Status apply(std::uint32_t mode, std::span<const sl_op_plan> plans) override {
    if (plans.size() != keys_.size())
      return fail(fmt::format("precision mode {}", mode),
                  fmt::format("{} plans, one an operation", keys_.size()), std::to_string(plans.size()));
    for (std::size_t i = 0; i < plans.size(); ++i)
      for (const sl_format* format : {&plans[i].weight, &plans[i].input, &plans[i].output})
        if (format->dtype != SL_DTYPE_NATIVE)
          return fail(
              fmt::format("precision mode {}, layer {}, role {}", mode, keys_[i].layer, keys_[i].role),
              "native numbers (this executor computes none)", fmt::format("dtype {}", format->dtype),
              "choose precision plugin 'native'");
    if (mode >= effective_.size()) effective_.resize(mode + 1);
    effective_[mode].assign(plans.begin(), plans.end());
    return {};
  }
  std::span<const sl_op_plan> effective(std::uint32_t mode) const override {
    if (mode >= effective_.size()) return {};
    return effective_[mode];
  }

 private:
  static constexpr std::int32_t kLayers = 2;
  std::vector<sl_op_key> keys_;
  std::vector<std::vector<sl_op_plan>> effective_;  // by mode
};

}  // namespace serveloop::execute
