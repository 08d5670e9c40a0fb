// Two modes of native numbers, chosen in turn, and by its dump all that `assign`, `effective` and the last
// `choose_mode` could read. Fields of its plans hold different numbers, where their ranges let them.
#include <serveloop/cpp/precision.hpp>

#include "../dump_precision.hpp"

namespace {

constexpr uint32_t kModes = 2, kStepsPerMode = 3;

class ProbePrecision {
 public:
  explicit ProbePrecision(const sl::Setup& setup) { probe::dump_create(create_, setup); }

  static const void* extension(const char* id) { return probe::dump_extension<ProbePrecision>(id); }

  std::string account() const {
    probe::Text calls;
    calls.line("calls", "choose", choices_);
    return calls.str() + create_.str() + load_.str() + choose_.str();
  }

  uint32_t modes() const { return kModes; }

  sl_op_plan assign(const sl_op_key& key, uint32_t mode) {
    const uint32_t i = assigned_[mode]++;
    probe::dump(load_, at("assign", mode, "keys", i), key);
    sl_op_plan plan{};
    plan.weight = format(i + 1), plan.input = format(i + 101), plan.output = format(i + 201);
    plan.accumulate = SL_ACCUMULATE_PROMOTED, plan.compute = SL_COMPUTE_DEQUANTISED;
    plan.reason = SL_REASON_PLUGIN;
    plan.promote_every = static_cast<uint16_t>(2 * i + mode + 1);
    return plan;
  }

  void effective(const sl::Rows<sl_op_key>& keys, uint32_t mode, const sl::Rows<sl_op_plan>& plans) {
    for (uint32_t i = 0; i < keys.size(); ++i) probe::dump(load_, at("effective", mode, "keys", i), keys[i]);
    for (uint32_t i = 0; i < plans.size(); ++i)
      probe::dump(load_, at("effective", mode, "plans", i), plans[i]);
  }

  uint32_t choose_mode(const sl::View& view) {
    ++choices_;
    choose_.clear();
    probe::dump_view(choose_, "choose.view", view);
    const auto mode = static_cast<uint32_t>(view->step / kStepsPerMode % kModes);
    choose_.line("choose", "mode", mode);
    return mode;
  }

 private:
  static std::string at(const char* call, uint32_t mode, const char* table, uint32_t row) {
    return std::string(call) + "[" + std::to_string(mode) + "]." + table + "[" + std::to_string(row) + "]";
  }
  static sl_format format(uint32_t first) {
    sl_format f{};
    f.dtype = SL_DTYPE_NATIVE, f.granularity = SL_SCALE_GROUP, f.scale_dtype = SL_BF16;
    f.source = SL_SOURCE_CONSTANT, f.rounding = SL_ROUND_POWER_OF_TWO_UP;
    f.overflow = SL_OVERFLOW_NAN, f.ragged = SL_RAGGED_REFUSE;
    f.group_n = first, f.group_k = first + 1000, f.history = first + 2000;
    f.amax_floor = static_cast<float>(first + 3000), f.amax_ceiling = static_cast<float>(first + 4000);
    f.margin = static_cast<float>(first + 5000), f.constant = static_cast<float>(first + 6000);
    return f;
  }

  probe::Text create_, load_, choose_;
  uint32_t assigned_[kModes] = {};
  uint64_t choices_ = 0;
};

}  // namespace

SERVELOOP_PRECISION(ProbePrecision, "probe-precision", "0.1.0");
