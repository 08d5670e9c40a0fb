#include "execute/cuda/kernel_timer.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace serveloop::execute::cuda {

namespace {

constexpr const char* kWhat = "timing a kernel";
constexpr int kReplays = 7;
constexpr double kWarmUpUs = 20e3;  // until the clock is that of a busy device

class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() {
    if (ready_ != nullptr) cudaGraphExecDestroy(ready_);
    if (graph_ != nullptr) cudaGraphDestroy(graph_);
  }
  // Ends the capture also where a launch fails.
  Status capture(const Launcher& launch, int launches, cudaStream_t stream) {
    if (Status good = check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), kWhat); !good)
      return good;
    Status launched;
    for (int i = 0; i < launches && launched; ++i) launched = launch(stream, i);
    const cudaError_t ended = cudaStreamEndCapture(stream, &graph_);
    if (!launched) return launched;
    if (Status good = check(ended, kWhat); !good) return good;
    return check(cudaGraphInstantiate(&ready_, graph_, 0), kWhat);
  }
  cudaGraphExec_t ready() const { return ready_; }

 private:
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t ready_ = nullptr;
};

Result<double> replay_us(const Graph& graph, const Stream& stream, const Event& from, const Event& to) {
  if (Status good = from.record(stream); !good) return tl::unexpected(good.error());
  if (Status good = check(cudaGraphLaunch(graph.ready(), stream.get()), kWhat); !good)
    return tl::unexpected(good.error());
  if (Status good = to.record(stream); !good) return tl::unexpected(good.error());
  float ms = 0;
  if (Status good = check(cudaEventSynchronize(to.get()), kWhat); !good) return tl::unexpected(good.error());
  if (Status good = check(cudaEventElapsedTime(&ms, from.get(), to.get()), kWhat); !good)
    return tl::unexpected(good.error());
  return 1000.0 * static_cast<double>(ms);
}

}  // namespace

Result<double> time_us(const Launcher& launch, int launches) {
  Stream stream;
  Event from, to;
  Graph graph;
  for (Status opened : {stream.open(), from.open(), to.open()})
    if (!opened) return tl::unexpected(opened.error());
  if (Status good = graph.capture(launch, launches, stream.get()); !good) return tl::unexpected(good.error());
  for (double warm = 0; warm < kWarmUpUs;) {
    const Result<double> us = replay_us(graph, stream, from, to);
    if (!us) return us;
    warm += std::max(*us, 1.0);
  }
  std::array<double, kReplays> times;
  for (double& time : times) {
    const Result<double> us = replay_us(graph, stream, from, to);
    if (!us) return us;
    time = *us;
  }
  std::nth_element(times.begin(), times.begin() + kReplays / 2, times.end());
  return times[kReplays / 2] / launches;
}

}  // namespace serveloop::execute::cuda
