// Values by the bin of time that they belong to: their mean and percentiles, each bin weighed as often as it was drawn. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace serveloop::experiment::ab {

class Sample {
 public:
  explicit Sample(std::size_t bins) : amounts_(bins), wholes_(bins) {}
  // `amount` of a `whole`: 3 hit tokens of a prompt of 10, or a latency, of 1.
  void add(std::uint32_t bin, double amount, double whole = 1);

  std::size_t size() const { return values_.size(); }
  // Sum of the amounts over that of the wholes; kNone where that is 0.
  double mean(std::span<const std::uint32_t> weights) const;
  // The least amount that so many percent do not exceed; `percents` ascend. kNone where nothing has weight.
  void percentiles(std::span<const std::uint32_t> weights, std::span<const double> percents,
                   std::span<double> out);
  // Bins that hold an amount of at least `least`.
  std::vector<std::uint32_t> bins_from(double least) const;

 private:
  struct Value {
    double amount;
    std::uint32_t bin;
  };
  std::vector<double> amounts_, wholes_;  // sums, by bin
  std::vector<Value> values_;
  bool sorted_ = false;
};

}  // namespace serveloop::experiment::ab
