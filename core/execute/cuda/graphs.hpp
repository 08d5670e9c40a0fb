// Passes of decodes as captured graphs, one or two (over few keys and over many) a size of a bounded set; a step of
// another number is filled up to the next size with runs of nobody. Captured when needed first. Thread safety: one
// thread.
#pragma once

#include <algorithm>
#include <compare>
#include <map>

#include "execute/cuda/device.hpp"

namespace serveloop::execute::cuda {

class DecodeGraphs {
 public:
  DecodeGraphs() = default;
  DecodeGraphs(const DecodeGraphs&) = delete;
  DecodeGraphs& operator=(const DecodeGraphs&) = delete;
  ~DecodeGraphs() {
    for (const auto& [key, graph] : graphs_) cudaGraphExecDestroy(graph);
  }

  // The size that stands for so many decodes: steps of an eighth of the power of two below, at most `most`.
  static int size_for(int decodes, int most) {
    int step = 1;
    while (step * 16 <= decodes) step *= 2;
    return std::min((decodes + step - 1) / step * step, most);
  }

  struct Key {
    int decodes;
    bool in_one;  // PassSize has it
    auto operator<=>(const Key&) const = default;
  };

  // Launches the graph of `key`, which enqueue() fills where there is none yet: into the stream, without waiting.
  template <class Enqueue>
  Status launch(const Key& key, const Stream& stream, const Enqueue& enqueue) {
    auto found = graphs_.find(key);
    if (found == graphs_.end()) {
      Result<cudaGraphExec_t> made = capture(stream, enqueue);
      if (!made) return tl::unexpected(made.error());
      found = graphs_.emplace(key, *made).first;
    }
    return check(cudaGraphLaunch(found->second, stream.get()), "graph of decodes");
  }

 private:
  template <class Enqueue>
  static Result<cudaGraphExec_t> capture(const Stream& stream, const Enqueue& enqueue) {
    constexpr const char* kWhat = "graph of decodes";
    if (Status good = check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), kWhat);
        !good)
      return tl::unexpected(good.error());
    Status good = enqueue();
    cudaGraph_t graph = nullptr;
    const Status ended = check(cudaStreamEndCapture(stream.get(), &graph), kWhat);
    if (good) good = ended;
    cudaGraphExec_t ready = nullptr;
    if (good) good = check(cudaGraphInstantiate(&ready, graph, 0), kWhat);
    if (graph != nullptr) cudaGraphDestroy(graph);
    if (!good) {
      cudaGetLastError();
      return tl::unexpected(good.error());
    }
    return ready;
  }

  std::map<Key, cudaGraphExec_t> graphs_;
};

}  // namespace serveloop::execute::cuda
