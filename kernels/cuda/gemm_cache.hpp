// Gemm's choices in a file, so that a start need not search for what an earlier one has found.
//
// One file a device and version of cuBLASLt; plan() compares bits whatever the file says. A file is a line that names
// its form, the lines of Gemm::text(), and a line with their checksum. Thread safety: stateless. Several processes may
// save to one file: it is replaced as a whole, and the last one stands.
#pragma once

#include <string>

#include "gemm.hpp"

namespace serveloop::kernels::cuda {

// problem: empty, or what, what was expected, what was found, and what to do.
struct GemmCacheStatus {
  std::string problem;
  bool found = false;  // load: whether there was a file

  bool ok() const { return problem.empty(); }
};

// The file's path in a folder. gemm: open.
std::string gemm_cache_path(const std::string& folder, const Gemm& gemm);

// Gives a file's choices to recall(). No file is no problem; a damaged one is, and nothing is recalled from it.
GemmCacheStatus load_gemm_cache(const std::string& path, Gemm& gemm);

// Writes the choices beside the file and puts them in its place, so that a reader finds the old ones or the new ones.
GemmCacheStatus save_gemm_cache(const std::string& path, const Gemm& gemm);

}  // namespace serveloop::kernels::cuda
