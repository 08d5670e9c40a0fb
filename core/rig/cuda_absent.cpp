// In place of cuda_device.cpp where nvcc was not there.
#include "rig/cuda_device.hpp"

namespace serveloop::rig {

Result<Device> cuda_device(const config::Config&, const sl_cost&, policy::Precision&, const Progress&) {
  return fail("engine.executor", "simulated, hash, null or cpu (this program was built without CUDA)",
              "'cuda'", "install the CUDA toolkit, 13.0 or later, and build again; or use the CPU");
}

}  // namespace serveloop::rig
