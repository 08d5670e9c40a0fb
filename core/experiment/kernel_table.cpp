#include "experiment/kernel_table.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace serveloop::experiment {

namespace {

using execute::KernelLimits;
using execute::KernelTime;

double a_second(double amount, double us) { return us > 0 ? 1e6 * amount / us : 0; }

double share(const KernelTime& time, const KernelLimits& limits) {
  return time.us > 0 ? execute::floor_us(time, limits) / time.us : 0;
}

std::string line(const KernelTime& t, const KernelLimits& limits) {
  return fmt::format("{:<9}{:<20}{:>7}{:>8}{:>11.2f}{:>9.3f}{:>10}{:>14.2f}{:>9.1f} %\n", t.step, t.kernel,
                     t.tokens, t.keys > 0 ? std::to_string(t.keys) : "-", t.us,
                     a_second(t.bytes, t.us) / 1e12,
                     t.flops > 0 ? fmt::format("{:.1f}", a_second(t.flops, t.us) / 1e12) : "-",
                     execute::floor_us(t, limits), 100 * share(t, limits));
}

}  // namespace

std::string kernel_table(const rig::KernelBench& bench) {
  const KernelLimits& limits = bench.report.limits;
  std::string out = fmt::format(
      "{}; {} in BF16\nread of 2 GiB {:.3f} TB/s, copy of 1 GiB {:.3f} TB/s, product of 8192 x 8192 x 8192 "
      "{:.1f} "
      "TFLOP/s\n\n",
      bench.report.device, bench.model, limits.read_bytes_per_s / 1e12, limits.copy_bytes_per_s / 1e12,
      limits.product_flops_per_s / 1e12);
  out += fmt::format("{:<9}{:<20}{:>7}{:>8}{:>11}{:>9}{:>10}{:>14}{:>11}\n", "step", "kernel", "tokens",
                     "keys", "us", "TB/s", "TFLOP/s", "roofline, us", "reached");
  for (const KernelTime& time : bench.report.times) out += line(time, limits);
  return out;
}

std::string kernel_json(const rig::KernelBench& bench) {
  using Json = nlohmann::ordered_json;
  const KernelLimits& limits = bench.report.limits;
  Json kernels = Json::array();
  for (const KernelTime& t : bench.report.times)
    kernels.push_back({{"step", t.step},
                       {"kernel", t.kernel},
                       {"tokens", t.tokens},
                       {"keys", t.keys > 0 ? Json(t.keys) : Json(nullptr)},
                       {"us", t.us},
                       {"bytes", t.bytes},
                       {"flops", t.flops},
                       {"bytes_per_s", a_second(t.bytes, t.us)},
                       {"flops_per_s", a_second(t.flops, t.us)},
                       {"roofline_us", execute::floor_us(t, limits)},
                       {"of_roofline", share(t, limits)}});
  const Json all = {{"device", bench.report.device},
                    {"model", bench.model},
                    {"limits",
                     {{"read_bytes_per_s", limits.read_bytes_per_s},
                      {"copy_bytes_per_s", limits.copy_bytes_per_s},
                      {"product_flops_per_s", limits.product_flops_per_s}}},
                    {"kernels", std::move(kernels)}};
  return all.dump(2) + "\n";
}

}  // namespace serveloop::experiment
