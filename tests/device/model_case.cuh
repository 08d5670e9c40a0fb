// A whole model of random weights on the device, and the launches of one forward pass over it, kind by kind.
#pragma once

#include <memory>
#include <numeric>
#include <optional>
#include <random>

#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/attention_step.hpp"
#include "kernels/cuda/gemm.hpp"
#include "kernels/cuda/norm.hpp"
#include "kernels/cuda/rope.hpp"
#include "kernels/cuda/sampling.hpp"
#include "timing.cuh"

namespace device_test {

using namespace serveloop::kernels::cuda;

struct ModelShape {
  const char* name;
  int layers, hidden, q_heads, kv_heads, head_dim, intermediate, vocabulary;
  bool qk_norm;

  int qkv() const { return (q_heads + 2 * kv_heads) * head_dim; }
  int attended() const { return q_heads * head_dim; }
  double layer_elements() const {
    return static_cast<double>(hidden) * (qkv() + attended() + 3.0 * intermediate);
  }
  double head_elements() const { return static_cast<double>(hidden) * vocabulary; }
};

inline const ModelShape llama_8b = {"Llama-3.1-8B", 32, 4096, 32, 8, 128, 14336, 128256, false};
inline const ModelShape qwen_06b = {"Qwen3-0.6B", 28, 1024, 16, 8, 128, 3072, 151936, true};
inline const ModelShape smollm2 = {"SmolLM2-135M", 30, 576, 9, 3, 64, 1536, 49152, false};

enum Kind {
  kind_start,
  kind_norm,
  kind_qkv,
  kind_rope,
  kind_attention,
  kind_o,
  kind_gate_up,
  kind_gate,
  kind_down,
  kind_head,
  kind_sample,
  kinds
};
inline const char* const kind_names[kinds] = {"start",   "norm", "qkv",  "rope", "attention", "o",
                                              "gate_up", "gate", "down", "head", "sample"};

struct Layer {
  Buffer<bf16> norm, qkv, o, post_norm, gate_up, down, q_norm, k_norm, k_cache, v_cache;

  Layer(const ModelShape& s, std::size_t cache_elements, std::uint64_t seed)
      : norm(s.hidden),
        qkv(static_cast<std::size_t>(s.qkv()) * s.hidden),
        o(static_cast<std::size_t>(s.hidden) * s.attended()),
        post_norm(s.hidden),
        gate_up(static_cast<std::size_t>(2 * s.intermediate) * s.hidden),
        down(static_cast<std::size_t>(s.hidden) * s.intermediate),
        q_norm(s.head_dim),
        k_norm(s.head_dim),
        k_cache(cache_elements),
        v_cache(cache_elements) {
    const auto weigh = [&](const Buffer<bf16>& to, int k) {
      fill(to.get(), to.size(), seed++, 1.0f / std::sqrt(static_cast<float>(k)));
    };
    weigh(qkv, s.hidden), weigh(o, s.attended()), weigh(gate_up, s.hidden), weigh(down, s.intermediate);
    for (const Buffer<bf16>* to : {&norm, &post_norm, &q_norm, &k_norm, &k_cache, &v_cache})
      fill(to->get(), to->size(), seed++);
  }
};

// `rows` sequences with `context` keys each, the last of which a decode step writes.
class ModelCase {
 public:
  // Whether one launch does rotary positions and attention, whatever is faster.
  inline static std::optional<bool> in_one_always;

  ModelCase(const ModelShape& shape, Gemm& gemm, int max_rows, int max_sequences, int context)
      : s(shape),
        gemm_(gemm),
        stride_((context + 15) / 16),
        max_sequences_(max_sequences),
        block_elements_(static_cast<std::int64_t>(shape.kv_heads) * 16 * shape.head_dim),
        head(static_cast<std::size_t>(shape.vocabulary) * shape.hidden),
        final_norm_(shape.hidden),
        x_(rows_of(max_rows, shape.hidden)),
        normed_(rows_of(max_rows, shape.hidden)),
        qkv_(rows_of(max_rows, shape.qkv())),
        attended_(rows_of(max_rows, shape.attended())),
        gate_up_(rows_of(max_rows, 2 * shape.intermediate)),
        gated_(rows_of(max_rows, shape.intermediate)),
        delta_(rows_of(max_rows, shape.hidden)),
        logits_(rows_of(max_sequences, shape.vocabulary)),
        ids_(std::vector<std::int32_t>(max_rows, 5)),
        table_(ids()),
        angles_(static_cast<std::size_t>(context) * shape.head_dim / 2),
        workspace_(Gemm::workspace_bytes) {
    const std::size_t cache = static_cast<std::size_t>(block_elements_) * stride_ * max_sequences;
    for (int i = 0; i < s.layers; ++i) layers_.push_back(std::make_unique<Layer>(s, cache, 100 * i + 1));
    fill(head.get(), head.size(), 7, 1.0f / std::sqrt(static_cast<float>(s.hidden)));
    fill(final_norm_.get(), final_norm_.size(), 8);
    const Buffer<double> frequencies(rope_frequencies(s.head_dim, 500000.0, {}));
    require(fill_rope_table(frequencies.get(), context, s.head_dim, angles_.get(), nullptr));
    attention_ = {s.q_heads, s.kv_heads, s.head_dim, 16, 1.0f / std::sqrt(static_cast<float>(s.head_dim)),
                  0.0f,      0};
    require(cudaDeviceSynchronize(), "model");
  }

  double weight_bytes() const { return 2.0 * (s.layers * s.layer_elements() + s.head_elements()); }

  // Decode: one token at the end of each of `rows` sequences of `context` keys.
  void set_decode(int rows, int context) {
    keys_ = context;
    rows_ = rows;
    sequences_ = rows;
    set_positions(std::vector<std::int32_t>(rows, context - 1), iota(rows), rows);
  }
  // Prefill: one chunk of `rows` tokens of one sequence, after `before` keys.
  void set_chunk(int rows, int before = 0) {
    rows_ = rows;
    sequences_ = 1;
    keys_ = before + rows;
    std::vector<std::int32_t> position = iota(rows);
    for (std::int32_t& at : position) at += before;
    set_positions(position, std::vector<std::int32_t>(rows, 0), 0);
    chunk_start_ = std::make_unique<Buffer<std::int32_t>>(std::vector<std::int32_t>{0, rows});
  }

  // One pass, or the launches of one kind alone.
  void enqueue(cudaStream_t stream, int only = -1) {
    const auto wanted = [only](Kind kind) { return only < 0 || only == kind; };
    if (wanted(kind_start)) {
      if (items_ > 0) require(plan_attention(asking(), 0, plan(), stream));
      require(
          gather_embedding(head.get(), ids_.get(), x_.get(), rows_, s.vocabulary, s.hidden, 1.0f, stream));
    }
    for (int i = 0; i < s.layers; ++i) {
      const Layer& layer = *layers_[i];
      if (wanted(kind_norm) && !norms_in(s.qkv(), LinearEnd::store, s.intermediate))
        normalise(layer.norm, i > 0 && pending(s.hidden, s.intermediate), stream);
      if (wanted(kind_qkv))
        normed_product(layer.norm, layer.qkv, qkv_, s.qkv(), LinearEnd::store, s.intermediate, stream);
      if (wanted(kind_rope) && !in_one()) require(rope_and_store(rope(layer), stream));
      if (wanted(kind_attention)) attend(layer, stream);
      if (wanted(kind_o)) residual_product(attended_, layer.o, s.attended(), stream);
      if (wanted(kind_norm) && !norms_in(2 * s.intermediate, LinearEnd::gate, s.attended()))
        normalise(layer.post_norm, pending(s.hidden, s.attended()), stream);
      gate_up(layer, wanted(kind_gate_up), wanted(kind_gate), stream);
      if (wanted(kind_down)) residual_product(gated_, layer.down, s.intermediate, stream);
    }
    if (wanted(kind_norm)) normalise(final_norm_, pending(s.hidden, s.intermediate), stream);
    if (wanted(kind_head)) {
      LinearJob job = job_of(normed_, head, logits_, s.vocabulary, s.hidden, LinearEnd::store);
      job.x += static_cast<std::size_t>(rows_ - sequences_) * s.hidden;  // a chunk's last row
      job.rows = sequences_;
      require(gemm_.run(job, workspace_.get(), stream));
    }
    if (wanted(kind_sample)) sample_rows(stream);
  }

  // Launches of a kind in a pass.
  int launches(int kind) const {
    if (kind == kind_start || kind == kind_head || kind == kind_sample) return kind == kind_start ? 2 : 1;
    if (kind == kind_norm)
      return 1 + (norms_in(s.qkv(), LinearEnd::store, s.intermediate) ? 0 : s.layers) +
             (norms_in(2 * s.intermediate, LinearEnd::gate, s.attended()) ? 0 : s.layers);
    if (kind == kind_rope && in_one()) return 0;
    if (kind == kind_gate) return has_ends(2 * s.intermediate, s.hidden) ? 0 : s.layers;
    return s.layers;
  }

  std::vector<std::int32_t> tokens() const { return ids_.take(); }
  void reset_tokens() { ids_.put(std::vector<std::int32_t>(ids_.size(), 5)); }
  std::vector<bf16> logits() const { return logits_.take(); }

  const ModelShape s;

 private:
  static std::size_t rows_of(int rows, int columns) { return static_cast<std::size_t>(rows) * columns; }
  static std::vector<std::int32_t> iota(int size) {
    std::vector<std::int32_t> out(size);
    std::iota(out.begin(), out.end(), 0);
    return out;
  }
  std::vector<std::int32_t> ids() const {
    std::vector<std::int32_t> out = iota(stride_ * max_sequences_);
    std::shuffle(out.begin(), out.end(), std::mt19937_64(1));
    return out;
  }
  void set_positions(const std::vector<std::int32_t>& position, const std::vector<std::int32_t>& row,
                     int tokens) {
    position_ = std::make_unique<Buffer<std::int32_t>>(position);
    row_ = std::make_unique<Buffer<std::int32_t>>(row);
    items_ = 0;
    for (int i = 0; i < tokens; ++i) items_ += attention_items(position[i], 0);
    SamplingRow greedy;
    greedy.temperature = 0.0f;
    sampling_row_ = std::make_unique<Buffer<SamplingRow>>(std::vector<SamplingRow>(sequences_, greedy));
    if (items_ == 0) return;
    words_ = std::make_unique<Buffer<std::int32_t>>(attention_plan_words(rows_, items_));
    const std::size_t bytes = attention_workspace_bytes(attention_, rows_, items_);
    attention_workspace_ = std::make_unique<Buffer<char>>(bytes);
    require(clear_attention_workspace(attention_workspace_->get(), bytes, nullptr));
    require(plan_attention(asking(), 0, plan(), nullptr));
    require(cudaDeviceSynchronize(), "plan");
  }
  AttentionRows asking() const { return {position_->get(), row_->get(), rows_}; }
  AttentionPlan plan() const { return {words_->get(), rows_, items_}; }

  // Whether this product can end in an addition or a gate, at this many rows.
  bool has_ends(int n, int k) const {
    const GemmChoice* choice = gemm_.choice({n, k}, rows_);
    return choice != nullptr && choice->own;
  }
  // Whether rope and attention are one launch.
  bool in_one() const {
    if (items_ == 0) return false;
    return in_one_always.value_or(rows_ * s.kv_heads <= 132 &&
                                  std::int64_t{rows_} * keys_ * s.kv_heads <= step_attention_most_keys * 132);
  }
  // Whether a product has left its sum to the next norm.
  bool pending(int n, int k) const { return !has_ends(n, k); }

  LinearJob job_of(const Buffer<bf16>& x, const Buffer<bf16>& weight, const Buffer<bf16>& out, int n, int k,
                   LinearEnd end) const {
    LinearJob job;
    job.x = x.get();
    job.weight = weight.get();
    job.out = out.get();
    job.x_stride = k;
    job.out_stride = end == LinearEnd::gate ? n / 2 : n;
    job.rows = rows_;
    job.n = n;
    job.k = k;
    job.end = end;
    job.early = true;
    return job;
  }
  void product(const Buffer<bf16>& x, const Buffer<bf16>& weight, const Buffer<bf16>& out, int n, int k,
               LinearEnd end, cudaStream_t stream) {
    require(gemm_.run(job_of(x, weight, out, n, k, end), workspace_.get(), stream));
  }
  // Whether the product of this many columns of the normalised stream takes the norm in; before_k: of the product that
  // added to the stream last.
  bool norms_in(int n, LinearEnd end, int before_k) const {
    LinearJob job;
    job.rows = rows_;
    job.n = n;
    job.k = s.hidden;
    job.end = end;
    return !pending(s.hidden, before_k) && has_ends(n, s.hidden) && takes_norm(job);
  }
  void normed_product(const Buffer<bf16>& norm, const Buffer<bf16>& weight, const Buffer<bf16>& out, int n,
                      LinearEnd end, int before_k, cudaStream_t stream) {
    if (!norms_in(n, end, before_k)) return product(normed_, weight, out, n, s.hidden, end, stream);
    LinearJob job = job_of(x_, weight, out, n, s.hidden, end);
    job.norm = {norm.get(), 1e-5f, 0.0f};
    require(gemm_.run(job, workspace_.get(), stream));
  }
  void residual_product(const Buffer<bf16>& x, const Buffer<bf16>& weight, int k, cudaStream_t stream) {
    if (has_ends(s.hidden, k))
      product(x, weight, x_, s.hidden, k, LinearEnd::add, stream);
    else
      product(x, weight, delta_, s.hidden, k, LinearEnd::store, stream);
  }
  void gate_up(const Layer& layer, bool multiplies, bool gates, cudaStream_t stream) {
    const int n = 2 * s.intermediate;
    if (has_ends(n, s.hidden)) {
      if (multiplies)
        normed_product(layer.post_norm, layer.gate_up, gated_, n, LinearEnd::gate, s.attended(), stream);
      return;
    }
    if (multiplies) product(normed_, layer.gate_up, gate_up_, n, s.hidden, LinearEnd::store, stream);
    if (gates)
      require(gated_activation(Gate::swish, gate_up_.get(), gated_.get(), rows_, s.intermediate, stream));
  }
  void normalise(const Buffer<bf16>& weight, bool adds, cudaStream_t stream) {
    if (adds)
      require(add_rms_norm(x_.get(), delta_.get(), weight.get(), normed_.get(), rows_, s.hidden, 1e-5f, 0.0f,
                           stream));
    else
      require(rms_norm(x_.get(), weight.get(), normed_.get(), rows_, s.hidden, 1e-5f, 0.0f, stream));
  }
  RopeJob rope(const Layer& layer) const {
    RopeJob job;
    job.q_heads = s.q_heads;
    job.kv_heads = s.kv_heads;
    job.head_dim = s.head_dim;
    if (s.qk_norm) job.q_norm = layer.q_norm.get(), job.k_norm = layer.k_norm.get();
    job.table = angles_.get();
    job.position = position_->get();
    job.table_row = row_->get();
    job.block_table = table_.get();
    job.table_stride = stride_;
    job.qkv = qkv_.get();
    job.tokens = rows_;
    job.k_cache = layer.k_cache.get();
    job.v_cache = layer.v_cache.get();
    job.block_stride = block_elements_;
    return job;
  }
  void attend(const Layer& layer, cudaStream_t stream) {
    if (in_one()) {
      require(step_attention(
          {attention_, rope(layer), plan(), attended_.get(), attention_workspace_->get(), true}, stream));
      return;
    }
    const AttentionCache cache{layer.k_cache.get(), layer.v_cache.get(), block_elements_, table_.get(),
                               stride_};
    if (items_ > 0) {
      require(decode_attention(attention_, asking(), cache, plan(), qkv_.get(), s.qkv(), attended_.get(),
                               attention_workspace_->get(), stream, true));
      return;
    }
    const AttentionChunks chunks{chunk_start_->get(), position_->get(), row_->get(), 1, rows_, keys_};
    require(prefill_attention(attention_, chunks, cache, qkv_.get(), s.qkv(), attended_.get(), stream));
  }
  void sample_rows(cudaStream_t stream) {
    SamplingJob job;
    job.logits = logits_.get();
    job.logits_stride = s.vocabulary;
    job.rows = sequences_;
    job.vocabulary = s.vocabulary;
    job.row = sampling_row_->get();
    job.position = position_->get();
    job.token = ids_.get();
    require(sample(job, stream));
  }

  Gemm& gemm_;
  int stride_, max_sequences_;
  std::int64_t block_elements_;
  std::vector<std::unique_ptr<Layer>> layers_;

 public:
  const Buffer<bf16> head;  // of the embedding too

 private:
  Buffer<bf16> final_norm_, x_, normed_, qkv_, attended_, gate_up_, gated_, delta_, logits_;
  Buffer<std::int32_t> ids_, table_;
  Buffer<float2> angles_;
  Buffer<char> workspace_;
  AttentionShape attention_;
  int rows_ = 0, sequences_ = 0, items_ = 0, keys_ = 0;
  std::unique_ptr<Buffer<std::int32_t>> position_, row_, chunk_start_, words_;
  std::unique_ptr<Buffer<SamplingRow>> sampling_row_;
  std::unique_ptr<Buffer<char>> attention_workspace_;
};

// Every product of the model at up to `rows` rows, the head at up to `head_rows`.
inline void plan_products(Gemm& gemm, const ModelShape& s, int rows, int head_rows) {
  require(gemm.plan({s.qkv(), s.hidden}, rows));
  require(gemm.plan({s.hidden, s.attended()}, rows));
  require(gemm.plan({2 * s.intermediate, s.hidden}, rows));
  require(gemm.plan({s.hidden, s.intermediate}, rows));
  require(gemm.plan({s.vocabulary, s.hidden}, head_rows));
}

}  // namespace device_test
