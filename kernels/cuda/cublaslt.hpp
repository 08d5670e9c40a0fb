// cuBLASLt, opened when the first product asks for it: a program that computes on CPUs starts where there is no CUDA.
// cublaslt.cu defines those of the library's functions that this folder calls; each goes on to the library's own.
#pragma once

#include "status.hpp"

namespace serveloop::kernels::cuda {

// Opens the library once: by the loader's own rules, then in $CUDA_HOME/lib64, then in /usr/local/cuda/lib64. Until it
// was ok, every function of cuBLASLt answers CUBLAS_STATUS_NOT_INITIALIZED. Thread-safe.
Status open_cublaslt();

}  // namespace serveloop::kernels::cuda
