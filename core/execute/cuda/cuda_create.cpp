// How a CUDA executor comes to be: what it can compute, and memory in the order in which it is taken.
#include <fmt/format.h>

#include <bit>

#include "execute/cuda/cuda_executor.hpp"
#include "execute/cuda/numerics.hpp"
#include "execute/cuda/supported.hpp"

namespace serveloop::execute::cuda {
namespace {

constexpr std::uint32_t kMostTokens = 16384;  // a product
constexpr std::uint32_t kMostSequences = 16384;
constexpr std::uint32_t kMostContext = 1u << 24;

Status between(const char* name, std::uint64_t value, std::uint64_t least, std::uint64_t most) {
  if (value >= least && value <= most) return {};
  return fail(name, fmt::format("{} to {} (on CUDA)", least, most), std::to_string(value));
}

Status check_options(const CudaOptions& o) {
  if (Status good = between("engine.lag", o.lag, 0, 1); !good) return good;
  if (Status good = between("engine.max_sequences", o.max_sequences, 1, kMostSequences); !good) return good;
  if (Status good = between("engine.token_budget", o.token_budget, 1, kMostTokens); !good) return good;
  if (Status good = between("engine.kv_blocks", o.blocks, 0, INT32_MAX); !good) return good;
  if (Status good = between("engine.context_tokens", o.context_tokens, 1, kMostContext); !good) return good;
  if (o.block_tokens < 16 || o.block_tokens > 1024 || !std::has_single_bit(o.block_tokens))
    return fail("engine.block_tokens", "a power of two from 16 to 1024 (on CUDA)",
                std::to_string(o.block_tokens));
  return {};
}

}  // namespace

CudaExecutor::CudaExecutor(Clock& clock, model::Model model, const CudaOptions& options)
    : clock_(clock),
      architecture_(model.architecture),
      options_(options),
      model_(std::move(model)),
      keys_(cuda_op_keys(architecture_)),
      alternatives_(options.max_sequences, -1),
      jobs_(options.lag + 2) {}

Result<std::unique_ptr<CudaExecutor>> CudaExecutor::create(Clock& clock, model::Model model,
                                                           const CudaOptions& asked) {
  CudaOptions options = asked;
  if (options.context_tokens == 0) options.context_tokens = model.architecture.max_positions;
  if (Status good = check_options(options); !good) return tl::unexpected(good.error());
  if (Status good = check_architecture(model.architecture); !good) return tl::unexpected(good.error());
  std::unique_ptr<CudaExecutor> out(new CudaExecutor(clock, std::move(model), options));
  if (Status good = out->open(); !good) return tl::unexpected(good.error());
  return out;
}

CudaExecutor::~CudaExecutor() {
  if (stream_.get() != nullptr) cudaStreamSynchronize(stream_.get());  // before its memory goes
}

Status CudaExecutor::open() {
  Result<std::string> found = find_device();
  if (!found) return tl::unexpected(found.error());
  device_name_ = std::move(*found);
  if (Status good = stream_.open(); !good) return good;
  const auto put = [](auto& to, auto made) -> Status {
    if (!made) return tl::unexpected(made.error());
    to = std::move(*made);
    return {};
  };
  if (Status good = put(weights_, Weights::upload(*model_)); !good) return good;
  model_.reset();
  const CudaOptions& o = options_;
  if (Status good =
          put(products_, Products::plan(architecture_, o.token_budget, Pass::logit_rows(o.max_sequences),
                                        o.products_cache, note_));
      !good)
    return good;
  if (Status good = put(row_memory_,
                        RowMemory::create(o.max_sequences, o.context_tokens, o.block_tokens, o.token_budget));
      !good)
    return good;
  if (Status good =
          put(sampling_, SamplingRows::create(o.max_sequences, architecture_.vocabulary, o.context_tokens));
      !good)
    return good;
  const std::size_t words = SampledTokens::kWords * o.max_sequences;
  if (Status good = sampled_.make(words, "sampled tokens"); !good) return good;
  if (Status good = on_host_.make(words * jobs_.size(), "sampled tokens"); !good) return good;
  int slot = 0;
  for (Job& job : jobs_) {
    job.slot = slot++;
    if (Status good = job.start.open(); !good) return good;
    if (Status good = job.end.open(); !good) return good;
  }
  return {};
}

Status CudaExecutor::make_pool() {
  const CudaOptions& o = options_;
  if (o.blocks == 0) return fail("engine.kv_blocks", "at least 1", "0");
  Result<KvPool> pool = KvPool::create(architecture_, o.block_tokens, o.blocks);
  if (!pool) return tl::unexpected(pool.error());
  pool_ = std::move(*pool);
  Result<Pass> pass =
      Pass::create(architecture_, weights_, products_, *pool_,
                   {o.token_budget, o.max_sequences, o.context_tokens, o.block_tokens, o.blocks}, stream_);
  if (!pass) {
    pool_.reset();
    return tl::unexpected(pass.error());
  }
  if (Status good = make_copier(); !good) {
    pool_.reset();
    return good;
  }
  pass_ = std::move(*pass);
  rows_.emplace(RowLimits{o.max_sequences, o.blocks, o.block_tokens, o.context_tokens,
                          architecture_.vocabulary, o.token_budget});
  return {};
}

Status CudaExecutor::make_copier() {
  if (options_.host_blocks == 0) return {};
  Result<HostPool> host = HostPool::create(*pool_, options_.host_blocks);
  if (!host) return tl::unexpected(host.error());
  auto copier = Copier::create(host->at_once(),
                               [this](std::span<const BlockCopy> copies, std::span<std::uint8_t> moved) {
                                 host_pool_->move(copies, moved);
                               });
  if (!copier) return tl::unexpected(copier.error());
  host_pool_ = std::move(*host);
  copier_ = std::move(*copier);
  return {};
}

Status CudaExecutor::apply(std::uint32_t mode, std::span<const sl_op_plan> plans) {
  auto effective = effective_plans(keys_, plans);
  if (!effective) return tl::unexpected(effective.error());
  if (mode >= 256) return fail("precision mode", "below 256", std::to_string(mode));
  if (!pass_)
    if (Status good = make_pool(); !good) return good;
  if (mode >= modes_.size()) modes_.resize(mode + 1);
  modes_[mode] = std::move(*effective);
  return {};
}

std::span<const sl_op_plan> CudaExecutor::effective(std::uint32_t mode) const {
  if (mode >= modes_.size()) return {};
  return modes_[mode];
}

Result<std::uint64_t> CudaExecutor::block_bytes(std::span<const sl_op_plan> plans) const {
  const auto effective = effective_plans(keys_, plans);
  if (!effective) return tl::unexpected(effective.error());
  return KvPool::block_bytes(architecture_, options_.block_tokens);
}

Result<std::uint64_t> CudaExecutor::free_bytes() const {
  std::size_t free = 0, all = 0;
  if (Status good = check(cudaMemGetInfo(&free, &all), "device memory"); !good)
    return tl::unexpected(good.error());
  return free;
}

}  // namespace serveloop::execute::cuda
