// Over one row of logits: largest, log of the sum of exponentials, the k largest. NaN counts as minus infinity.
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/table.hpp"

namespace serveloop::kernels::cpu::SERVELOOP_ISA {
namespace {

const float kNone = -__builtin_inff();

// Vector i of the row: lanes beyond n, and NaN, are minus infinity.
inline F logits(const float* x, int i, int n) {
  const F none = set1(kNone);
  const F v = n - i >= kLanes ? load(x + i) : keep_n(load_n(x + i, n - i), none, n - i);
  return if_less(none, v, v, none);
}

inline float logit(float x) { return x > kNone ? x : kNone; }

float largest(const float* x, int n) {
  F most = set1(kNone);
  for (int i = 0; i < n; i += kLanes) most = max(most, logits(x, i, n));
  return max_lanes(most);
}

// Is (value, id) before the other: larger, or equal with the lower id.
inline bool before(float a, std::int32_t a_id, float b, std::int32_t b_id) {
  return a > b || (a == b && a_id < b_id);
}

// Heap whose root comes last of all that are kept.
void sift_down(float* values, std::int32_t* ids, int size, int at) {
  while (2 * at + 1 < size) {
    int child = 2 * at + 1;
    if (child + 1 < size && before(values[child], ids[child], values[child + 1], ids[child + 1])) ++child;
    if (!before(values[at], ids[at], values[child], ids[child])) return;
    const float value = values[at];
    const std::int32_t id = ids[at];
    values[at] = values[child], ids[at] = ids[child];
    values[child] = value, ids[child] = id;
    at = child;
  }
}

}  // namespace

int argmax(const float* x, int n) {
  const float most = largest(x, n);
  for (int i = 0; i < n; ++i)
    if (logit(x[i]) == most) return i;
  return 0;
}

void log_sum_exp(const float* x, int n, float* max_out, float* log_sum) {
  const float most = largest(x, n);
  *max_out = most;
  *log_sum = most;
  if (most == kNone) return;
  double sum = 0.0;  // of runs of 4,096: each summed lane by lane in F32
  for (int run = 0; run < n; run += 4096) {
    const int end = n - run < 4096 ? n : run + 4096;
    F part = zero();
    for (int i = run; i < end; i += kLanes) part = add(part, exp(sub(logits(x, i, end), set1(most))));
    sum += static_cast<double>(sum_lanes(part));
  }
  *log_sum = static_cast<float>(static_cast<double>(most) + __builtin_log(sum));
}

void top_k(const float* x, int n, int k, std::int32_t* ids, float* values) {
  for (int i = 0; i < k; ++i) values[i] = logit(x[i]), ids[i] = i;
  for (int i = k / 2 - 1; i >= 0; --i) sift_down(values, ids, k, i);
  // Later ids have to be larger than the root to enter; a vector without such a lane is passed over.
  for (int i = k; i < n;) {
    if (i % kLanes == 0 && !any_less(set1(values[0]), logits(x, i, n))) {
      i += kLanes;
      continue;
    }
    if (logit(x[i]) > values[0]) {
      values[0] = logit(x[i]), ids[0] = i;
      sift_down(values, ids, k, 0);
    }
    ++i;
  }
  for (int size = k - 1; size > 0; --size) {  // the last of all goes to the end
    const float value = values[0];
    const std::int32_t id = ids[0];
    values[0] = values[size], ids[0] = ids[size];
    values[size] = value, ids[size] = id;
    sift_down(values, ids, size, 0);
  }
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
