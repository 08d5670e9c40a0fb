#include "config/spread.hpp"

namespace serveloop::config {

std::optional<double>* StatedSpread::find(std::string_view key) {
  if (key == "mean") return &mean;
  if (key == "cv") return &cv;
  if (key == "min") return &min;
  if (key == "max") return &max;
  return nullptr;
}

const std::vector<std::string>& StatedSpread::keys() {
  static const std::vector<std::string> all{"distribution", "mean", "cv", "min", "max"};
  return all;
}

Result<Spread> StatedSpread::whole(const Key& key, const std::string& named) const {
  Spread out;
  out.distribution = !distribution.empty() ? distribution : mean ? "lognormal" : "uniform";
  const bool uniform = out.distribution == "uniform", fixed = out.distribution == "fixed";
  if (uniform && !(min && max))
    return fail(named, distribution.empty() ? "a mean, or min and max" : "min and max for uniform",
                "not both");
  if (!uniform && !mean) return fail(named, "a mean for " + out.distribution, "none");
  const std::pair<const char*, bool> foreign[] = {{"mean", uniform && mean},
                                                  {"cv", out.distribution != "lognormal" && cv},
                                                  {"min", fixed && min},
                                                  {"max", fixed && max}};
  for (const auto& [name, stated] : foreign)
    if (stated)
      return fail(named + "." + name, "none beside distribution = \"" + out.distribution + "\"", "one",
                  "remove it");
  out.mean = mean.value_or(0);
  if (fixed) return out;
  if (cv) out.cv = *cv;
  out.min = min.value_or(key.min);
  out.max = max.value_or(key.max);
  if (out.min > out.max)
    return fail(named + ".min", "at most max, " + toml::to_inline(toml::Value(out.max)),
                toml::to_inline(toml::Value(out.min)));
  return out;
}

toml::Value to_value(const Spread& spread) {
  if (spread.distribution == "fixed") return spread.mean;
  toml::Value table;
  table["distribution"] = toml::Value(spread.distribution);
  if (spread.distribution != "uniform") table["mean"] = toml::Value(spread.mean);
  if (spread.distribution == "lognormal") table["cv"] = toml::Value(spread.cv);
  table["min"] = toml::Value(spread.min);
  table["max"] = toml::Value(spread.max);
  return table;
}

}  // namespace serveloop::config
