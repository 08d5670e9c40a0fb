// What a precision probe read beside the view, in the form of dump.hpp.
#pragma once

#include "dump.hpp"

namespace probe {

// One line for each named field of `row`.
#define PROBE_FIELD(name) out.line(at, #name, row.name);

inline void dump(Text& out, const std::string& at, const sl_op_key& row) {
  PROBE_FIELD(layer)
  PROBE_FIELD(layers)
  PROBE_FIELD(expert)
  PROBE_FIELD(role)
  PROBE_FIELD(layer_kind)
  PROBE_FIELD(phase)
  PROBE_FIELD(can)
  PROBE_FIELD(n)
  PROBE_FIELD(k)
}

inline void dump(Text& out, const std::string& at, const sl_format& row) {
  PROBE_FIELD(dtype)
  PROBE_FIELD(granularity)
  PROBE_FIELD(scale_dtype)
  PROBE_FIELD(source)
  PROBE_FIELD(rounding)
  PROBE_FIELD(overflow)
  PROBE_FIELD(ragged)
  PROBE_FIELD(group_n)
  PROBE_FIELD(group_k)
  PROBE_FIELD(history)
  PROBE_FIELD(amax_floor)
  PROBE_FIELD(amax_ceiling)
  PROBE_FIELD(margin)
  PROBE_FIELD(constant)
}

inline void dump(Text& out, const std::string& at, const sl_op_plan& row) {
  dump(out, at + ".weight", row.weight);
  dump(out, at + ".input", row.input);
  dump(out, at + ".output", row.output);
  PROBE_FIELD(accumulate)
  PROBE_FIELD(promote_every)
  PROBE_FIELD(compute)
  PROBE_FIELD(reason)
}

#undef PROBE_FIELD

}  // namespace probe
