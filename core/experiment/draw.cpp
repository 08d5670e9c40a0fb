// Each draw owns a counter pair (index, lane). Rejection methods take one lane an attempt, so they stay
// functions of the index.
#include "experiment/draw.hpp"

#include <bit>
#include <cmath>

namespace serveloop::experiment {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15u;
constexpr double kLn2High = 0x1.62e42fee00000p-1, kLn2Low = 0x1.a39ef35793c76p-33;  // their sum is ln 2

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::uint64_t hash_of(std::string_view label) {  // FNV-1a
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : label) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace

double portable_log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // [0.5, 1)
  if (m < 0x1.6a09e667f3bcdp-1) {       // below sqrt(1/2)
    m *= 2;
    --exponent;
  }
  // ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172: eleven odd terms reach the last place.
  const double s = (m - 1) / (m + 1), s2 = s * s;
  double sum = 0;
  for (int k = 21; k >= 3; k -= 2) sum = (sum + 1.0 / k) * s2;
  return exponent * kLn2High + (2 * s + (2 * s * sum + exponent * kLn2Low));
}

double portable_exp(double x) {
  if (x < -745.2) return 0;
  if (x > 709.78) return HUGE_VAL;
  const double k = std::floor(x / (kLn2High + kLn2Low) + 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;  // |r| < 0.35
  double sum = 1;
  for (int i = 14; i >= 1; --i) sum = 1 + sum * r / i;
  return std::ldexp(sum, static_cast<int>(k));
}

Draws::Draws(std::uint64_t seed, std::string_view label) : key_(mix(mix(seed + kGolden) ^ hash_of(label))) {}

std::uint64_t Draws::bits(std::uint64_t index, std::uint64_t lane) const {
  return mix(mix(key_ + kGolden * (index + 1)) + kGolden * lane);
}

double Draws::uniform(std::uint64_t index, std::uint64_t lane) const {
  return (static_cast<double>(bits(index, lane) >> 11) + 0.5) * 0x1p-53;
}

std::uint64_t Draws::uniform(std::uint64_t index, std::uint64_t from, std::uint64_t to) const {
  const std::uint64_t values = to - from + 1;  // 0: all of them
  if (values == 0) return bits(index);
  return from + static_cast<std::uint64_t>((static_cast<Wide>(bits(index)) * values) >> 64);
}

double Draws::exponential(std::uint64_t index, double mean) const {
  return -mean * portable_log(uniform(index));
}

double Draws::normal(std::uint64_t index, std::uint64_t lane) const {
  for (std::uint64_t attempt = lane << 32;; attempt += 2) {
    const double u = 2 * uniform(index, attempt) - 1, v = 2 * uniform(index, attempt + 1) - 1;
    const double square = u * u + v * v;
    if (square < 1) return u * std::sqrt(-2 * portable_log(square) / square);
  }
}

double Draws::gamma(std::uint64_t index, double mean, double cv) const {
  const double shape = 1 / (cv * cv);
  const double raised = shape < 1 ? shape + 1 : shape;  // below 1: by a power of a uniform from shape + 1
  const double d = raised - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (std::uint64_t attempt = 0;; ++attempt) {
    const double x = normal(index, 2 * attempt + 1), root = 1 + c * x, v = root * root * root;
    const double u = uniform(index, (2 * attempt + 2) << 32);
    if (root <= 0 || portable_log(u) >= 0.5 * x * x + d - d * v + d * portable_log(v)) continue;
    const double power = shape < 1 ? portable_exp(portable_log(uniform(index)) / shape) : 1;
    return d * v * power * mean / shape;
  }
}

double Draws::lognormal(std::uint64_t index, double mean, double cv) const {
  const double variance = portable_log(1 + cv * cv);  // of the logarithm
  return mean * portable_exp(std::sqrt(variance) * normal(index) - variance / 2);
}

std::size_t Draws::categorical(std::uint64_t index, std::span<const double> weights) const {
  double sum = 0;
  for (const double weight : weights) sum += weight;
  const double at = uniform(index) * sum;
  double below = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] <= 0) continue;
    last = i;
    below += weights[i];
    if (at < below) break;
  }
  return last;
}

}  // namespace serveloop::experiment
