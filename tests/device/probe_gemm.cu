// Do the bits of a row of a cuBLASLt BF16 product depend on how many rows are multiplied with it?
//
// out[M, N] = x[M, K] W[N, K]^T, F32 sums, for the projections of three models. Takes every algorithm that the
// heuristic names at any sampled M, runs each at M = 512 as its own reference, and compares the rows of windows of
// x at every smaller M. Algorithms with equal bits at M = 512 form a group: a dispatcher may take the fastest of
// one group at each M without changing a bit. `quick`: the smallest shapes alone.
#include <cublasLt.h>

#include <array>
#include <cstring>
#include <map>
#include <set>

#include "timing.cuh"

using namespace device_test;

namespace {

constexpr int most_rows = 512;
constexpr std::size_t workspace_bytes = std::size_t{64} << 20;
constexpr std::size_t rotation_bytes = std::size_t{160} << 20;  // of weights, more than the L2 cache holds
const std::vector<int> row_counts = {1,   2,   3,   4,   5,   7,   8,   9,   12,  15,  16,  17,  24,
                                     31,  32,  33,  48,  63,  64,  65,  80,  96,  97,  127, 128, 129,
                                     160, 192, 193, 255, 256, 257, 320, 384, 400, 511, 512};
const std::vector<int> timed_counts = {1, 16, 64, 128, 512};

void need(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  std::printf("STOPPED  %s: %s\n", what, cublasLtGetStatusString(status));
  std::exit(1);
}

__global__ void hash_kernel(const bf16* x, std::size_t size, unsigned long long* out) {
  unsigned long long sum = 0;
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < size;
       i += std::size_t{gridDim.x} * blockDim.x)
    sum += mix(i * 65536 + __bfloat16_as_ushort(x[i]));
  atomicAdd(out, sum);
}

__global__ void differ_kernel(const std::uint32_t* a, const std::uint32_t* b, std::size_t words, int* out) {
  bool differ = false;
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < words;
       i += std::size_t{gridDim.x} * blockDim.x)
    differ = differ || a[i] != b[i];
  if (differ) *out = 1;
}

// nvcc 13.0 stops on a std::vector of the unnamed struct behind cublasLtMatmulAlgo_t.
struct Suggestion {
  cublasLtMatmulAlgo_t algo;
};

// What tells two algorithms apart.
using Key = std::array<std::uint32_t, 9>;

Key key_of(const cublasLtMatmulAlgo_t& algo) {
  constexpr cublasLtMatmulAlgoConfigAttributes_t attributes[] = {CUBLASLT_ALGO_CONFIG_ID,
                                                                 CUBLASLT_ALGO_CONFIG_TILE_ID,
                                                                 CUBLASLT_ALGO_CONFIG_STAGES_ID,
                                                                 CUBLASLT_ALGO_CONFIG_SPLITK_NUM,
                                                                 CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME,
                                                                 CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING,
                                                                 CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION,
                                                                 CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID,
                                                                 CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID};
  Key key = {};
  for (std::size_t i = 0; i < key.size(); ++i) {
    std::size_t written = 0;
    cublasLtMatmulAlgoConfigGetAttribute(&algo, attributes[i], &key[i], sizeof key[i], &written);
  }
  return key;
}

struct Algorithm {
  cublasLtMatmulAlgo_t algo;
  Key key;
  unsigned long long group = 0;  // the hash of its output at M = 512
  std::map<int, bool> same;      // by M, where the algorithm takes M: its rows equal the reference's
  std::map<int, double> us;
};

struct Shape {
  const char* name;
  int n, k;
};

class Product {
 public:
  Product(cublasLtHandle_t handle, const Shape& shape)
      : handle_(handle),
        shape_(shape),
        weight_elements_(static_cast<std::size_t>(shape.n) * shape.k),
        copies_(static_cast<int>(std::max<std::size_t>(weight_elements_ > (std::size_t{256} << 20) ? 1 : 2,
                                                       rotation_bytes / (weight_elements_ * 2) + 1))),
        x(static_cast<std::size_t>(most_rows) * shape.k),
        window(x.size()),
        weight(weight_elements_ * copies_),
        out(static_cast<std::size_t>(most_rows) * shape.n),
        reference(out.size()),
        workspace_(workspace_bytes) {
    fill(x.get(), x.size(), 1);
    fill(weight.get(), weight.size(), 2, 1.0f / std::sqrt(static_cast<float>(shape.k)));
    need(cublasLtMatmulDescCreate(&operation_, CUBLAS_COMPUTE_32F, CUDA_R_32F), "descriptor");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    need(cublasLtMatmulDescSetAttribute(operation_, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                        sizeof transposed),
         "transpose");
    need(cublasLtMatrixLayoutCreate(&weight_layout_, CUDA_R_16BF, shape.k, shape.n, shape.k), "layout");
    for (const int m : row_counts) {
      need(cublasLtMatrixLayoutCreate(&layouts_[m].first, CUDA_R_16BF, shape.k, m, shape.k), "layout");
      need(cublasLtMatrixLayoutCreate(&layouts_[m].second, CUDA_R_16BF, shape.n, m, shape.n), "layout");
    }
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;
  ~Product() {
    for (auto& [m, pair] : layouts_)
      cublasLtMatrixLayoutDestroy(pair.first), cublasLtMatrixLayoutDestroy(pair.second);
    cublasLtMatrixLayoutDestroy(weight_layout_);
    cublasLtMatmulDescDestroy(operation_);
  }

  // Best first.
  std::vector<Suggestion> suggest(int m) const {
    cublasLtMatmulPreference_t preference;
    need(cublasLtMatmulPreferenceCreate(&preference), "preference");
    need(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                              &workspace_bytes, sizeof workspace_bytes),
         "preference");
    cublasLtMatmulHeuristicResult_t results[32];
    int found = 0;
    need(cublasLtMatmulAlgoGetHeuristic(handle_, operation_, weight_layout_, layouts_.at(m).first,
                                        layouts_.at(m).second, layouts_.at(m).second, preference, 32, results,
                                        &found),
         "heuristic");
    cublasLtMatmulPreferenceDestroy(preference);
    std::vector<Suggestion> out;
    for (int i = 0; i < found; ++i)
      if (results[i].state == CUBLAS_STATUS_SUCCESS) out.push_back({results[i].algo});
    return out;
  }

  bool takes(const cublasLtMatmulAlgo_t& algo, int m) const {
    cublasLtMatmulHeuristicResult_t result;
    return cublasLtMatmulAlgoCheck(handle_, operation_, weight_layout_, layouts_.at(m).first,
                                   layouts_.at(m).second, layouts_.at(m).second, &algo,
                                   &result) == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= workspace_bytes;
  }

  bool multiply(const cublasLtMatmulAlgo_t& algo, int m, const bf16* from, bf16* to, int copy,
                cudaStream_t stream) const {
    const float one = 1.0f, zero = 0.0f;
    return cublasLtMatmul(handle_, operation_, &one, weight.get() + weight_elements_ * (copy % copies_),
                          weight_layout_, from, layouts_.at(m).first, &zero, to, layouts_.at(m).second, to,
                          layouts_.at(m).second, &algo, workspace_.get(), workspace_bytes,
                          stream) == CUBLAS_STATUS_SUCCESS;
  }

  // Fills algorithm.group and .same; false where it does not run at M = 512.
  bool compare(Algorithm& algorithm) const {
    if (!takes(algorithm.algo, most_rows)) return false;
    require(cudaMemsetAsync(reference.get(), 0xff, reference.size() * 2), "poison");
    if (!multiply(algorithm.algo, most_rows, x.get(), reference.get(), 0, nullptr)) return false;
    const Buffer<unsigned long long> hash(std::vector<unsigned long long>{0});
    hash_kernel<<<528, 256>>>(reference.get(), reference.size(), hash.get());
    Buffer<int> flags(std::vector<int>(row_counts.size() + 1, 0));
    for (std::size_t i = 0; i < row_counts.size(); ++i) {
      const int m = row_counts[i];
      if (!takes(algorithm.algo, m)) continue;
      algorithm.same[m] = true;
      for (const int at : std::set<int>{0, (most_rows - m) / 2, most_rows - m}) {
        const std::size_t elements = static_cast<std::size_t>(m) * shape_.n;
        require(cudaMemcpyAsync(window.get(), x.get() + static_cast<std::size_t>(at) * shape_.k,
                                static_cast<std::size_t>(m) * shape_.k * 2, cudaMemcpyDeviceToDevice),
                "window");
        require(cudaMemsetAsync(out.get(), 0xff, elements * 2), "poison");
        if (!multiply(algorithm.algo, m, window.get(), out.get(), 0, nullptr)) {
          algorithm.same.erase(m);
          break;
        }
        differ_kernel<<<528, 256>>>(
            reinterpret_cast<const std::uint32_t*>(out.get()),
            reinterpret_cast<const std::uint32_t*>(reference.get() + static_cast<std::size_t>(at) * shape_.n),
            elements / 2, flags.get() + i);
      }
    }
    // Control: another row has to differ.
    differ_kernel<<<528, 256>>>(reinterpret_cast<const std::uint32_t*>(out.get()),
                                reinterpret_cast<const std::uint32_t*>(reference.get() + shape_.n),
                                static_cast<std::size_t>(shape_.n) / 2, flags.get() + row_counts.size());
    // A second input, so that a group stands on two.
    fill(window.get(), window.size(), 9, 30.0f);
    if (!multiply(algorithm.algo, most_rows, window.get(), out.get(), 1, nullptr)) return false;
    hash_kernel<<<528, 256>>>(out.get(), out.size(), hash.get());
    require(cudaDeviceSynchronize(), "product");
    algorithm.group = hash.take()[0];
    const std::vector<int> differ = flags.take();
    check(differ.back() == 1, "two rows of a product are equal: the comparison does not work");
    for (std::size_t i = 0; i < row_counts.size(); ++i)
      if (differ[i] != 0 && algorithm.same.count(row_counts[i]) != 0) algorithm.same[row_counts[i]] = false;
    return true;
  }

  double time(const Algorithm& algorithm, int m, int repeats) const {
    return time_us(
        [&](cudaStream_t stream, int call) { multiply(algorithm.algo, m, x.get(), out.get(), call, stream); },
        std::max(copies_, 2), repeats);
  }

 private:
  cublasLtHandle_t handle_;
  Shape shape_;
  std::size_t weight_elements_;
  int copies_;
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t weight_layout_ = nullptr;
  std::map<int, std::pair<cublasLtMatrixLayout_t, cublasLtMatrixLayout_t>> layouts_;

 public:
  Buffer<bf16> x, window, weight, out, reference;

 private:
  Buffer<char> workspace_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The fastest of `among` at each timed M that keeps the reference's bits; empty where one M has none.
std::vector<const Algorithm*> fastest(const std::vector<const Algorithm*>& among) {
  for (const int m : row_counts) {
    if (std::none_of(among.begin(), among.end(),
                     [m](const Algorithm* a) { return a->same.count(m) && a->same.at(m); }))
      return {};
  }
  std::vector<const Algorithm*> best;
  for (const int m : timed_counts) {
    const Algorithm* pick = nullptr;
    for (const Algorithm* a : among)
      if (a->same.count(m) && a->same.at(m) && (pick == nullptr || a->us.at(m) < pick->us.at(m))) pick = a;
    best.push_back(pick);
  }
  return best;
}

double score(const std::vector<const Algorithm*>& best, const std::vector<const Algorithm*>& first) {
  double sum = 0.0;
  for (std::size_t i = 0; i < timed_counts.size(); ++i)
    sum += std::log(best[i]->us.at(timed_counts[i]) / first[i]->us.at(timed_counts[i]));
  return sum;
}

void print_ratios(const Product& product, const char* label, const std::vector<const Algorithm*>& best,
                  const std::vector<const Algorithm*>& first) {
  std::printf("    %-20s", label);
  if (best.empty()) {
    std::printf("  none\n");
    return;
  }
  for (std::size_t i = 0; i < timed_counts.size(); ++i) {
    std::vector<double> ratios, base;
    for (int round = 0; round < 7; ++round) {
      base.push_back(product.time(*first[i], timed_counts[i], 1));
      ratios.push_back(product.time(*best[i], timed_counts[i], 1) / base.back());
    }
    std::printf("  %8.2f us x %.2f", median(base), median(ratios));
  }
  std::printf("\n");
}

void probe(cublasLtHandle_t handle, const Shape& shape) {
  const Product product(handle, shape);
  std::vector<Algorithm> algorithms;
  std::map<int, Key> first_key;
  std::set<Key> known;
  for (const int m : row_counts) {
    bool first = true;
    for (const auto& [algo] : product.suggest(m)) {
      const Key key = key_of(algo);
      if (first) first_key[m] = key;
      first = false;
      if (!known.insert(key).second) continue;
      Algorithm algorithm{algo, key, 0, {}, {}};
      if (product.compare(algorithm)) algorithms.push_back(std::move(algorithm));
    }
  }
  for (Algorithm& a : algorithms) {
    for (const int m : timed_counts)
      if (a.same.count(m)) a.us[m] = product.time(a, m, 2);
  }
  const auto find = [&](int m) -> const Algorithm* {
    for (const Algorithm& a : algorithms)
      if (a.key == first_key.at(m)) return &a;
    return nullptr;
  };
  std::map<unsigned long long, std::vector<const Algorithm*>> groups;
  int changing = 0, split = 0, changing_whole = 0, partial = 0;
  for (const Algorithm& a : algorithms) {
    groups[a.group].push_back(&a);
    const bool changes =
        std::any_of(a.same.begin(), a.same.end(), [](const auto& pair) { return !pair.second; });
    changing += changes;
    split += a.key[3] > 1;
    changing_whole += changes && a.key[3] <= 1;
    partial += a.same.size() != row_counts.size();
  }
  std::set<unsigned long long> walked;
  int lost = 0;
  for (const int m : row_counts) {
    const Algorithm* a = find(m);
    if (a == nullptr)
      ++lost;
    else
      walked.insert(a->group);
  }
  std::vector<const Algorithm*> first;
  for (const int m : timed_counts) first.push_back(find(m));
  std::printf(
      "%-22s N %6d K %5d  algorithms %3zu (split K %d, not at every M %d), bits change with M: %d (not "
      "split: %d)\n",
      shape.name, shape.n, shape.k, algorithms.size(), split, partial, changing, changing_whole);
  std::vector<const Algorithm*> best, single;
  int invariant = 0;
  std::size_t best_size = 0;
  if (std::any_of(first.begin(), first.end(), [](const Algorithm* a) { return a == nullptr; })) {
    std::printf("    the heuristic's first choice at a timed M does not run at M = 512\n");
    return;
  }
  for (const auto& [hash, members] : groups) {
    const std::vector<const Algorithm*> now = fastest(members);
    invariant += !now.empty();
    if (!now.empty() && (best.empty() || score(now, first) < score(best, first)))
      best = now, best_size = members.size();
    for (const Algorithm* a : members) {
      const std::vector<const Algorithm*> alone = fastest({a});
      if (!alone.empty() && (single.empty() || score(alone, first) < score(single, first))) single = alone;
    }
  }
  std::printf(
      "    groups %zu, of them invariant over all M: %d; the heuristic's choices lie in %zu groups (+ %d "
      "choices that refuse M = 512); "
      "best group has %zu algorithms\n",
      groups.size(), invariant, walked.size(), lost, best_size);
  print_ratios(product, "best group", best, first);
  print_ratios(product, "best one algorithm", single, first);
  if (!single.empty()) {
    const Key& key = single[0]->key;
    std::printf("    the one: id %u tile %u stages %u split %u cluster %u\n", key[0], key[1], key[2], key[3],
                key[8]);
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  cublasLtHandle_t handle;
  need(cublasLtCreate(&handle), "handle");
  std::printf("cuBLASLt %zu; M in %zu values from 1 to %d; timed at M =", cublasLtGetVersion(),
              row_counts.size(), most_rows);
  for (const int m : timed_counts) std::printf(" %d", m);
  std::printf(": time of the heuristic's first choice, x the time relative to it\n");
  const Shape small[] = {{"SmolLM2 qkv", 960, 576},
                         {"SmolLM2 o", 576, 576},
                         {"SmolLM2 gate, up", 3072, 576},
                         {"SmolLM2 down", 576, 1536}};
  const Shape large[] = {{"8B qkv", 6144, 4096},
                         {"8B o", 4096, 4096},
                         {"8B gate, up", 28672, 4096},
                         {"8B down", 4096, 14336},
                         {"8B vocabulary", 128256, 4096},
                         {"0.6B qkv", 4096, 1024},
                         {"0.6B o", 1024, 2048},
                         {"0.6B gate, up", 6144, 1024},
                         {"0.6B down", 1024, 3072},
                         {"0.6B vocabulary", 151936, 1024},
                         {"SmolLM2 vocabulary", 49152, 576}};
  if (!quick)
    for (const Shape& shape : large) probe(handle, shape);
  for (const Shape& shape : small) probe(handle, shape);
  cublasLtDestroy(handle);
  return report("probe's controls");
}
