// Ranges of row counts, what was chosen for them, and the text that keeps it.
#include <array>
#include <cctype>
#include <cstring>
#include <map>
#include <sstream>
#include <tuple>

#include "cublaslt.hpp"
#include "gemm.hpp"
#include "gemm_search.hpp"

namespace serveloop::kernels::cuda {
namespace {

// Upper ends. Ranges are narrow where one more tile of rows changes the time.
constexpr int range_ends[] = {16,   32,   48,   64,   96,   128,  160,  192,  224,   256,   288,   320,
                              384,  448,  512,  576,  640,  768,  832,  896,  1024,  1152,  1280,  1408,
                              1536, 1664, 1792, 1920, 2048, 2304, 2560, 2816, 3072,  3328,  3584,  3840,
                              4096, 4608, 5120, 5632, 6144, 7168, 8192, 9216, 10240, 12288, 14336, 16384};
constexpr int most_rows = 16384;

int range_of(int rows) {
  for (const int end : range_ends)
    if (rows <= end) return end;
  return 0;
}

int range_least(int end) {
  int least = 1;
  for (const int other : range_ends)
    if (other < end) least = other + 1;
  return least;
}

using Key = std::tuple<int, int, bool, bool, int>;  // n, k, biased, f32, the range's end

struct Chosen {
  GemmChoice choice;
  GemmAlgorithm algorithm;
};

using Words = std::array<std::uint64_t, sizeof(cublasLtMatmulAlgo_t) / 8>;

}  // namespace

struct Gemm::State {
  cublasLtHandle_t handle = nullptr;
  std::string where;
  std::map<Key, Chosen> chosen, recalled;

  ~State() {
    if (handle != nullptr) cublasLtDestroy(handle);
  }
};

Gemm::Gemm() : state_(std::make_unique<State>()) {}
Gemm::~Gemm() = default;

Status Gemm::open() {
  if (const Status opened = open_cublaslt(); !opened.ok()) return opened;
  int device = 0;
  cudaDeviceProp properties;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaGetDeviceProperties(&properties, device);
  if (error != cudaSuccess) return {"gemm: device", error};
  state_->where = std::string(properties.name) + "-" + std::to_string(properties.multiProcessorCount) + "-" +
                  std::to_string(cublasLtGetVersion());
  for (char& c : state_->where)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '-';
  return library_status(cublasLtCreate(&state_->handle), "gemm: cublasLtCreate");
}

const std::string& Gemm::where() const { return state_->where; }

// gemm <where> <n> <k> <biased> <f32> <rows> <own> <eight words of the algorithm>
std::string Gemm::text() const {
  std::ostringstream out;
  for (const auto& [key, chosen] : state_->chosen) {
    Words words = {};
    if (!chosen.choice.own) std::memcpy(words.data(), &chosen.algorithm.algo, sizeof words);
    const auto& [n, k, biased, f32, rows] = key;
    out << "gemm " << state_->where << ' ' << n << ' ' << k << ' ' << biased << ' ' << f32 << ' ' << rows
        << ' ' << chosen.choice.own << std::hex;
    for (const std::uint64_t word : words) out << ' ' << word;
    out << std::dec << '\n';
  }
  return out.str();
}

void Gemm::recall(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream in(line);
    std::string name, where;
    int n = 0, k = 0, rows = 0;
    bool biased = false, f32 = false, own = false;
    Words words = {};
    in >> name >> where >> n >> k >> biased >> f32 >> rows >> own >> std::hex;
    for (std::uint64_t& word : words) in >> word;
    if (!in || name != "gemm" || where != state_->where || range_of(rows) != rows) continue;
    Chosen chosen;
    chosen.choice.rows = rows;
    chosen.choice.own = own;
    std::memcpy(&chosen.algorithm.algo, words.data(), sizeof words);
    state_->recalled[{n, k, biased, f32, rows}] = chosen;
  }
}

Status Gemm::plan(const GemmShape& shape, int max_rows) {
  if (state_->handle == nullptr) return {"gemm: plan, expected open() before"};
  if (shape.n < 1 || shape.k < 8 || shape.k % 8 != 0)
    return {"gemm: shape, expected n of 1 or more, k of 8's"};
  if (max_rows < 1 || max_rows > most_rows) return {"gemm: max_rows, expected 1 to 16,384"};
  GemmSearch search;
  if (const Status status = search.prepare(state_->handle, shape, range_of(max_rows)); !status.ok())
    return status;
  for (const int end : range_ends) {
    if (range_least(end) > max_rows) break;
    const Key key = {shape.n, shape.k, shape.biased, shape.f32, end};
    if (state_->chosen.count(key) != 0) continue;
    const auto known = state_->recalled.find(key);
    if (known != state_->recalled.end()) {
      bool equal = known->second.choice.own && end <= linear_max_rows;
      if (!known->second.choice.own && !splits_k(known->second.algorithm))
        if (const Status status = search.is_equal(range_least(end), end, known->second.algorithm, equal);
            !status.ok())
          return status;
      if (equal) {
        state_->chosen[key] = known->second;
        continue;
      }
    }
    Chosen chosen;
    if (const Status status = search.choose(range_least(end), end, chosen.choice, chosen.algorithm);
        !status.ok())
      return status;
    state_->chosen[key] = chosen;
  }
  return {};
}

const GemmChoice* Gemm::choice(const GemmShape& shape, int rows) const {
  const auto found = state_->chosen.find({shape.n, shape.k, shape.biased, shape.f32, range_of(rows)});
  return found == state_->chosen.end() ? nullptr : &found->second.choice;
}

Status Gemm::run(const LinearJob& job, void* workspace, cudaStream_t stream) const {
  if (job.rows == 0) return {};
  const bool f32 = job.end == LinearEnd::store_f32;
  const auto found = state_->chosen.find({job.n, job.k, job.bias != nullptr, f32, range_of(job.rows)});
  if (found == state_->chosen.end()) return {"gemm: shape and rows, expected what plan() has seen"};
  if (found->second.choice.own) return linear(job, stream);
  if (job.end == LinearEnd::add || job.end == LinearEnd::gate)
    return {"gemm: end, expected store or store_f32 where cuBLASLt was chosen"};
  if (job.norm.weight != nullptr) return {"gemm: norm, expected none where cuBLASLt was chosen"};
  if (job.x_stride % 8 != 0 || job.x_stride < job.k || job.out_stride < job.n)
    return {"gemm: strides, expected x_stride of 8's, k or more, and out_stride of n or more"};
  return GemmProduct(job).run(state_->handle, found->second.algorithm, job, workspace, stream);
}

}  // namespace serveloop::kernels::cuda
