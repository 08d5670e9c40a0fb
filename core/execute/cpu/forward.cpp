// The pass itself. Between two barriers no worker reads what another writes: phases by rows touch own rows alone, and
// two of them in a row need no barrier, since a worker's rows stay its own.
#include "execute/cpu/forward.hpp"

#include <algorithm>
#include <cassert>
#include <chrono>

namespace serveloop::execute::cpu {
namespace {

using kernels::cpu::Act;
using model::Role;

std::uint64_t steady_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

}  // namespace

void Forward::pass(std::span<const Run> runs, const Numerics& numerics, const KvCache& cache,
                   LogitSink& sink) {
  if (runs.empty()) return;
  runs_ = runs;
  numerics_ = &numerics;
  cache_ = &cache;
  sink_ = &sink;
  lay_out_batch(runs, cache);
  if (times != nullptr) last_ns_ = steady_ns();
  const auto worker = [this](unsigned index) noexcept { work(index); };
  pool_.run(worker);
}

void Forward::work(unsigned worker) noexcept {
  const Share rows = pool_.share(static_cast<std::int64_t>(tokens_.size()), worker);
  embed(rows);
  for (std::int32_t l = 0; l < static_cast<std::int32_t>(a_.layer_count()); ++l) layer(l, rows, worker);
  sample(worker);
}

void Forward::layer(std::int32_t l, Share rows, unsigned worker) {
  const int m = static_cast<int>(tokens_.size());
  const std::int64_t hidden = a_.hidden, q = a_.q_features(), kv = a_.kv_features(), inner = a_.intermediate;
  const std::int64_t ldqkv = q + 2 * kv;
  const auto vector = [&](Role role) { return weights_.vector(l, role); };

  normalise(x_, vector(Role::attention_norm), rows, h_);
  prepare(l, {Role::q, Role::k, Role::v}, h_, hidden, rows);
  meet(Part::rest, worker);
  const Product qkv[] = {{Role::q, vector(Role::q_bias), qkv_, ldqkv},
                         {Role::k, vector(Role::k_bias), qkv_ + q, ldqkv},
                         {Role::v, vector(Role::v_bias), qkv_ + q + kv, ldqkv}};
  multiply(l, qkv, m, worker);
  meet(Part::products, worker);
  rotate_and_store(l, rows);
  meet(Part::rest, worker);
  attend(l, worker);
  meet(Part::attention, worker);
  prepare(l, {Role::o}, attended_, q, rows);
  meet(Part::rest, worker);
  const Product o[] = {{Role::o, nullptr, y_, hidden}};
  multiply(l, o, m, worker);
  meet(Part::products, worker);

  add(y_, vector(Role::post_attention_norm), rows);
  normalise(x_, vector(Role::ffn_norm), rows, h_);
  prepare(l, {Role::gate, Role::up}, h_, hidden, rows);
  meet(Part::rest, worker);
  const Product gate_up[] = {{Role::gate, nullptr, gate_up_, 2 * inner},
                             {Role::up, nullptr, gate_up_ + inner, 2 * inner}};
  multiply(l, gate_up, m, worker);
  meet(Part::products, worker);
  gate(rows);
  prepare(l, {Role::down}, gate_up_, 2 * inner, rows);
  meet(Part::rest, worker);
  const Product down[] = {{Role::down, nullptr, y_, hidden}};
  multiply(l, down, m, worker);
  meet(Part::products, worker);
  add(y_, vector(Role::post_ffn_norm), rows);
}

void Forward::embed(Share rows) {
  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
    float* x = x_ + r * a_.hidden;
    kernels::cpu::unpack_row(weights_.embedding(), static_cast<int>(tokens_[static_cast<std::size_t>(r)].id),
                             x);
    if (a_.embedding_scale != 1.0f) kernels_.scale(a_.embedding_scale, a_.hidden, x);
  }
}

// out = norm(x), both [tokens, hidden].
void Forward::normalise(const float* x, const float* weight, Share rows, float* out) const {
  const std::int64_t hidden = a_.hidden, at = rows.begin * hidden;
  kernels_.rms_norm(x + at, hidden, weight, a_.norm_eps, static_cast<int>(rows.end - rows.begin),
                    static_cast<int>(hidden), out + at, hidden);
}

// x += post(y); y is used up.
void Forward::add(const float* y, const float* post_norm, Share rows) {
  if (post_norm != nullptr) normalise(y, post_norm, rows, y_);
  const std::int64_t hidden = a_.hidden, at = rows.begin * hidden;
  kernels_.add(y + at, (rows.end - rows.begin) * hidden, x_ + at);
}

// Rows of x in each format that the products of `readers` ask for.
void Forward::prepare(std::int32_t l, std::initializer_list<Role> readers, const float* x, std::int64_t ldx,
                      Share rows) {
  const int k = weights_.matrix(l, *readers.begin()).k;
  bool done[3] = {};
  for (const Role reader : readers) {
    const Act act = numerics_->act(l, reader);
    const auto index = static_cast<std::size_t>(act);
    if (std::exchange(done[index], true)) continue;
    kernels_.prepare(
        act, x + rows.begin * ldx, ldx, static_cast<int>(rows.end - rows.begin), k,
        prepared_[index] + static_cast<std::size_t>(rows.begin) * kernels::cpu::act_row_bytes(act, k));
  }
}

// Products of the same inputs: the columns of all, one after the other, are shared in panels.
void Forward::multiply(std::int32_t l, std::span<const Product> products, int rows, unsigned worker) {
  constexpr std::int64_t kPanel = kernels::cpu::kPanel;
  std::int64_t all = 0;
  for (const Product& p : products) all += kernels::cpu::panels(weights_.matrix(l, p.role).n);
  const Share mine = pool_.share(all, worker);
  std::int64_t first = 0;  // panel of the product at hand
  for (const Product& p : products) {
    const kernels::cpu::Packed& w = weights_.matrix(l, p.role);
    const std::int64_t panels = kernels::cpu::panels(w.n);
    const std::int64_t begin = std::max<std::int64_t>(mine.begin - first, 0),
                       end = std::min(mine.end - first, panels);
    first += panels;
    if (begin >= end) continue;
    const Act act = numerics_->act(l, p.role);
    kernels_.gemm({&w, act, prepared_[static_cast<std::size_t>(act)], rows, p.bias, p.out, p.ldc,
                   static_cast<int>(begin * kPanel),
                   static_cast<int>(std::min<std::int64_t>(end * kPanel, w.n))});
  }
}

void Forward::rotate_and_store(std::int32_t l, Share rows) {
  const auto layer = static_cast<std::size_t>(l);
  const int d = static_cast<int>(a_.head_dim), q_heads = static_cast<int>(a_.q_heads),
            kv_heads = static_cast<int>(a_.kv_heads);
  const std::int64_t q_size = a_.q_features(), kv_size = a_.kv_features(), ld = q_size + 2 * kv_size;
  const auto pairs = a_.rope_pairs == model::RopePairs::halves ? kernels::cpu::RopePairs::halves
                                                               : kernels::cpu::RopePairs::neighbours;
  const model::RopeKind kind = a_.layers[layer].rope;
  const float *q_norm = weights_.vector(l, Role::q_norm), *k_norm = weights_.vector(l, Role::k_norm);
  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
    float *q = qkv_ + r * ld, *k = q + q_size;
    if (q_norm != nullptr) kernels_.rms_norm(q, d, q_norm, a_.norm_eps, q_heads, d, q, d);
    if (k_norm != nullptr) kernels_.rms_norm(k, d, k_norm, a_.norm_eps, kv_heads, d, k, d);
    const std::uint32_t position = tokens_[static_cast<std::size_t>(r)].position;
    const float *cos = rope_.cos(kind, position), *sin = rope_.sin(kind, position);
    kernels_.rope(q, q_heads, d, d, pairs, cos, sin);
    kernels_.rope(k, kv_heads, d, d, pairs, cos, sin);
  }
  const float* k = qkv_ + rows.begin * ld + q_size;
  kernels_.kv_write({&cache_->layout(layer), cache_->layer(layer), k, ld, k + kv_size, ld,
                     static_cast<int>(rows.end - rows.begin), slots_.data() + rows.begin});
}

// Units of work are (piece, KV head), one piece after the other. A worker's share is the units whose cost begins in its
// part of the whole.
void Forward::attend(std::int32_t l, unsigned worker) {
  const auto layer = static_cast<std::size_t>(l);
  const std::uint64_t kv_heads = a_.kv_heads, group = a_.q_heads / a_.kv_heads;
  const std::int64_t q_size = a_.q_features(), ld = q_size + 2 * std::int64_t{a_.kv_features()};
  const Share mine = pool_.share(static_cast<std::int64_t>(pieces_.back().cost_end * kv_heads), worker);
  const auto begin = static_cast<std::uint64_t>(mine.begin), end = static_cast<std::uint64_t>(mine.end);
  auto piece = std::partition_point(pieces_.begin(), pieces_.end(),
                                    [&](const Piece& p) { return p.cost_end * kv_heads <= begin; });
  for (; piece != pieces_.end(); ++piece) {
    const std::uint64_t before = piece == pieces_.begin() ? 0 : piece[-1].cost_end;
    const std::uint64_t cost = piece->cost_end - before, base = before * kv_heads;
    if (base >= end) return;
    const auto heads_before = [&](std::uint64_t at) {  // whose cost begins before `at`
      return at <= base ? 0 : std::min((at - base + cost - 1) / cost, kv_heads);
    };
    const std::uint64_t first = heads_before(begin), last = heads_before(end);
    if (first == last) continue;
    kernels::cpu::Attention job;
    job.kv = &cache_->layout(layer);
    job.cache = cache_->layer(layer);
    job.block_table = piece->run->table;
    job.q_heads = static_cast<int>(a_.q_heads);
    job.tokens = static_cast<int>(piece->tokens);
    job.first_position = static_cast<int>(piece->run->start + piece->first);
    job.scale = a_.attention_scale;
    job.soft_cap = a_.attention_soft_cap;
    job.window = static_cast<int>(a_.layers[layer].window);
    job.q = qkv_ + piece->row * ld;
    job.ldq = ld;
    job.out = attended_ + piece->row * q_size;
    job.ldo = q_size;
    job.head_begin = static_cast<int>(first * group);
    job.head_end = static_cast<int>(last * group);
    job.scratch = scratch_ + worker * scratch_bytes_;
    kernels_.attention(job);
  }
}

// gate_up[:, 0 .. intermediate) = f(gate) up.
void Forward::gate(Share rows) {
  const std::int64_t inner = a_.intermediate;
  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
    float* gate = gate_up_ + r * 2 * inner;
    if (a_.gate == model::Gate::swish)
      kernels_.swiglu(gate, gate + inner, inner, gate);
    else
      kernels_.geglu(gate, gate + inner, inner, gate);
  }
}

// Final norm and head, for the last tokens of runs that sample, logit_rows_ of them at a time.
void Forward::sample(unsigned worker) {
  const std::int64_t hidden = a_.hidden, vocabulary = a_.vocabulary;
  for (std::size_t first = 0; first < sampling_.size(); first += logit_rows_) {
    meet(Part::rest, worker);  // all rows of x are there; the logits before are used up
    const auto count =
        static_cast<std::int64_t>(std::min<std::size_t>(sampling_.size() - first, logit_rows_));
    const Share rows = pool_.share(count, worker);
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const std::int64_t row = last_rows_[sampling_[first + static_cast<std::size_t>(i)]];
      kernels_.rms_norm(x_ + row * hidden, hidden, weights_.vector(kOutside, Role::final_norm), a_.norm_eps,
                        1, static_cast<int>(hidden), h_ + i * hidden, hidden);
    }
    prepare(kOutside, {Role::lm_head}, h_, hidden, rows);
    meet(Part::rest, worker);
    const Product head[] = {{Role::lm_head, nullptr, logits_, vocabulary}};
    multiply(kOutside, head, static_cast<int>(count), worker);
    meet(Part::products, worker);
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      float* logits = logits_ + i * vocabulary;
      if (a_.logit_soft_cap > 0) kernels_.soft_cap(a_.logit_soft_cap, vocabulary, logits);
      sink_->take(sampling_[first + static_cast<std::size_t>(i)], logits, static_cast<int>(vocabulary));
    }
  }
}

void Forward::meet(Part part, unsigned worker) {
  pool_.barrier();
  if (worker != 0 || times == nullptr) return;
  const std::uint64_t now = steady_ns(), took = now - std::exchange(last_ns_, now);
  (part == Part::products    ? times->products_ns
   : part == Part::attention ? times->attention_ns
                             : times->rest_ns) += took;
}

}  // namespace serveloop::execute::cpu
