// Hopper's own instructions (`sm_90a`): barriers in shared memory that count bytes, the bulk tensor copy, products
// of a warpgroup, and what lets a kernel start before its predecessor has ended (PTX ISA 8.0 and later).
#pragma once

#include <cuda.h>

#include "device.cuh"

namespace serveloop::kernels::cuda {

// --- barriers in shared memory (mbarrier) ---

__device__ __forceinline__ void barrier_init(std::uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes the initialised barriers visible to the copy engine.
__device__ __forceinline__ void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void barrier_arrive(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives, and lets the phase end only after `bytes` more have been copied.
__device__ __forceinline__ void barrier_arrive_expecting(std::uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

__device__ __forceinline__ void barrier_wait(std::uint32_t barrier, int parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra ended;\n"
      "bra again;\n"
      "ended:\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// Arrives at the same barrier of another block of the cluster, or of this one. Orders what the tensor cores and the
// copy engine do there, not plain accesses.
__device__ __forceinline__ void barrier_arrive_in(std::uint32_t barrier, int block) {
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n"
      "}" ::"r"(barrier),
      "r"(block)
      : "memory");
}

// A barrier of all threads of a cluster that have not ended, in two halves: each thread goes through both in turn, or
// arrives and ends.
__device__ __forceinline__ void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}
__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
__device__ __forceinline__ void cluster_barrier() {
  cluster_arrive();
  cluster_wait();
}

__device__ __forceinline__ std::uint32_t cluster_rank() {
  std::uint32_t rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// Along x, as the blocks of a cluster have to lie for it.
__device__ __forceinline__ std::uint32_t cluster_index() {
  std::uint32_t index;
  asm("mov.u32 %0, %%clusterid.x;" : "=r"(index));
  return index;
}

// The same place of shared memory in block `rank` of the cluster, as a generic address.
template <class T>
__device__ __forceinline__ T* in_cluster_block(T* own, std::uint32_t rank) {
  std::uint64_t there;
  asm("mapa.u64 %0, %1, %2;" : "=l"(there) : "l"(reinterpret_cast<std::uint64_t>(own)), "r"(rank));
  return reinterpret_cast<T*>(there);
}

// Copies shared memory to the same place in another block of the cluster, which counts the bytes at its own `barrier`.
// Multiples of 16; the memory stays as it is, and the block alive, until they have arrived.
__device__ __forceinline__ void copy_to_block(int block, std::uint32_t memory, int bytes,
                                              std::uint32_t barrier) {
  asm volatile(
      "{\n"
      ".reg .b32 there, counts;\n"
      "mapa.shared::cluster.u32 there, %0, %3;\n"
      "mapa.shared::cluster.u32 counts, %2, %3;\n"
      "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [there], [%0], %1, [counts];\n"
      "}" ::"r"(memory),
      "r"(bytes), "r"(barrier), "r"(block)
      : "memory");
}

// Orders this thread's plain writes to shared memory before reads by the copy engine and the tensor cores.
__device__ __forceinline__ void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// A barrier among `threads` of the block; id 1 to 15.
__device__ __forceinline__ void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// Arrives at such a barrier without waiting.
__device__ __forceinline__ void named_barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// --- copies of boxes of a tensor; bytes outside the tensor arrive as zeros ---

__device__ __forceinline__ void prefetch_map(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// Data that is read once goes first when the L2 cache needs room; data that all blocks read goes last.
__device__ __forceinline__ std::uint64_t policy_evict_first() {
  std::uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

__device__ __forceinline__ std::uint64_t policy_evict_last() {
  std::uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

__device__ __forceinline__ void copy_box(std::uint32_t to, const CUtensorMap& map, std::uint32_t barrier,
                                         int x, int y, std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint"
      " [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(to),
      "l"(&map), "r"(barrier), "r"(x), "r"(y), "l"(policy)
      : "memory");
}

// To the same place in every block of the cluster whose bit is set in `blocks`, each of which counts the bytes at its
// own barrier.
__device__ __forceinline__ void copy_box_to(std::uint16_t blocks, std::uint32_t to, const CUtensorMap& map,
                                            std::uint32_t barrier, int x, int y, std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster"
      ".L2::cache_hint [%0], [%1, {%3, %4}], [%2], %5, %6;" ::"r"(to),
      "l"(&map), "r"(barrier), "r"(x), "r"(y), "h"(blocks), "l"(policy)
      : "memory");
}

__device__ __forceinline__ void copy_box(std::uint32_t to, const CUtensorMap& map, std::uint32_t barrier,
                                         int x, int y, int z, std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint"
      " [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(to),
      "l"(&map), "r"(barrier), "r"(x), "r"(y), "r"(z), "l"(policy)
      : "memory");
}

__device__ __forceinline__ void copy_box(std::uint32_t to, const CUtensorMap& map, std::uint32_t barrier,
                                         int x, int y, int z, int w) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(to),
      "l"(&map), "r"(barrier), "r"(x), "r"(y), "r"(z), "r"(w)
      : "memory");
}

// --- products of a warpgroup (four warps, 64 rows) ---

// A matrix in shared memory of rows of 128 bytes, 16-byte chunk c of row r at chunk c xor r % 8; the eight rows of
// a pattern are 1,024 bytes. `next_block`: bytes from 64 columns to the next 64, where columns are not summed over.
struct Matrix {
  std::uint32_t low;

  __device__ explicit Matrix(std::uint32_t address, int next_block = 16)
      : low(static_cast<std::uint32_t>(next_block / 16) << 16 | (address & 0x3ffffu) >> 4) {}

  // What the tensor cores take, for the matrix `bytes` further on.
  __device__ __forceinline__ std::uint64_t at(int bytes) const {
    constexpr std::uint64_t high = 1u << 30 | 1024 / 16;  // the pattern of 128 bytes, eight rows
    return high << 32 | (low + static_cast<std::uint32_t>(bytes / 16));
  }
};

__device__ __forceinline__ void warpgroup_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void warpgroup_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int pending>
__device__ __forceinline__ void warpgroup_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

template <int registers>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}

#define SERVELOOP_F8(d, i)                                                                    \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define SERVELOOP_F32(d, i) \
  SERVELOOP_F8(d, i), SERVELOOP_F8(d, i + 8), SERVELOOP_F8(d, i + 16), SERVELOOP_F8(d, i + 24)
#define SERVELOOP_R32                                                                                    \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, " \
  "%22, "                                                                                                \
  "%23, %24, %25, %26, %27, %28, %29, %30, %31"
#define SERVELOOP_R64                                                                                      \
  SERVELOOP_R32                                                                                            \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, " \
  "%52, "                                                                                                  \
  "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

// d[64, 128] = a[64, 16] b[128, 16]^T, plus d where `add`. Both from shared memory. d is laid out as by
// multiply_add(): warp w of the group holds rows 16 w to + 15, d[4 n + i] column block n.
__device__ __forceinline__ void warpgroup_multiply(float (&d)[64], std::uint64_t a, std::uint64_t b,
                                                   bool add) {
  asm volatile(
      "{\n"
      ".reg .pred add;\n"
      "setp.ne.b32 add, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" SERVELOOP_R64
      "}, %64, %65, add, 1, 1, 0, 0;\n"
      "}"
      : SERVELOOP_F32(d, 0), SERVELOOP_F32(d, 32)
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
}

// d[64, 128 or 64] = a[64, 16] b[16, 128 or 64], plus d where `add`; a in registers, as multiply_add() takes it.
__device__ __forceinline__ void warpgroup_multiply(float (&d)[64], const std::uint32_t (&a)[4],
                                                   std::uint64_t b, bool add) {
  asm volatile(
      "{\n"
      ".reg .pred add;\n"
      "setp.ne.b32 add, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" SERVELOOP_R64
      "}, {%64, %65, %66, %67}, %68, add, 1, 1, 1;\n"
      "}"
      : SERVELOOP_F32(d, 0), SERVELOOP_F32(d, 32)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)));
}

__device__ __forceinline__ void warpgroup_multiply(float (&d)[32], const std::uint32_t (&a)[4],
                                                   std::uint64_t b, bool add) {
  asm volatile(
      "{\n"
      ".reg .pred add;\n"
      "setp.ne.b32 add, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" SERVELOOP_R32
      "}, {%32, %33, %34, %35}, %36, add, 1, 1, 1;\n"
      "}"
      : SERVELOOP_F32(d, 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)));
}

#undef SERVELOOP_F8
#undef SERVELOOP_F32
#undef SERVELOOP_R32
#undef SERVELOOP_R64

// --- a kernel that starts before its predecessor has ended (programmatic dependent launch) ---

// Until here nothing that the predecessor writes may be read, nor anything written that it reads. A no-op in a
// kernel that was launched plainly.
__device__ __forceinline__ void wait_for_predecessor() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

// Lets a successor that was launched so start, once every block has come here or ended.
__device__ __forceinline__ void let_successor_start() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

}  // namespace serveloop::kernels::cuda
