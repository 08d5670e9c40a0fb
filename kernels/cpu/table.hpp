// What each instruction set's files define; isa.cpp builds the tables from it. SERVELOOP_KERNELS_OF(name) declares one
// set's functions.
#pragma once

#include "kernels/cpu/kernels.hpp"

#define SERVELOOP_KERNELS_OF(set)                                                                           \
  namespace set {                                                                                           \
  void prepare(Act act, const float* x, std::int64_t ldx, int m, int k, void* rows);                        \
  void gemm_float(const Gemm& job);                                                                         \
  void gemm_int8(const Gemm& job);                                                                          \
  void rms_norm(const float* x, std::int64_t ldx, const float* weight, float eps, int rows, int n,          \
                float* out, std::int64_t ldo);                                                              \
  void rope(float* x, int heads, int head_dim, int rope_dim, RopePairs pairs, const float* cos,             \
            const float* sin);                                                                              \
  void swiglu(const float* gate, const float* up, std::int64_t n, float* out);                              \
  void geglu(const float* gate, const float* up, std::int64_t n, float* out);                               \
  void add_rows(const float* x, std::int64_t n, float* sum);                                                \
  void scale(float factor, std::int64_t n, float* x);                                                       \
  void soft_cap(float cap, std::int64_t n, float* x);                                                       \
  void exp_all(const float* x, std::int64_t n, float* out);                                                 \
  void tanh_all(const float* x, std::int64_t n, float* out);                                                \
  void kv_write(const KvWrite& job);                                                                        \
  void attention(const Attention& job);                                                                     \
  int argmax(const float* x, int n);                                                                        \
  void log_sum_exp(const float* x, int n, float* max, float* log_sum_exp);                                  \
  void top_k(const float* x, int n, int k, std::int32_t* ids, float* values);                               \
  int token_weights(const float* x, int n, float most, float scale, std::uint64_t least, std::int32_t* ids, \
                    std::uint64_t* weights);                                                                \
  }

namespace serveloop::kernels::cpu {
SERVELOOP_KERNELS_OF(portable)
SERVELOOP_KERNELS_OF(avx2)
SERVELOOP_KERNELS_OF(avx512)
namespace avx512_bf16 {
void gemm_bf16(const Gemm& job);  // BF16 weights, Act::bf16
}
}  // namespace serveloop::kernels::cpu
