// Seeded random draws that any machine repeats bit for bit.
//
// Counter-based: a draw is a function of (seed, label, index) alone, so draws may be made in any order, and
// one label's draws do not move when another's are added or left out. Bits are SplitMix64's finaliser
// (Steele, Lea, Flood 2014) over the counter. Logarithm and exponential are made here from additions,
// multiplications and divisions, because libraries differ in the last bit; build with -ffp-contract=off.
// Thread-safe: const throughout.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace serveloop::experiment {

class Draws {
 public:
  Draws(std::uint64_t seed, std::string_view label);

  std::uint64_t bits(std::uint64_t index) const { return bits(index, 0); }
  double uniform(std::uint64_t index) const { return uniform(index, 0); }  // in (0, 1)
  // From .. to, both ends.
  std::uint64_t uniform(std::uint64_t index, std::uint64_t from, std::uint64_t to) const;
  double exponential(std::uint64_t index, double mean) const;
  // Polar method (Marsaglia, Bray 1964).
  double normal(std::uint64_t index) const { return normal(index, 0); }
  double gamma(std::uint64_t index, double mean, double cv) const;  // Marsaglia, Tsang 2000
  // Mean and cv of the value, not of its log.
  double lognormal(std::uint64_t index, double mean, double cv) const;
  // Requires a positive sum.
  std::size_t categorical(std::uint64_t index, std::span<const double> weights) const;

 private:
  std::uint64_t bits(std::uint64_t index, std::uint64_t lane) const;
  double uniform(std::uint64_t index, std::uint64_t lane) const;
  double normal(std::uint64_t index, std::uint64_t lane) const;
  std::uint64_t key_;
};

// Natural logarithm of x > 0 and exponential, within 2 units of the last place, the same everywhere.
double portable_log(double x);
double portable_exp(double x);

}  // namespace serveloop::experiment
