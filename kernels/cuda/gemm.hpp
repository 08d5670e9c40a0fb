// Products of any number of rows with a weight matrix, by the fastest of what gives one and the same bits: linear()
// for few rows, and those of cuBLASLt's algorithms that don't split k.
//
// A plan holds a choice for each range of row counts. A choice is found by timing on the device what cuBLASLt's
// heuristic suggests (at most 32 suggestions a range), and is taken only if its rows have linear()'s bits, on random
// data, at both ends of the range. So a row does not depend on how many rows it is multiplied with. That cuBLASLt
// has this property is an observation (README), which is why every plan looks again.
//
// Thread safety: run() may be called from any thread once planning is over; a workspace serves one stream at a time.
#pragma once

#include <memory>
#include <string>

#include "linear.hpp"

namespace serveloop::kernels::cuda {

struct GemmShape {
  int n = 0;
  int k = 0;            // a multiple of 8
  bool biased = false;  // the jobs have a bias
  bool f32 = false;     // the jobs' end is store_f32
};

// What was chosen for one range, and for whoever asks why.
struct GemmChoice {
  int rows = 0;           // the range's upper end; the lower end is the range before
  bool own = false;       // linear()
  double us = 0.0;        // at `rows`; 0 where the choice was recalled
  double first_us = 0.0;  // of the heuristic's first suggestion, whatever its bits
  int suggestions = 0;    // looked at
  int equal = 0;          // of those, with linear()'s bits
};

class Gemm {
 public:
  static constexpr std::size_t workspace_bytes = std::size_t{32} << 20;

  Gemm();
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  // Takes the current device. Once, before anything else.
  Status open();

  // Choices of an earlier run, as text() gives them. Lines of another device, version or form are skipped; the
  // others are taken up by plan(), which still compares their bits.
  void recall(const std::string& text);

  // Chooses for 1 to max_rows rows (at most 16,384). Allocates and frees device memory of its own for random x,
  // weights and outputs, and waits for the device.
  Status plan(const GemmShape& shape, int max_rows);

  // One line a choice.
  std::string text() const;
  // The device, its multiprocessors and cuBLASLt's version, in letters that a file name may have.
  const std::string& where() const;
  // nullptr where the shape or that many rows were not planned.
  const GemmChoice* choice(const GemmShape& shape, int rows) const;

  // As linear(), for as many rows as were planned. The ends `add` and `gate` only where the choice is linear()
  // (cuBLASLt rounds once where they round twice): else store, then add_rms_norm() or gated_activation(), which give
  // equal bits. A norm likewise, and only where takes_norm(). `early` is only for linear(). workspace: workspace_bytes of
  // device memory, 256-byte aligned.
  // Enqueues and returns, so that it can be captured.
  Status run(const LinearJob& job, void* workspace, cudaStream_t stream) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace serveloop::kernels::cuda
