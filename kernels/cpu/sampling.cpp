// Over one row of logits: largest, log of the sum of exponentials, the k largest, weights. Every logit is read as
// clean_logit() of kernels/token_weight.hpp has it: no number counts as minus infinity, plus infinity as the largest
// number.
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/table.hpp"

namespace serveloop::kernels::cpu::SERVELOOP_ISA {
namespace {

const float kNone = -__builtin_inff();
const float kMost = 3.4028234e38f;

// Vector i of the row, clean; lanes beyond n are minus infinity.
inline F logits(const float* x, int i, int n) {
  const F none = set1(kNone);
  const F v = n - i >= kLanes ? load(x + i) : keep_n(load_n(x + i, n - i), none, n - i);
  return min(if_less(none, v, v, none), set1(kMost));
}

inline float logit(float x) { return !(x > kNone) ? kNone : x < kMost ? x : kMost; }

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

// The first run that holds the largest, then the first of that run.
int argmax(const float* x, int n) {
  constexpr int kRun = 1024;
  float most = kNone;
  int first = 0;
  for (int run = 0; run < n; run += kRun) {
    const float here = largest(x + run, n - run < kRun ? n - run : kRun);
    if (here > most) most = here, first = run;
  }
  for (int i = first; i < n; ++i)
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

// token_weight()'s steps, a vector at a time up to the last two, which are of 64 bits.
int token_weights(const float* x, int n, float most, float scale, std::uint64_t least, std::int32_t* ids,
                  std::uint64_t* weights) {
  const F magic = set1(12582912.0f);  // rounds to an integer, as in exp()
  int count = 0;
  for (int i = 0; i < n; i += kLanes) {
    const F halvings = fused(sub(set1(most), logits(x, i, n)), set1(scale), zero());
    if (!any_less(halvings, set1(40.5f))) continue;
    const F whole = sub(add(halvings, magic), magic);
    const F r = sub(whole, halvings);
    F power = set1(1.5252734e-5f);
    power = fused(power, r, set1(1.5403530e-4f));
    power = fused(power, r, set1(1.3333558e-3f));
    power = fused(power, r, set1(9.6181291e-3f));
    power = fused(power, r, set1(5.5504109e-2f));
    power = fused(power, r, set1(2.4022651e-1f));
    power = fused(power, r, set1(6.9314718e-1f));
    power = fused(power, r, set1(1.0f));
    alignas(64) float far[kLanes], shift[kLanes], large[kLanes];
    store(far, halvings);
    store(shift, whole);
    store(large, mul(power, set1(1.099511627776e12f)));
    for (int lane = 0; lane < kLanes && i + lane < n; ++lane) {
      if (!(far[lane] < 40.5f)) continue;
      const std::uint64_t weight = static_cast<std::uint64_t>(large[lane]) >> static_cast<int>(shift[lane]);
      if (weight < least) continue;
      ids[count] = i + lane;
      weights[count++] = weight;
    }
  }
  return count;
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
