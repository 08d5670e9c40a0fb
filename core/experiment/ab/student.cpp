#include "experiment/ab/student.hpp"

#include <cmath>
#include <numbers>

namespace serveloop::experiment::ab {

namespace {

// P(|T| <= t), by the finite series for whole degrees of freedom (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).
double within(double t, unsigned freedom) {
  const double root = std::sqrt(freedom + t * t), sine = t / root, cosine = std::sqrt(freedom) / root;
  const bool odd = freedom % 2 == 1;
  double term = odd ? cosine : 1, sum = odd && freedom == 1 ? 0 : term;
  for (unsigned k = odd ? 3 : 2; k < freedom; k += 2) {
    term *= cosine * cosine * (k - 1) / k;
    sum += term;
  }
  if (!odd) return sine * sum;
  return 2 / std::numbers::pi * (std::atan2(sine, cosine) + sine * sum);
}

}  // namespace

double student_t(double confidence, unsigned freedom) {
  double low = 0, high = 1;
  while (within(high, freedom) < confidence && high < 1e12) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-12 * high; ++i) {
    const double middle = (low + high) / 2;
    (within(middle, freedom) < confidence ? low : high) = middle;
  }
  return (low + high) / 2;
}

double normal_tail(double z) { return std::erfc(z / std::numbers::sqrt2) / 2; }

}  // namespace serveloop::experiment::ab
