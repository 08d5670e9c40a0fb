// When kernels and copies of a program ran, by CUPTI: loaded into any program that uses CUDA, without a change to it.
//
//   g++ -std=c++20 -shared -fPIC tests/device/trace.cpp -I$CUDA/include -L$CUDA/lib64 -lcupti -o trace.so
//   TRACE=trace.txt CUDA_INJECTION64_PATH=$PWD/trace.so ./bench_executor 135m 1
//
// Writes a line each in the order of their starts: start and end in ns, then the kernel's name, or the copy's kind and
// bytes. Kernels of graphs are told one by one. Kernels that are launched early start before their predecessor ends, so
// read the time that each adds from end to end. A traced step takes a few percent longer.
#include <cupti.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

struct Activity {
  unsigned long long start, end;
  std::string what;
};
std::vector<Activity> activities;

void give_buffer(uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
  *size = std::size_t{8} << 20;
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, *size));
  *most_records = 0;
}

void take_buffer(CUcontext, uint32_t, uint8_t* buffer, std::size_t, std::size_t valid) {
  for (CUpti_Activity* at = nullptr; cuptiActivityGetNextRecord(buffer, valid, &at) == CUPTI_SUCCESS;) {
    if (at->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(at);
      activities.push_back({kernel->start, kernel->end, kernel->name != nullptr ? kernel->name : "?"});
    } else if (at->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      const auto* copy = reinterpret_cast<const CUpti_ActivityMemcpy6*>(at);
      activities.push_back({copy->start, copy->end,
                            "memcpy " + std::to_string(copy->copyKind) + " " + std::to_string(copy->bytes)});
    } else if (at->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
      const auto* set = reinterpret_cast<const CUpti_ActivityMemset4*>(at);
      activities.push_back({set->start, set->end, "memset " + std::to_string(set->bytes)});
    }
  }
  std::free(buffer);
}

void write() {
  cuptiActivityFlushAll(1);
  const char* path = std::getenv("TRACE");
  std::FILE* out = std::fopen(path != nullptr ? path : "trace.txt", "w");
  if (out == nullptr) return std::perror("trace");
  std::sort(activities.begin(), activities.end(),
            [](const Activity& a, const Activity& b) { return a.start < b.start; });
  for (const Activity& a : activities) std::fprintf(out, "%llu %llu %s\n", a.start, a.end, a.what.c_str());
  std::fclose(out);
}

}  // namespace

// CUDA calls it when it loads the library.
extern "C" int InitializeInjection() {
  cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
  for (const auto kind :
       {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET})
    if (cuptiActivityEnable(kind) != CUPTI_SUCCESS)
      std::fprintf(stderr, "trace: kind %d cannot be traced\n", static_cast<int>(kind));
  std::atexit(write);
  return 1;
}
