// The kernels of a CPU forward pass: a table of functions for each instruction set, chosen once. Start here; then
// formats.hpp (weights, activations), kv.hpp (cache, attention).
//
// Bits: for one build and one instruction set a row of output depends on that row's inputs alone: not on how many rows
// the call has, which range of columns or heads it covers, or which thread runs it. Instruction sets may differ in the
// last bits. Thread safety: stateless; no function allocates or starts threads. Callers split work by rows, by column
// ranges (multiples of 16) or by heads. No pointer needs an alignment beyond its type's, except packed weights and
// prepared activations (64 bytes).
#pragma once

#include <cstdint>

#include "kernels/cpu/formats.hpp"
#include "kernels/cpu/kv.hpp"

namespace serveloop::kernels::cpu {

// avx2: with FMA and F16C. avx512: F, BW, VL, DQ and VNNI. avx512_bf16: with BF16 dot products too.
enum class Isa : std::uint8_t { portable, avx2, avx512, avx512_bf16 };
static constexpr int kIsaCount = 4;

// c[m, n] = a[m, k] . w[n, k]^T + bias, columns [n_begin, n_end).
struct Gemm {
  const Packed* w = nullptr;
  Act act = Act::f32;
  const void* a = nullptr;  // m rows made by prepare(act)
  int m = 0;
  const float* bias = nullptr;  // [n] or null
  float* c = nullptr;           // [m, n], ldc floats from row to row
  std::int64_t ldc = 0;
  int n_begin = 0;  // a multiple of 16
  int n_end = 0;    // a multiple of 16, or w->n
};

enum class RopePairs : std::uint8_t {
  halves,     // element i turns with i + rope_dim / 2: checkpoints in Hugging Face's layout
  neighbours  // element 2 i turns with 2 i + 1: Llama checkpoints in GGUF
};

struct Kernels {
  Isa isa;

  // rows = m rows of act_row_bytes(act, k); x: [m, k], ldx floats from row to row.
  void (*prepare)(Act act, const float* x, std::int64_t ldx, int m, int k, void* rows);
  void (*gemm)(const Gemm& job);

  // out = x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich, 2019). x, out: [rows, n] with strides; may be the
  // same. With rows = heads and n = head_dim this is the QK norm.
  void (*rms_norm)(const float* x, std::int64_t ldx, const float* weight, float eps, int rows, int n,
                   float* out, std::int64_t ldo);
  // Turns the first rope_dim elements of each head of x [heads, head_dim] by one row [rope_dim / 2] of the tables
  // (Su et al., RoFormer, 2021).
  void (*rope)(float* x, int heads, int head_dim, int rope_dim, RopePairs pairs, const float* cos,
               const float* sin);
  void (*swiglu)(const float* gate, const float* up, std::int64_t n,
                 float* out);  // silu(gate) up; out may be either
  void (*geglu)(const float* gate, const float* up, std::int64_t n, float* out);  // gelu, tanh form
  void (*add)(const float* x, std::int64_t n, float* sum);                        // sum += x
  void (*scale)(float factor, std::int64_t n, float* x);                          // x *= factor
  void (*soft_cap)(float cap, std::int64_t n, float* x);                          // x = cap tanh(x / cap)
  void (*exp)(const float* x, std::int64_t n, float* out);   // within 2 ulp; below -86.5 zero
  void (*tanh)(const float* x, std::int64_t n, float* out);  // within 4 ulp

  void (*kv_write)(const KvWrite& job);
  void (*attention)(const Attention& job);

  // Over one row of logits. NaN counts as minus infinity, plus infinity as the largest number (clean_logit() of
  // kernels/token_weight.hpp); of equal values the lower id wins.
  int (*argmax)(const float* x, int n);
  // *max and *log_sum_exp = log(sum(exp(x))), the sum in a fixed order; -inf for both where all are -inf.
  void (*log_sum_exp)(const float* x, int n, float* max, float* log_sum_exp);
  // The k largest (1 <= k <= n), largest first. ids, values: [k].
  void (*top_k)(const float* x, int n, int k, std::int32_t* ids, float* values);
  // The tokens that weigh at least `least` (>= 1), in ascending order, and what they weigh: token_weight(x[id], most,
  // scale) of kernels/token_weight.hpp of the clean logit, bit for bit. most: the largest of them, above minus
  // infinity. ids, weights: [n]. Returns how many there are.
  int (*token_weights)(const float* x, int n, float most, float scale, std::uint64_t least, std::int32_t* ids,
                       std::uint64_t* weights);
};

bool runs(Isa isa);  // on this machine; false too where the compiler could not build it
Isa detect();        // the best that runs
const char* name(Isa isa);
const Kernels& kernels(Isa isa = detect());  // requires runs(isa)

// cos, sin: [positions, pairs] of position * inv_freq[pair], computed in F64, rounded to F32. inv_freq: [pairs], already
// scaled where the model asks for it.
void fill_rope_tables(const double* inv_freq, int pairs, int first_position, int positions, float* cos,
                      float* sin);

}  // namespace serveloop::kernels::cpu
