// Material for the tests of the CPU kernels: random weights in source formats with their meaning in F64, aligned
// buffers, the instruction sets of this machine.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "kernels/cpu/kernels.hpp"

namespace serveloop::tests {

using kernels::cpu::Act;
using kernels::cpu::Isa;
using kernels::cpu::Kernels;
using kernels::cpu::Packed;
using kernels::cpu::Type;

// Bytes at a 64-byte border.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes, int fill = 0);
  void* data() { return data_.get(); }
  std::uint8_t* bytes() { return data_.get(); }

 private:
  struct Free {
    void operator()(std::uint8_t* p) const;
  };
  std::unique_ptr<std::uint8_t, Free> data_;
};

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  int below(int n) { return static_cast<int>(engine_() % static_cast<std::uint32_t>(n)); }
  float normal() { return normal_(engine_); }
  std::vector<float> normals(std::size_t n);

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_;
};

// W [n, k]: source rows, their exact values, and the panels.
struct Weights {
  Weights(Type type, int n, int k, Random& random);
  Packed packed() { return {type, n, k, panels.bytes()}; }

  Type type;
  int n, k;
  std::vector<std::uint8_t> source;
  std::vector<double> value;
  Buffer panels;
};

std::vector<Isa> isas();           // that run here
const std::vector<Type>& types();  // all
const char* name_of(Type type);
bool same_bits(const float* a, const float* b, std::size_t n);

}  // namespace serveloop::tests
