// Speed of the matrix products and of attention at the shapes of SmolLM2-135M, beside what the machine can do: read
// bandwidth, F32 multiply-adds, int8 multiply-adds. A time is the processor time of the thread that took longest, the
// least of many rounds: others may load the machine, and then the wall clock says nothing.
//
// usage: bench_kernels [isa] [seconds a figure]
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <thread>

#include "helpers.hpp"

using namespace serveloop::tests;
namespace cpu = serveloop::kernels::cpu;

namespace {

double seconds_a_figure = 0.3;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double processor_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// A part (of parts) on each of `threads` threads at once.
double least_time(int threads, const std::function<void(int, int)>& part) {
  double least = 1e9;
  const auto round = [&] {
    std::atomic<int> ready{0};
    std::vector<double> took(static_cast<std::size_t>(threads));
    const auto work = [&](int i) {
      ++ready;
      while (ready < threads) std::this_thread::yield();
      const double begin = processor_time();
      part(i, threads);
      took[i] = processor_time() - begin;
    };
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back(work, i);
    work(0);
    for (auto& t : others) t.join();
    return *std::max_element(took.begin(), took.end());
  };
  const double stop = now() + seconds_a_figure;
  do {
    least = std::min(least, round());
  } while (now() < stop);
  return least;
}

// A product's weights, `copies` of them so that all together exceed the caches where they should.
struct Product {
  const char* what;
  int n, k, count;  // of one kind in the model
};
// q, k and v as one product, gate and up as one; 30 layers, and the vocabulary.
const std::vector<Product> kModel = {{"qkv", 960, 576, 30},
                                     {"o", 576, 576, 30},
                                     {"gate, up", 3072, 576, 30},
                                     {"down", 576, 1536, 30},
                                     {"vocabulary", 49152, 576, 1}};

struct Model {
  explicit Model(Type type_) : type(type_) {
    Random random(1);
    for (const Product& p : kModel) {
      Weights one(type, 256, p.k, random);  // random panels, repeated
      const std::size_t all = cpu::packed_bytes(type, p.n, p.k), part = cpu::packed_bytes(type, 256, p.k);
      for (int i = 0; i < p.count; ++i) {
        data.emplace_back(all);
        for (std::size_t at = 0; at < all; at += part)
          std::memcpy(data.back().bytes() + at, one.panels.bytes(), std::min(part, all - at));
        matrices.push_back({type, p.n, p.k, data.back().bytes()});
        bytes += static_cast<double>(all);
        operations += 2.0 * p.n * p.k;
      }
    }
  }
  Type type;
  std::vector<Buffer> data;
  std::vector<Packed> matrices;
  double bytes = 0, operations = 0;
};

void report_model(const Kernels& kernels, Type type, Act act, int threads, const std::vector<int>& batches) {
  Model model(type);
  Random random(2);
  for (const int m : batches) {
    const std::vector<float> x = random.normals(static_cast<std::size_t>(m) * 1536);
    std::vector<Buffer> rows;
    for (const Packed& w : model.matrices) {
      rows.emplace_back(cpu::act_row_bytes(act, w.k) * static_cast<std::size_t>(m));
      kernels.prepare(act, x.data(), w.k, m, w.k, rows.back().data());
    }
    std::vector<float> c(static_cast<std::size_t>(m) * 49152);
    const double time = least_time(threads, [&](int part, int parts) {
      for (std::size_t i = 0; i < model.matrices.size(); ++i) {
        const Packed& w = model.matrices[i];
        const int panels = cpu::panels(w.n);
        kernels.gemm({&w, act, rows[i].data(), m, nullptr, c.data(), w.n, panels * part / parts * 16,
                      panels * (part + 1) / parts * 16});
      }
    });
    fmt::print(
        "{:>5} x {:<5} threads {}  m {:>4}  {:8.2f} ms  {:7.1f} tokens/s  {:6.1f} GB/s  {:7.1f} GOP/s\n",
        name_of(type),
        act == Act::int8   ? "int8"
        : act == Act::bf16 ? "bf16"
                           : "f32",
        threads, m, time * 1e3, m / time, model.bytes / time * 1e-9, model.operations * m / time * 1e-9);
  }
}

void report_machine(const Kernels& kernels, int threads) {
  // Read: sums of a buffer beyond any cache, through the float product's largest stream, and by plain loops.
  const std::size_t bytes = std::size_t{256} << 20;
  Buffer buffer(bytes, 1);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads) * 8);
  const double read = least_time(threads, [&](int part, int parts) {
    const auto* from = static_cast<const std::uint64_t*>(buffer.data()) + bytes / 8 * part / parts;
    std::uint64_t sum[8] = {};
    for (std::size_t i = 0; i < bytes / 8 / parts; i += 8)
      for (int j = 0; j < 8; ++j) sum[j] += from[i + j];
    for (int j = 0; j < 8; ++j) sums[part * 8 + j] = sum[j];
  });
  // Compute: a product whose operands stay in the first cache, as near to the units' peak as the kernels come.
  const auto peak = [&](Type type, Act act) {
    Random random(3);
    const int m = 48, k = 256, n = type == Type::bf16 ? 32 : 16;  // the columns of a tile
    Weights w(type, n, k, random);
    const Packed packed = w.packed();
    std::vector<Buffer> rows, out;
    for (int i = 0; i < threads; ++i) {
      rows.emplace_back(cpu::act_row_bytes(act, k) * m);
      kernels.prepare(act, random.normals(m * k).data(), k, m, k, rows.back().data());
      out.emplace_back(m * n * 4);
    }
    const double time = least_time(threads, [&](int part, int) {
      for (int i = 0; i < 200; ++i)
        kernels.gemm(
            {&packed, act, rows[part].data(), m, nullptr, static_cast<float*>(out[part].data()), n, 0, n});
    });
    return 2.0 * 200 * m * n * k * threads / time * 1e-9;
  };
  fmt::print(
      "threads {}: read {:.1f} GB/s; products within the first cache: f32 {:.0f}, bf16 {:.0f}, q4_0 {:.0f}, "
      "q4_1 {:.0f}, q8_0 {:.0f} GOP/s\n",
      threads, static_cast<double>(bytes) / read * 1e-9, peak(Type::f32, Act::f32),
      peak(Type::bf16, Act::bf16), peak(Type::q4_0, Act::int8), peak(Type::q4_1, Act::int8),
      peak(Type::q8_0, Act::int8));
}

// Attention of one layer: 9 heads on 3, size 64.
void report_attention(const Kernels& kernels, int tokens, int keys) {
  const cpu::KvLayout sized{cpu::KvType::bf16, 3, 64, 16, 0};
  cpu::KvLayout kv = sized;
  kv.block_stride = cpu::kv_block_bytes(sized);
  Buffer cache(kv.block_stride * static_cast<std::size_t>(keys / 16 + 1));
  Buffer scratch(cpu::attention_scratch_bytes(kv));
  Random random(4);
  const std::vector<float> rows = random.normals(static_cast<std::size_t>(keys) * 192);
  std::vector<std::int64_t> slots;
  for (int i = 0; i < keys; ++i) slots.push_back(i);
  std::vector<std::int32_t> table;
  for (int i = 0; i <= keys / 16; ++i) table.push_back(i);
  kernels.kv_write({&kv, cache.data(), rows.data(), 192, rows.data(), 192, keys, slots.data()});
  const std::vector<float> q = random.normals(static_cast<std::size_t>(tokens) * 576);
  std::vector<float> out(q.size());
  const double time = least_time(1, [&](int, int) {
    kernels.attention({&kv, cache.data(), table.data(), 9, tokens, keys - tokens, 0.125f, 0.0f, 0, q.data(),
                       576, out.data(), 576, 0, 9, scratch.data()});
  });
  const double pairs = tokens * (keys - tokens + (tokens + 1) / 2.0) * 9;
  fmt::print("attention, {} tokens at {} keys: {:.1f} us, {:.1f} GB/s of the cache, {:.1f} GFLOP/s\n", tokens,
             keys, time * 1e6, keys * 192 * 4 / time * 1e-9, pairs * 64 * 4 / time * 1e-9);
}

}  // namespace

int main(int argc, char** argv) {
  Isa isa = cpu::detect();
  for (const Isa other : isas())
    if (argc > 1 && std::string(argv[1]) == cpu::name(other)) isa = other;
  if (argc > 2) seconds_a_figure = std::atof(argv[2]);
  const Kernels& kernels = cpu::kernels(isa);
  fmt::print("{}; SmolLM2-135M: all matrix products of one step\n", cpu::name(isa));
  for (const int threads : {1, 2}) {
    report_machine(kernels, threads);
    for (const Type type : {Type::q4_1, Type::q4_0, Type::q8_0})
      report_model(kernels, type, Act::int8, threads, {1, 16, 512});
    report_model(kernels, Type::bf16, Act::bf16, threads, {1, 16, 512});
  }
  report_attention(kernels, 1, 1024);
  report_attention(kernels, 512, 512);
  report_attention(kernels, 128, 2048);
}
