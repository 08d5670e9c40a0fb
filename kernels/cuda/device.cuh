// Building blocks of device code: BF16 vectors, reductions in one fixed order, asynchronous copies to shared
// memory, matrix fragments. Everything here is `sm_80` or later.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace serveloop::kernels::cuda {

using bf16 = __nv_bfloat16;

// Eight BF16 values, as one 16-byte access moves them.
__device__ __forceinline__ void unpack(const uint4& in, float (&out)[8]) {
  const std::uint32_t words[4] = {in.x, in.y, in.z, in.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out[2 * i] = __uint_as_float(words[i] << 16);
    out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
}

__device__ __forceinline__ std::uint32_t pack_2(float low, float high) {
  const __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&two);
}

__device__ __forceinline__ uint4 pack(const float (&in)[8]) {
  return {pack_2(in[0], in[1]), pack_2(in[2], in[3]), pack_2(in[4], in[5]), pack_2(in[6], in[7])};
}

// Elements [at, at + 8) of a row of `size`; those past the end read as zero. `aligned`: every row starts at a
// multiple of 16 bytes and `size` is a multiple of 8.
__device__ __forceinline__ void load_8(const bf16* row, int at, int size, bool aligned, float (&out)[8]) {
  if (aligned) {
    unpack(at < size ? *reinterpret_cast<const uint4*>(row + at) : uint4{0, 0, 0, 0}, out);
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) out[i] = at + i < size ? __bfloat162float(row[at + i]) : 0.0f;
}

__device__ __forceinline__ void store_8(bf16* row, int at, int size, bool aligned, const float (&in)[8]) {
  if (aligned) {
    if (at < size) *reinterpret_cast<uint4*>(row + at) = pack(in);
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (at + i < size) row[at + i] = __float2bfloat16_rn(in[i]);
  }
}

// Word i of lane j of four neighbouring lanes becomes word j of lane i.
__device__ __forceinline__ void transpose_quad(std::uint32_t (&words)[4]) {
#pragma unroll
  for (int step = 1; step < 4; step *= 2) {
    const bool upper = (threadIdx.x & step) != 0;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      std::uint32_t& low = words[step == 1 ? 2 * i : i];
      std::uint32_t& high = words[step == 1 ? 2 * i + 1 : i + 2];
      const std::uint32_t other = __shfl_xor_sync(0xffffffffu, upper ? low : high, step);
      (upper ? low : high) = other;
    }
  }
}

// Butterfly sum over a warp: every lane gets the same bits.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

// Sum over a block of whole warps; every thread gets the same bits. `scratch`: 32 floats of shared memory.
__device__ __forceinline__ float block_sum(float value, float* scratch) {
  const int lane = threadIdx.x % 32;
  const int warps = (blockDim.x + 31) / 32;
  value = warp_sum(value);
  if (lane == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  return warp_sum(lane < warps ? scratch[lane] : 0.0f);
}

// 2^x by the special-function unit; 0 at minus infinity.
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// The value, which the compiler then keeps instead of making it again where it is used.
__device__ __forceinline__ std::uint32_t kept(std::uint32_t value) {
  asm volatile("" : "+r"(value));
  return value;
}

__device__ __forceinline__ void store_shared(std::uint32_t to, const uint4& data) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(data.x), "r"(data.y), "r"(data.z),
               "r"(data.w)
               : "memory");
}

// Starts a 16-byte copy to shared memory, or writes 16 zero bytes where `take` is false (nothing is read then).
__device__ __forceinline__ void copy_async_16(std::uint32_t to, const void* from, bool take) {
  asm volatile("cp.async.cg.shared.global.L2::256B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(take ? 16 : 0)
               : "memory");
}

__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `pending` of this thread's last committed groups are under way.
template <int pending>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// Four 8x8 BF16 matrices; lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ void load_matrices(std::uint32_t (&out)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&out)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

// d[16, 8] += a[16, 16] b[16, 8], BF16 in, F32 sums. Lane i holds rows i / 4 and i / 4 + 8 of a and d, columns
// i % 4 * 2 and the next of d, and column i / 4 of b.
__device__ __forceinline__ void multiply_add(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                             std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace serveloop::kernels::cuda
