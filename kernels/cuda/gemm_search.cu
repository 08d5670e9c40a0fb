// Rows are compared in three windows of up to 128, at the beginning, the middle and the end.
#include <algorithm>
#include <cmath>

#include "gemm_search.hpp"

namespace serveloop::kernels::cuda {
namespace {

constexpr std::int64_t rotation_bytes = std::int64_t{120} << 20;
constexpr int fill_blocks = 528;
// linear() is kept unless a suggestion takes this much less: its ends save launches, and it asks for its weights while
// the launch before it ends.
constexpr double own_favour_us = 1.5;
constexpr double own_favour = 0.05;

// Sums of three uniforms: enough like what a model multiplies, and never all alike.
__global__ void fill_kernel(__nv_bfloat16* out, std::int64_t size, std::uint64_t seed, float scale) {
  for (std::int64_t i = blockIdx.x * std::int64_t{blockDim.x} + threadIdx.x; i < size;
       i += std::int64_t{gridDim.x} * blockDim.x) {
    std::uint64_t bits = seed * 0x9e3779b97f4a7c15ull + static_cast<std::uint64_t>(i);
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ull;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebull;
    bits ^= bits >> 31;
    float sum = -1.5f;
    for (int j = 0; j < 3; ++j) sum += static_cast<float>((bits >> (20 * j)) & 0xfffff) / 1048576.0f;
    out[i] = __float2bfloat16_rn(sum * 2.0f * scale);
  }
}

__global__ void differ_kernel(const std::uint16_t* a, const std::uint16_t* b, std::int64_t size, int* out) {
  for (std::int64_t i = blockIdx.x * std::int64_t{blockDim.x} + threadIdx.x; i < size;
       i += std::int64_t{gridDim.x} * blockDim.x)
    if (a[i] != b[i]) *out = 1;
}

Status done(cudaError_t error, const char* what) {
  return error == cudaSuccess ? Status{} : Status{what, error};
}

}  // namespace

GemmSearch::~GemmSearch() {
  for (void* data : {static_cast<void*>(x_), static_cast<void*>(weight_), static_cast<void*>(bias_), out_,
                     expected_, workspace_, static_cast<void*>(differ_)})
    cudaFree(data);
  if (from_ != nullptr) cudaEventDestroy(from_);
  if (to_ != nullptr) cudaEventDestroy(to_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

Status GemmSearch::prepare(cublasLtHandle_t handle, const GemmShape& shape, int max_rows) {
  handle_ = handle;
  shape_ = shape;
  const std::int64_t weight = static_cast<std::int64_t>(shape.n) * shape.k;
  const std::int64_t x = static_cast<std::int64_t>(max_rows) * shape.k;
  copies_ = static_cast<int>(std::clamp<std::int64_t>(rotation_bytes / (weight * 2) + 1, 2, 16));
  cudaError_t error = cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
  const auto take = [&](auto*& pointer, std::int64_t bytes) {
    if (error == cudaSuccess)
      error = cudaMalloc(reinterpret_cast<void**>(&pointer), static_cast<std::size_t>(bytes));
  };
  if (error == cudaSuccess) error = cudaEventCreate(&from_);
  if (error == cudaSuccess) error = cudaEventCreate(&to_);
  take(x_, x * 2);
  take(weight_, weight * copies_ * 2);
  take(bias_, static_cast<std::int64_t>(shape.n) * 2);
  take(out_, static_cast<std::int64_t>(max_rows) * shape.n * (shape.f32 ? 4 : 2));
  take(expected_, static_cast<std::int64_t>(linear_max_rows) * shape.n * (shape.f32 ? 4 : 2));
  take(workspace_, Gemm::workspace_bytes);
  take(differ_, sizeof(int));
  if (error != cudaSuccess) return {"gemm: memory for a plan", error};
  fill_kernel<<<fill_blocks, 256, 0, stream_>>>(x_, x, 1, 1.0f);
  fill_kernel<<<fill_blocks, 256, 0, stream_>>>(weight_, weight * copies_, 2,
                                                1.0f / std::sqrt(static_cast<float>(shape.k)));
  fill_kernel<<<1, 256, 0, stream_>>>(bias_, shape.n, 3, 1.0f);
  return done(cudaStreamSynchronize(stream_), "gemm: random operands");
}

LinearJob GemmSearch::job_of(int rows) const {
  LinearJob job;
  job.x = x_;
  job.weight = weight_;
  job.bias = shape_.biased ? bias_ : nullptr;
  job.out = out_;
  job.x_stride = shape_.k;
  job.out_stride = shape_.n;
  job.rows = rows;
  job.n = shape_.n;
  job.k = shape_.k;
  job.end = shape_.f32 ? LinearEnd::store_f32 : LinearEnd::store;
  return job;
}

Status GemmSearch::compare(const GemmAlgorithm& algorithm, int rows, bool& equal) {
  equal = false;
  const LinearJob job = job_of(rows);
  const std::int64_t row_bytes = static_cast<std::int64_t>(shape_.n) * (shape_.f32 ? 4 : 2);
  cudaError_t error = cudaMemsetAsync(differ_, 0, sizeof(int), stream_);
  if (error == cudaSuccess)
    error = cudaMemsetAsync(out_, 0xff, static_cast<std::size_t>(rows * row_bytes), stream_);
  if (error != cudaSuccess) return {"gemm: comparing", error};
  // An algorithm that doesn't take this many rows is not equal, and no error.
  if (!GemmProduct(job).run(handle_, algorithm, job, workspace_, stream_).ok()) return {};
  const int window = std::min(rows, linear_max_rows);
  for (const int at : {0, (rows - window) / 2, rows - window}) {
    LinearJob part = job_of(window);
    part.x += static_cast<std::int64_t>(at) * shape_.k;
    part.out = expected_;
    if (const Status status = linear(part, stream_); !status.ok()) return status;
    differ_kernel<<<fill_blocks, 256, 0, stream_>>>(
        reinterpret_cast<const std::uint16_t*>(static_cast<const char*>(out_) + at * row_bytes),
        static_cast<const std::uint16_t*>(expected_), window * row_bytes / 2, differ_);
  }
  int differ = 1;
  error = cudaMemcpyAsync(&differ, differ_, sizeof differ, cudaMemcpyDeviceToHost, stream_);
  if (error == cudaSuccess) error = cudaStreamSynchronize(stream_);
  if (error != cudaSuccess) return {"gemm: comparing", error};
  equal = differ == 0;
  return {};
}

Status GemmSearch::is_equal(int least, int rows, const GemmAlgorithm& algorithm, bool& equal) {
  if (const Status status = compare(algorithm, rows, equal); !status.ok() || !equal) return status;
  return compare(algorithm, least, equal);
}

// Microseconds a call, of a captured graph: the least of `repeats`. algorithm null: linear().
Status GemmSearch::time(const GemmAlgorithm* algorithm, int rows, int repeats, double& us) {
  const int calls = std::max(copies_, 2);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  cudaError_t error = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal);
  if (error != cudaSuccess) return {"gemm: timing", error};
  Status status;
  for (int i = 0; i < calls && status.ok(); ++i) {
    LinearJob job = job_of(rows);
    job.weight = weight_ + static_cast<std::int64_t>(i % copies_) * shape_.n * shape_.k;
    job.early = true;
    status = algorithm != nullptr ? GemmProduct(job).run(handle_, *algorithm, job, workspace_, stream_)
                                  : linear(job, stream_);
  }
  error = cudaStreamEndCapture(stream_, &graph);
  if (status.ok() && error == cudaSuccess) error = cudaGraphInstantiate(&ready, graph, 0);
  us = 1e30;
  for (int i = 0; i < repeats + 1 && status.ok() && error == cudaSuccess; ++i) {
    error = cudaEventRecord(from_, stream_);
    if (error == cudaSuccess) error = cudaGraphLaunch(ready, stream_);
    if (error == cudaSuccess) error = cudaEventRecord(to_, stream_);
    if (error == cudaSuccess) error = cudaEventSynchronize(to_);
    float ms = 0.0f;
    if (error == cudaSuccess) error = cudaEventElapsedTime(&ms, from_, to_);
    if (i > 0) us = std::min(us, ms * 1000.0 / calls);
  }
  if (ready != nullptr) cudaGraphExecDestroy(ready);
  if (graph != nullptr) cudaGraphDestroy(graph);
  return status.ok() ? done(error, "gemm: timing") : status;
}

Status GemmSearch::choose(int least, int rows, GemmChoice& choice, GemmAlgorithm& algorithm) {
  choice = {};
  choice.rows = rows;
  double best = 1e30;
  if (rows <= linear_max_rows) {
    choice.own = true;
    if (const Status status = time(nullptr, rows, 5, best); !status.ok()) return status;
  }
  bool found = choice.own;
  // For twice the rows too: at some counts every suggestion splits k.
  std::vector<GemmAlgorithm> suggestions = GemmProduct(job_of(rows)).suggest(handle_);
  for (const GemmAlgorithm& more : GemmProduct(job_of(std::max(64, rows * 2))).suggest(handle_))
    suggestions.push_back(more);
  for (const GemmAlgorithm& suggestion : suggestions) {
    ++choice.suggestions;
    double us = 0.0;
    if (choice.suggestions == 1 && !time(&suggestion, rows, 5, choice.first_us).ok()) choice.first_us = 0.0;
    if (splits_k(suggestion)) continue;
    bool equal = false;
    if (const Status status = is_equal(least, rows, suggestion, equal); !status.ok()) return status;
    if (!equal) continue;
    ++choice.equal;
    if (const Status status = time(&suggestion, rows, 5, us); !status.ok()) return status;
    if (us >= best - (choice.own ? own_favour_us + own_favour * best : 0.0)) continue;
    best = us;
    algorithm = suggestion;
    choice.own = false;
    found = true;
  }
  choice.us = best;
  return found ? Status{} : Status{"gemm: cuBLASLt's suggestions, expected one with the bits of linear()"};
}

}  // namespace serveloop::kernels::cuda
