// A transformer in F64, written to be read: one token after the other, no cache but two lists, no blocks, no tiles. What
// core/model/architecture.hpp says, and nothing of the executor's code.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "model/dequantise.hpp"
#include "model/model.hpp"

namespace serveloop::execute::cpu::test {

using Vector = std::vector<double>;

class Reference {
 public:
  explicit Reference(const model::Model& model) : a_(model.architecture), w_(model.weights) {
    keys_.resize(a_.layers.size());
    values_.resize(a_.layers.size());
  }

  // Logits after one more token. [vocabulary]
  Vector next(std::uint32_t token) {
    Vector x = row(w_.embedding, token);
    for (double& value : x) value *= a_.embedding_scale;
    for (std::size_t l = 0; l < a_.layers.size(); ++l) {
      const model::LayerWeights& w = w_.layers[l];
      Vector y = attention(l, norm(x, w.attention_norm));
      if (a_.post_norms) y = norm(y, w.post_attention_norm);
      add(x, y);
      y = feed_forward(w, norm(x, w.ffn_norm));
      if (a_.post_norms) y = norm(y, w.post_ffn_norm);
      add(x, y);
    }
    ++position_;
    Vector logits = product(a_.tied_embeddings ? w_.embedding : w_.lm_head, norm(x, w_.final_norm));
    if (a_.logit_soft_cap > 0)
      for (double& value : logits) value = a_.logit_soft_cap * std::tanh(value / a_.logit_soft_cap);
    return logits;
  }

 private:
  static Vector row(const model::Tensor& tensor, std::uint32_t index) {
    std::vector<float> values(tensor.cols);
    model::dequantise_row(tensor, index, values.data());
    return {values.begin(), values.end()};
  }
  static Vector product(const model::Tensor& w, const Vector& x) {
    Vector y;
    for (std::uint32_t n = 0; n < w.rows; ++n) {
      const Vector weights = row(w, n);
      double sum = 0;
      for (std::size_t k = 0; k < x.size(); ++k) sum += weights[k] * x[k];
      y.push_back(sum);
    }
    return y;
  }
  Vector norm(const Vector& x, const model::Tensor& weight) const {
    const Vector w = row(weight, 0);
    double squares = 0;
    for (const double value : x) squares += value * value;
    Vector out(x.size());
    for (std::size_t i = 0; i < x.size(); ++i)
      out[i] = x[i] / std::sqrt(squares / static_cast<double>(x.size()) + a_.norm_eps) * w[i];
    return out;
  }
  static void add(Vector& x, const Vector& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  double frequency(const model::Rope& rope, std::uint32_t pair) const {
    const double plain = std::pow(rope.theta, -2.0 * pair / a_.head_dim);
    if (!rope.divisors.empty()) return plain / rope.divisors[pair];
    if (rope.scaling == model::RopeScaling::linear) return plain / rope.factor;
    if (rope.scaling == model::RopeScaling::none) return plain;
    const double wave = 2 * std::numbers::pi / plain, context = rope.original_positions;
    if (wave > context / rope.low_freq_factor) return plain / rope.factor;
    if (wave < context / rope.high_freq_factor) return plain;
    const double smooth =
        (context / wave - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
    return (1 - smooth) * plain / rope.factor + smooth * plain;
  }
  // One head: its elements turn by position times frequency.
  void turn(Vector& head, const model::Rope& rope) const {
    const std::uint32_t half = a_.head_dim / 2;
    for (std::uint32_t pair = 0; pair < half; ++pair) {
      const bool halves = a_.rope_pairs == model::RopePairs::halves;
      double& first = head[halves ? pair : 2 * pair];
      double& second = head[halves ? pair + half : 2 * pair + 1];
      const double angle = position_ * frequency(rope, pair), old = first;
      first = old * std::cos(angle) - second * std::sin(angle);
      second = second * std::cos(angle) + old * std::sin(angle);
    }
  }
  std::vector<Vector> heads(const Vector& h, const model::Tensor& w, const model::Tensor& bias) const {
    Vector all = product(w, h);
    if (bias) add(all, row(bias, 0));
    std::vector<Vector> out;
    for (std::size_t at = 0; at < all.size(); at += a_.head_dim)
      out.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(at),
                       all.begin() + static_cast<std::ptrdiff_t>(at + a_.head_dim));
    return out;
  }

  Vector attention(std::size_t l, const Vector& h) {
    const model::LayerWeights& w = w_.layers[l];
    std::vector<Vector> q = heads(h, w.q, w.q_bias), k = heads(h, w.k, w.k_bias);
    for (const auto& [vectors, weight] : {std::pair{&q, &w.q_norm}, {&k, &w.k_norm}})
      for (Vector& head : *vectors) {
        if (a_.qk_norm) head = norm(head, *weight);
        turn(head, a_.rope_of(a_.layers[l]));
      }
    keys_[l].push_back(k);
    values_[l].push_back(heads(h, w.v, w.v_bias));
    Vector all;
    for (std::uint32_t head = 0; head < a_.q_heads; ++head) {
      const Vector out = one_head(l, q[head], head / (a_.q_heads / a_.kv_heads));
      all.insert(all.end(), out.begin(), out.end());
    }
    return product(w.o, all);
  }
  Vector one_head(std::size_t l, const Vector& q, std::uint32_t kv_head) const {
    const std::uint32_t seen = position_ + 1, window = a_.layers[l].window;
    const std::uint32_t first = window > 0 && seen > window ? seen - window : 0;
    Vector out(a_.head_dim);
    double sum = 0;
    for (std::uint32_t p = first; p < seen; ++p) {
      double score = 0;
      for (std::uint32_t i = 0; i < a_.head_dim; ++i) score += q[i] * keys_[l][p][kv_head][i];
      score *= a_.attention_scale;
      if (a_.attention_soft_cap > 0) score = a_.attention_soft_cap * std::tanh(score / a_.attention_soft_cap);
      sum += std::exp(score);
      for (std::uint32_t i = 0; i < a_.head_dim; ++i) out[i] += std::exp(score) * values_[l][p][kv_head][i];
    }
    for (double& value : out) value /= sum;
    return out;
  }

  Vector feed_forward(const model::LayerWeights& w, const Vector& h) const {
    Vector gate = product(w.gate, h);
    const Vector up = product(w.up, h);
    for (std::size_t i = 0; i < gate.size(); ++i) {
      const double g = gate[i];
      gate[i] = up[i] *
                (a_.gate == model::Gate::swish
                     ? g / (1 + std::exp(-g))
                     : g / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (g + 0.044715 * g * g * g))));
    }
    return product(w.down, gate);
  }

  const model::Architecture& a_;
  const model::Weights& w_;
  std::vector<std::vector<std::vector<Vector>>> keys_, values_;  // [layer][position][kv head]
  std::uint32_t position_ = 0;
};

}  // namespace serveloop::execute::cpu::test
