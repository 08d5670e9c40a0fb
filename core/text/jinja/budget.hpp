// What a template may use: work, memory of the values it makes, output, and depth. Templates come out of model
// files, so each of these is bounded whatever the template says. Threads: one rendering, one thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "text/jinja/outcome.hpp"

namespace serveloop::text::jinja {

struct Limits {
  // Units of work: one for each node evaluated and each element looked at, for each 64 bytes of text copied, compared
  // or searched, and for each 8 bytes read character by character. Templates of today's models take about 100 units for
  // each message, so that this is enough for some 40,000 of them, and for a tool list of some MiB.
  std::uint64_t fuel = 4'000'000;
  std::size_t output_bytes = std::size_t{16} << 20;
  std::size_t value_bytes = std::size_t{128}
                            << 20;  // values alive at one time, those of the caller not counted
  std::uint32_t depth = 500;        // evaluations inside one another
};

inline constexpr std::size_t kMaxTemplateBytes = std::size_t{256} << 10;
inline constexpr std::uint32_t kMaxParseDepth = 150;  // of nested statements and expressions
inline constexpr std::uint32_t kMaxValueDepth = 100;  // lists and dicts inside one another, the caller's too

class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits), fuel_(limits.fuel) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  const Limits& limits() const { return limits_; }
  std::uint64_t fuel_used() const { return limits_.fuel - fuel_; }
  std::size_t live_bytes() const { return live_; }

  Done spend(std::uint64_t units) {
    if (units > fuel_) {
      fuel_ = 0;
      return fault("the template takes more than " + std::to_string(limits_.fuel) + " units of work");
    }
    fuel_ -= units;
    return {};
  }
  Done spend_bytes(std::size_t bytes) { return spend(bytes / 64 + 1); }
  Done spend_characters(std::size_t bytes) { return spend(bytes / 8 + 1); }

  // Whether a value of that many bytes may be made now; called before anything is built.
  Done room_for(std::size_t bytes) const {
    if (bytes > limits_.value_bytes || live_ > limits_.value_bytes - bytes)
      return fault("the template's values take more than " + std::to_string(limits_.value_bytes) + " bytes");
    return {};
  }
  void take(std::size_t bytes) { live_ += bytes; }
  void give_back(std::size_t bytes) { live_ -= bytes; }

 private:
  Limits limits_;
  std::uint64_t fuel_;
  std::size_t live_ = 0;
};

// The bytes that one value holds of a budget, given back with the value. A value never outlives its budget.
class Charge {
 public:
  Charge() = default;
  Charge(Budget& budget, std::size_t bytes) : budget_(&budget), bytes_(bytes) { budget.take(bytes); }
  Charge(Charge&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Charge() {
    if (budget_ != nullptr) budget_->give_back(bytes_);
  }

  void grow(Budget& budget, std::size_t bytes) {
    budget_ = &budget;
    bytes_ += bytes;
    budget.take(bytes);
  }

 private:
  Budget* budget_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace serveloop::text::jinja
