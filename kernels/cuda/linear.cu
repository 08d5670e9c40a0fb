// The host side of linear(): checks, the cut into bands, choice of the kernel's instance. Nothing chosen here
// touches a bit of the result.
#include <algorithm>
#include <limits>

#include "launch.hpp"
#include "linear_group.cuh"
#include "linear_narrow.cuh"
#include "tensor_map.hpp"

namespace serveloop::kernels::cuda {
namespace {

constexpr int most_warps = 8;
constexpr int most_blocks = 4;  // a warp

int ceil_div(int a, int b) { return (a + b - 1) / b; }

struct Cut {
  int warps = 1;
  int blocks = 1;  // of eight columns, a warp
};

// Bands as wide as gives each multiprocessor the same number of them, and few.
Cut cut_columns(int n, int unit, int processors) {
  const int units = ceil_div(n, unit);  // of a warp's smallest share
  const int most = most_warps * most_blocks * 8 / unit;
  const int rounds = ceil_div(units, processors * most);
  const int wanted = ceil_div(units, processors * rounds);  // units a band
  Cut cut;
  cut.blocks = unit / 8;
  while (wanted * unit > most_warps * cut.blocks * 8) cut.blocks *= 2;
  cut.warps = ceil_div(wanted * unit, cut.blocks * 8);
  return cut;
}

template <int row_tiles, int blocks, LinearEnd end>
Status launch_linear(const LinearPlan& plan, const CUtensorMap& x, const CUtensorMap& w, int shared_bytes,
                     int grid, cudaStream_t stream) {
  const auto kernel = linear_kernel<row_tiles, blocks, end>;
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  if (error != cudaSuccess) return {"linear: launch configuration", error};
  const Launch how{dim3(static_cast<unsigned>(grid)),
                   dim3(static_cast<unsigned>(plan.warps + 1) * 32),
                   static_cast<std::size_t>(shared_bytes),
                   stream,
                   1,
                   plan.job.early};
  return launch("linear", kernel, how, x, w, plan);
}

template <int row_tiles, int blocks>
Status launch_linear(const LinearPlan& plan, const CUtensorMap& x, const CUtensorMap& w, int bytes, int grid,
                     cudaStream_t stream) {
  switch (plan.job.end) {
    case LinearEnd::store:
      return launch_linear<row_tiles, blocks, LinearEnd::store>(plan, x, w, bytes, grid, stream);
    case LinearEnd::store_f32:
      return launch_linear<row_tiles, blocks, LinearEnd::store_f32>(plan, x, w, bytes, grid, stream);
    case LinearEnd::add:
      return launch_linear<row_tiles, blocks, LinearEnd::add>(plan, x, w, bytes, grid, stream);
    case LinearEnd::gate: break;
  }
  if constexpr (blocks > 1)
    return launch_linear<row_tiles, blocks, LinearEnd::gate>(plan, x, w, bytes, grid, stream);
  return {"linear: an end that doesn't exist"};
}

template <int row_tiles>
Status launch_linear(LinearPlan& plan, int blocks, const CUtensorMap& w, int grid, cudaStream_t stream) {
  TensorShape shape;
  shape.size[0] = plan.job.k;
  shape.size[1] = plan.job.rows;
  shape.stride[1] = plan.job.x_stride;
  shape.box[1] = plan.job.rows;
  CUtensorMap x;
  if (const Status status = make_tensor_map(plan.job.x, shape, x); !status.ok()) return status;
  const int stage_bytes = (row_tiles * 16 + plan.columns) * 128;
  // All memory for what a block streams in many rounds; half of it for less, so that a successor fits beside.
  const std::int64_t block_bytes = static_cast<std::int64_t>(plan.columns) * plan.job.k * 2;
  const int wanted = (block_bytes > 200 * 1024 ? 190 : 96) * 1024 / stage_bytes;
  plan.stages = std::clamp(std::max(wanted, std::min(4, 200 * 1024 / stage_bytes)), 2, linear_max_stages);
  const int bytes = plan.stages * stage_bytes + 1024;
  switch (blocks) {
    case 1: return launch_linear<row_tiles, 1>(plan, x, w, bytes, grid, stream);
    case 2: return launch_linear<row_tiles, 2>(plan, x, w, bytes, grid, stream);
    default: return launch_linear<row_tiles, 4>(plan, x, w, bytes, grid, stream);
  }
}

template <int x_rows, LinearEnd end, bool normed = false>
Status launch_narrow(const LinearPlan& plan, const CUtensorMap& x, const CUtensorMap& w,
                     cudaStream_t stream) {
  using Layout = NarrowLayout<x_rows, end>;
  const auto kernel = linear_narrow_kernel<x_rows, end, normed>;
  const int bytes = Layout::bytes(plan.job.k / linear_step);
  const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (error != cudaSuccess) return {"linear: launch configuration", error};
  const int columns = end == LinearEnd::gate ? plan.job.n / 2 : plan.job.n;
  const Launch how{dim3(static_cast<unsigned>(ceil_div(columns, 8))),
                   dim3(normed ? static_cast<unsigned>(std::max(2, ceil_div(plan.job.k, 256)) * 32) : 64),
                   static_cast<std::size_t>(bytes),
                   stream,
                   1,
                   plan.job.early};
  return launch("linear", kernel, how, x, w, plan);
}

template <int x_rows>
Status launch_narrow(const LinearPlan& plan, cudaStream_t stream) {
  TensorShape x, w;
  x.size[0] = plan.job.k;
  x.size[1] = plan.job.rows;
  x.stride[1] = plan.job.x_stride;
  x.box[1] = plan.job.rows;
  w.rank = 3;  // with steps of k as the last dimension
  w.size[0] = linear_step;
  w.size[1] = plan.job.n;
  w.stride[1] = plan.job.k;
  w.size[2] = plan.job.k / linear_step;
  w.stride[2] = linear_step;
  w.box[1] = 8;
  w.box[2] = narrow_group;
  CUtensorMap x_map, w_map;
  if (const Status status = make_tensor_map(plan.job.x, x, x_map); !status.ok()) return status;
  if (const Status status = make_tensor_map(plan.job.weight, w, w_map); !status.ok()) return status;
  if constexpr (x_rows == 8) {
    if (plan.job.norm.weight != nullptr)
      return plan.job.end == LinearEnd::gate
                 ? launch_narrow<x_rows, LinearEnd::gate, true>(plan, x_map, w_map, stream)
                 : launch_narrow<x_rows, LinearEnd::store, true>(plan, x_map, w_map, stream);
  }
  switch (plan.job.end) {
    case LinearEnd::store: return launch_narrow<x_rows, LinearEnd::store>(plan, x_map, w_map, stream);
    case LinearEnd::store_f32: return launch_narrow<x_rows, LinearEnd::store_f32>(plan, x_map, w_map, stream);
    case LinearEnd::add: return launch_narrow<x_rows, LinearEnd::add>(plan, x_map, w_map, stream);
    case LinearEnd::gate: break;
  }
  return launch_narrow<x_rows, LinearEnd::gate>(plan, x_map, w_map, stream);
}

// Whether all blocks of the narrow kernel run at once.
bool is_narrow(const LinearJob& job, int processors) {
  if (job.rows > 32 || job.k % linear_step != 0 || job.k / linear_step > narrow_most_steps) return false;
  const bool gated = job.end == LinearEnd::gate;
  const int x_rows = job.rows <= 8 ? 8 : job.rows <= 16 ? 16 : 32;
  const int bytes =
      ceil_div(job.k / linear_step, narrow_group) * narrow_group * ((gated ? 2048 : 1024) + x_rows * 128);
  const int beside = 220 * 1024 / (bytes + 2048);
  return ceil_div(gated ? job.n / 2 : job.n, 8) <= processors * beside;
}

template <int pieces>
Status launch_group(const LinearPlan& plan, const CUtensorMap& x, const CUtensorMap& w, int bytes, int grid,
                    cudaStream_t stream) {
  const auto kernel = [&] {
    switch (plan.job.end) {
      case LinearEnd::store: return linear_group_kernel<pieces, LinearEnd::store>;
      case LinearEnd::store_f32: return linear_group_kernel<pieces, LinearEnd::store_f32>;
      case LinearEnd::add: return linear_group_kernel<pieces, LinearEnd::add>;
      case LinearEnd::gate: break;
    }
    return linear_group_kernel<pieces, LinearEnd::gate>;
  }();
  const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (error != cudaSuccess) return {"linear: launch configuration", error};
  const Launch how{dim3(static_cast<unsigned>(grid)),
                   dim3(static_cast<unsigned>(plan.warps + 1) * 32),
                   static_cast<std::size_t>(bytes),
                   stream,
                   plan.paired ? 2 : 1,
                   plan.job.early};
  return launch("linear", kernel, how, x, w, plan);
}

struct GroupCut {
  int pieces = 1;  // of 32 columns, a band
  bool paired = false;
};

// The fewest bytes of x and weights that one multiprocessor takes in.
GroupCut cut_group(int n, int rows, int processors) {
  GroupCut best;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const bool paired : {false, true}) {
    if (paired ? rows <= 64 : rows > 128) continue;
    const int shared = paired ? 2 : 1;
    for (int pieces = 1; pieces <= 8; ++pieces) {
      const int rounds = ceil_div(ceil_div(n, pieces * 32), processors / shared);
      const std::int64_t bytes =
          static_cast<std::int64_t>(rounds) * (pieces * 32 + ceil_div(rows, shared * 64) * 64);
      if (bytes < least) best = {pieces, paired}, least = bytes;
    }
  }
  return best;
}

Status launch_group(LinearPlan& plan, int processors, cudaStream_t stream) {
  const LinearJob& job = plan.job;
  const bool gated = job.end == LinearEnd::gate;
  const GroupCut cut = cut_group(job.n, job.rows, processors);
  plan.paired = cut.paired;
  plan.share = cut.paired ? ceil_div(job.rows, 2) : job.rows;
  const int tiles = ceil_div(plan.share, 64);
  plan.warps = tiles * 4;
  plan.columns = cut.pieces * 32;
  const int shown = gated ? plan.columns / 2 : plan.columns;
  plan.bands = ceil_div(gated ? job.n / 2 : job.n, shown);
  // Small blocks of a successor find room beside all but the widest bands.
  const int stage_bytes = (tiles * 64 + plan.columns) * 128 * group_depth(cut.pieces);
  plan.stages = std::clamp((plan.columns > 128 ? 225 : 211) * 1024 / stage_bytes, 2, linear_max_stages);
  TensorShape x, w;
  x.size[0] = w.size[0] = job.k;
  x.size[1] = job.rows;
  x.stride[1] = job.x_stride;
  x.box[1] = plan.share;
  w.size[1] = job.n;
  w.stride[1] = job.k;
  w.box[1] = cut.paired ? plan.columns / 2 : shown;
  CUtensorMap x_map, w_map;
  if (const Status status = make_tensor_map(job.x, x, x_map); !status.ok()) return status;
  if (const Status status = make_tensor_map(job.weight, w, w_map); !status.ok()) return status;
  const int bytes = plan.stages * stage_bytes + 1024;
  const int grid = cut.paired ? 2 * std::min(plan.bands, processors / 2) : std::min(plan.bands, processors);
  switch (cut.pieces) {
    case 1: return launch_group<1>(plan, x_map, w_map, bytes, grid, stream);
    case 2: return launch_group<2>(plan, x_map, w_map, bytes, grid, stream);
    case 3: return launch_group<3>(plan, x_map, w_map, bytes, grid, stream);
    case 4: return launch_group<4>(plan, x_map, w_map, bytes, grid, stream);
    case 5: return launch_group<5>(plan, x_map, w_map, bytes, grid, stream);
    case 6: return launch_group<6>(plan, x_map, w_map, bytes, grid, stream);
    case 7: return launch_group<7>(plan, x_map, w_map, bytes, grid, stream);
    default: return launch_group<8>(plan, x_map, w_map, bytes, grid, stream);
  }
}

Status check(const LinearJob& job) {
  if (job.rows < 0 || job.rows > linear_max_rows) return {"linear: rows, expected 0 to 256"};
  if (job.n < 1) return {"linear: n, expected 1 or more"};
  if (job.k < 8 || job.k % 8 != 0) return {"linear: k, expected a multiple of 8"};
  if (job.x_stride % 8 != 0 || job.x_stride < job.k)
    return {"linear: x_stride, expected a multiple of 8, k or more"};
  if (job.end == LinearEnd::gate && job.n % 2 != 0) return {"linear: n, expected an even number for a gate"};
  if (job.out_stride < (job.end == LinearEnd::gate ? job.n / 2 : job.n))
    return {"linear: out_stride, expected the columns of out or more"};
  if (job.norm.weight != nullptr &&
      (!takes_norm(job) || reinterpret_cast<std::uintptr_t>(job.norm.weight) % 16 != 0))
    return {"linear: norm, expected a job that takes one, and weights at a multiple of 16 bytes"};
  return {};
}

}  // namespace

bool takes_norm(const LinearJob& job) {
  int device = 0;
  int processors = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) != cudaSuccess)
    return false;
  return job.rows <= most_normed_rows && job.k <= 8 * norm_few_threads && is_narrow(job, processors) &&
         (job.end == LinearEnd::store || job.end == LinearEnd::gate);
}

Status linear(const LinearJob& job, cudaStream_t stream) {
  if (const Status status = check(job); !status.ok()) return status;
  if (job.rows == 0) return {};
  int device = 0;
  int processors = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess)
    error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return {"linear: device", error};
  const bool gated = job.end == LinearEnd::gate;
  const Cut cut = cut_columns(job.n, gated ? 16 : 8, processors);
  LinearPlan plan = {};
  plan.job = job;
  plan.warps = cut.warps;
  plan.columns = cut.warps * cut.blocks * 8;
  const int shown = gated ? plan.columns / 2 : plan.columns;
  plan.bands = ceil_div(gated ? job.n / 2 : job.n, shown);
  const std::uintptr_t word = job.end == LinearEnd::store_f32 ? 8 : 4;
  plan.pairs = job.out_stride % 2 == 0 && reinterpret_cast<std::uintptr_t>(job.out) % word == 0;
  plan.eights = job.out_stride % 8 == 0 && reinterpret_cast<std::uintptr_t>(job.out) % 16 == 0;
  if (is_narrow(job, processors))
    return job.rows <= 8    ? launch_narrow<8>(plan, stream)
           : job.rows <= 16 ? launch_narrow<16>(plan, stream)
                            : launch_narrow<32>(plan, stream);
  // Which of the two is faster was measured (README, "A whole decode step").
  const bool few_weights = std::int64_t{job.n} * job.k <= std::int64_t{8} << 20;
  if (job.rows > (few_weights ? 16 : 32)) return launch_group(plan, processors, stream);
  TensorShape shape;
  shape.size[0] = job.k;
  shape.size[1] = job.n;
  shape.stride[1] = job.k;
  shape.box[1] = shown;
  CUtensorMap w;
  if (const Status status = make_tensor_map(job.weight, shape, w); !status.ok()) return status;
  const int grid = std::min(plan.bands, processors);
  return job.rows <= 16 ? launch_linear<1>(plan, cut.blocks, w, grid, stream)
                        : launch_linear<2>(plan, cut.blocks, w, grid, stream);
}

}  // namespace serveloop::kernels::cuda
