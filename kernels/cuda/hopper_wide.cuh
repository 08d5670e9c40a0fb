// Warpgroup products of 32 to 256 columns, by 32, for linear_group.cuh (`sm_90a`).
//
// d[64, n] += a[64, 16] b[n, 16]^T, both from shared memory; d laid out as hopper.cuh's products have it.
#pragma once

#include "hopper.cuh"

namespace serveloop::kernels::cuda {

// clang-format off
#define SERVELOOP_F8(d, i)                                                                    \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define SERVELOOP_N0 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define SERVELOOP_D0(d) SERVELOOP_F8(d, 0), SERVELOOP_F8(d, 8)
#define SERVELOOP_N1 SERVELOOP_N0 ", " "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define SERVELOOP_D1(d) SERVELOOP_D0(d), SERVELOOP_F8(d, 16), SERVELOOP_F8(d, 24)
#define SERVELOOP_N2 SERVELOOP_N1 ", " "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define SERVELOOP_D2(d) SERVELOOP_D1(d), SERVELOOP_F8(d, 32), SERVELOOP_F8(d, 40)
#define SERVELOOP_N3 SERVELOOP_N2 ", " "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define SERVELOOP_D3(d) SERVELOOP_D2(d), SERVELOOP_F8(d, 48), SERVELOOP_F8(d, 56)
#define SERVELOOP_N4 SERVELOOP_N3 ", " "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"
#define SERVELOOP_D4(d) SERVELOOP_D3(d), SERVELOOP_F8(d, 64), SERVELOOP_F8(d, 72)
#define SERVELOOP_N5 SERVELOOP_N4 ", " "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define SERVELOOP_D5(d) SERVELOOP_D4(d), SERVELOOP_F8(d, 80), SERVELOOP_F8(d, 88)
#define SERVELOOP_N6 SERVELOOP_N5 ", " "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111"
#define SERVELOOP_D6(d) SERVELOOP_D5(d), SERVELOOP_F8(d, 96), SERVELOOP_F8(d, 104)
#define SERVELOOP_N7 SERVELOOP_N6 ", " "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define SERVELOOP_D7(d) SERVELOOP_D6(d), SERVELOOP_F8(d, 112), SERVELOOP_F8(d, 120)
#define SERVELOOP_MULTIPLY(piece, n, a_at, b_at)                                                                 \
  __device__ __forceinline__ void warpgroup_multiply_add(float(&d)[n / 2], std::uint64_t a, std::uint64_t b) { \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" SERVELOOP_N##piece "}, " a_at       \
                 ", " b_at ", 1, 1, 1, 0, 0;"                                                                      \
                 : SERVELOOP_D##piece(d)                                                                           \
                 : "l"(a), "l"(b));                                                                                \
  }
SERVELOOP_MULTIPLY(0, 32, "%16", "%17")
SERVELOOP_MULTIPLY(1, 64, "%32", "%33")
SERVELOOP_MULTIPLY(2, 96, "%48", "%49")
SERVELOOP_MULTIPLY(3, 128, "%64", "%65")
SERVELOOP_MULTIPLY(4, 160, "%80", "%81")
SERVELOOP_MULTIPLY(5, 192, "%96", "%97")
SERVELOOP_MULTIPLY(6, 224, "%112", "%113")
SERVELOOP_MULTIPLY(7, 256, "%128", "%129")
#undef SERVELOOP_N0
#undef SERVELOOP_D0
#undef SERVELOOP_N1
#undef SERVELOOP_D1
#undef SERVELOOP_N2
#undef SERVELOOP_D2
#undef SERVELOOP_N3
#undef SERVELOOP_D3
#undef SERVELOOP_N4
#undef SERVELOOP_D4
#undef SERVELOOP_N5
#undef SERVELOOP_D5
#undef SERVELOOP_N6
#undef SERVELOOP_D6
#undef SERVELOOP_N7
#undef SERVELOOP_D7
#undef SERVELOOP_MULTIPLY

#undef SERVELOOP_F8
// clang-format on

}  // namespace serveloop::kernels::cuda
