// One forward pass over a mixed batch: any architecture, any numerics, all rows at once, over the paged cache.
//
// Every worker of the pool runs the same pass: products are shared by columns, attention by (tokens, KV head), the rest
// by rows, with a barrier after each phase. A number depends on its row's inputs alone (kernels/cpu/README.md), so the
// batch, the chunks, the blocks and the number of threads do not show in it. Activations are F32, in memory taken once.
//
// Thread safety: one caller at a time, worker 0 of the pool.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "execute/cpu/kv_cache.hpp"
#include "execute/cpu/numerics.hpp"
#include "execute/cpu/rope_tables.hpp"

namespace serveloop::execute::cpu {

// Consecutive tokens of one sequence. Their K and V go to the cache; what lies before them is there.
struct Run {
  std::uint32_t start, tokens;  // positions start .. start + tokens - 1
  const std::uint32_t* ids;     // [tokens], below the vocabulary
  const std::int32_t* table;    // blocks of positions up to the last
  bool samples;                 // logits of its last token are wanted
};

// Who takes logits. Called by several workers at once, for different runs. Nothing may leave it but by return: the other
// workers would wait for this one at the next barrier.
class LogitSink {
 public:
  virtual ~LogitSink() = default;
  // logits: [vocabulary], to be used up.
  virtual void take(std::size_t run, float* logits, int vocabulary) noexcept = 0;
};

// Where a pass spends its time, waiting for other workers included; measured by worker 0.
struct PassTimes {
  std::uint64_t products_ns = 0, attention_ns = 0, rest_ns = 0;
};

class Forward {
 public:
  // Batches have at most `most_tokens` tokens in at most `most_runs` runs. All references outlive it.
  static Result<std::unique_ptr<Forward>> create(const model::Architecture& architecture,
                                                 const Weights& weights, const kernels::cpu::Kernels& kernels,
                                                 Pool& pool, std::uint32_t most_tokens,
                                                 std::uint32_t most_runs);

  void pass(std::span<const Run> runs, const Numerics& numerics, const KvCache& cache, LogitSink& sink);

  std::uint32_t most_tokens() const { return most_tokens_; }
  PassTimes* times = nullptr;  // adds up there

 private:
  struct Token {
    std::uint32_t id, position;
  };
  // Some tokens of a run, which attention does in one piece for each KV head.
  struct Piece {
    const Run* run;
    std::uint32_t first, tokens, row;  // first: within the run; row: within the batch
    std::uint64_t cost_end;            // of all pieces up to this one, a KV head
  };
  struct Product {
    model::Role role;
    const float* bias;
    float* out;
    std::int64_t ldc;
  };
  enum class Part : std::uint8_t { products, attention, rest };

  Forward(const model::Architecture& architecture, const Weights& weights,
          const kernels::cpu::Kernels& kernels, Pool& pool, std::uint32_t most_tokens,
          std::uint32_t most_runs);
  void lay_out_batch(std::span<const Run> runs, const KvCache& cache);
  void cut_pieces(std::span<const Run> runs);

  // ---- By every worker; `rows` are its own. Nothing is allocated.
  void work(unsigned worker) noexcept;
  void layer(std::int32_t layer, Share rows, unsigned worker);
  void embed(Share rows);
  void normalise(const float* x, const float* weight, Share rows, float* out) const;
  void add(const float* y, const float* post_norm, Share rows);
  void prepare(std::int32_t layer, std::initializer_list<model::Role> readers, const float* x,
               std::int64_t ldx, Share rows);
  void multiply(std::int32_t layer, std::span<const Product> products, int rows, unsigned worker);
  void rotate_and_store(std::int32_t layer, Share rows);
  void attend(std::int32_t layer, unsigned worker);
  void gate(Share rows);
  void sample(unsigned worker);
  void meet(Part part, unsigned worker);

  const model::Architecture& a_;
  const Weights& weights_;
  const kernels::cpu::Kernels& kernels_;
  Pool& pool_;
  RopeTables rope_;
  std::uint32_t most_tokens_, logit_rows_;
  Pages pages_;
  float *x_ = nullptr,                         // [tokens, hidden], the residual stream
      *h_ = nullptr,                           // [tokens, hidden]
          *y_ = nullptr,                       // [tokens, hidden], what a block adds to x
              *qkv_ = nullptr,                 // [tokens, q_features + 2 kv_features]
                  *attended_ = nullptr,        // [tokens, q_features]
                      *gate_up_ = nullptr,     // [tokens, 2 intermediate]
                          *logits_ = nullptr;  // [logit rows, vocabulary]
  std::uint8_t* prepared_[3] = {};             // by Act: [tokens, act_row_bytes]
  std::uint8_t* scratch_ = nullptr;            // [workers, scratch_bytes_]
  std::size_t scratch_bytes_ = 0;

  // ---- The batch at hand.
  std::span<const Run> runs_;
  const Numerics* numerics_ = nullptr;
  const KvCache* cache_ = nullptr;
  LogitSink* sink_ = nullptr;
  std::vector<Token> tokens_;
  std::vector<std::int64_t> slots_;  // [tokens], in the cache
  std::vector<Piece> pieces_;
  std::vector<std::uint32_t> sampling_;   // runs
  std::vector<std::uint32_t> last_rows_;  // [runs], in the batch
  std::uint64_t last_ns_ = 0;
};

}  // namespace serveloop::execute::cpu
