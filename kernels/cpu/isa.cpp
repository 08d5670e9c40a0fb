// Which instruction sets run here, and their tables.
#include <cassert>
#include <cmath>

#include "kernels/cpu/table.hpp"

namespace serveloop::kernels::cpu {
namespace {

#define SERVELOOP_TABLE(set, product)                                                                       \
  Kernels {                                                                                                 \
    Isa::set, set::prepare, product, set::rms_norm, set::rope, set::swiglu, set::geglu, set::add_rows,      \
        set::scale, set::soft_cap, set::exp_all, set::tanh_all, set::kv_write, set::attention, set::argmax, \
        set::log_sum_exp, set::top_k, set::token_weights                                                    \
  }

void gemm_portable(const Gemm& job) {
  job.act == Act::int8 ? portable::gemm_int8(job) : portable::gemm_float(job);
}
const Kernels kPortable = SERVELOOP_TABLE(portable, gemm_portable);

#if defined(SERVELOOP_X86)
void gemm_avx2(const Gemm& job) { job.act == Act::int8 ? avx2::gemm_int8(job) : avx2::gemm_float(job); }
void gemm_avx512(const Gemm& job) { job.act == Act::int8 ? avx512::gemm_int8(job) : avx512::gemm_float(job); }
void gemm_avx512_bf16(const Gemm& job) {
  if (job.act == Act::bf16 && job.w->type == Type::bf16) return avx512_bf16::gemm_bf16(job);
  gemm_avx512(job);
}
const Kernels kAvx2 = SERVELOOP_TABLE(avx2, gemm_avx2);
const Kernels kAvx512 = SERVELOOP_TABLE(avx512, gemm_avx512);
const Kernels kAvx512Bf16 = [] {
  Kernels table = SERVELOOP_TABLE(avx512, gemm_avx512_bf16);
  table.isa = Isa::avx512_bf16;
  return table;
}();
#endif

}  // namespace

// __builtin_cpu_supports asks the operating system's part too (that it saves the registers).
bool runs(Isa isa) {
  if (isa == Isa::portable) return true;
#if defined(SERVELOOP_X86)
  __builtin_cpu_init();
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (isa == Isa::avx2) return avx2;
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vnni");
  if (isa == Isa::avx512) return avx512;
  return avx512 && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

Isa detect() {
  for (int i = kIsaCount - 1; i > 0; --i)
    if (runs(static_cast<Isa>(i))) return static_cast<Isa>(i);
  return Isa::portable;
}

const char* name(Isa isa) {
  switch (isa) {
    case Isa::portable: return "portable";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    case Isa::avx512_bf16: return "avx512_bf16";
  }
  return "?";
}

const Kernels& kernels(Isa isa) {
  assert(runs(isa));
#if defined(SERVELOOP_X86)
  if (isa == Isa::avx2) return kAvx2;
  if (isa == Isa::avx512) return kAvx512;
  if (isa == Isa::avx512_bf16) return kAvx512Bf16;
#endif
  return kPortable;
}

void fill_rope_tables(const double* inv_freq, int pairs, int first_position, int positions, float* cos,
                      float* sin) {
  for (int p = 0; p < positions; ++p)
    for (int i = 0; i < pairs; ++i) {
      const double angle = (static_cast<double>(first_position) + p) * inv_freq[i];
      const auto at =
          static_cast<std::size_t>(p) * static_cast<std::size_t>(pairs) + static_cast<std::size_t>(i);
      cos[at] = static_cast<float>(std::cos(angle));
      sin[at] = static_cast<float>(std::sin(angle));
    }
}

}  // namespace serveloop::kernels::cpu
