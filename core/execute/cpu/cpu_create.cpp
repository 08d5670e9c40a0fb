// How a CPU executor comes to be, and the loop's and the device thread's hand-over.
#include <fmt/format.h>
#include <serveloop/rows.h>

#include <bit>
#include <cassert>
#include <system_error>

#include "execute/cpu/cpu_executor.hpp"
#include "execute/cpu/drawing.hpp"

namespace serveloop::execute::cpu {
namespace {

constexpr std::uint32_t kMostHeadDim = 512;  // of the attention kernels
constexpr unsigned kMostThreads = 1024;

Status check(const CpuOptions& o, const model::Architecture& a) {
  const auto between = [](const char* name, std::uint64_t value, std::uint64_t least,
                          std::uint64_t most) -> Status {
    if (value >= least && value <= most) return {};
    return fail(name, fmt::format("{} to {}", least, most), std::to_string(value));
  };
  if (Status good = between("engine.threads", o.threads, 1, kMostThreads); !good) return good;
  if (Status good = between("engine.lag", o.lag, 0, 1); !good) return good;
  if (Status good = between("engine.max_sequences", o.max_sequences, 1, 1u << 20); !good) return good;
  if (Status good = between("engine.token_budget", o.token_budget, 1, 1u << 24); !good) return good;
  if (Status good = between("engine.kv_blocks", o.blocks, 0, INT32_MAX); !good) return good;
  if (o.block_tokens > 4096 || !std::has_single_bit(o.block_tokens))
    return fail("engine.block_tokens", "a power of two up to 4096", std::to_string(o.block_tokens));
  if (a.head_dim > kMostHeadDim)
    return fail("head size", fmt::format("at most {} (on the CPU)", kMostHeadDim),
                std::to_string(a.head_dim));
  if (!kernels::cpu::runs(o.isa))
    return fail("instruction set", "one that this machine has", kernels::cpu::name(o.isa));
  return {};
}

}  // namespace

CpuExecutor::CpuExecutor(Clock& clock, model::Model model, const CpuOptions& options)
    : clock_(clock),
      model_(std::move(model)),
      options_(options),
      kernels_(kernels::cpu::kernels(options.isa)),
      pool_(options.threads, Staffing::fitting),
      sampler_(std::make_unique<Drawing>(kernels_)),
      rows_(options.max_sequences),
      jobs_(options.lag + 2) {
  runs_.reserve(options.max_sequences);
}

Result<std::unique_ptr<CpuExecutor>> CpuExecutor::create(Clock& clock, model::Model model,
                                                         const CpuOptions& options) {
  if (Status good = check(options, model.architecture); !good) return tl::unexpected(good.error());
  try {
    return make(clock, std::move(model), options);
  } catch (const std::system_error& error) {  // of a thread
    return fail("engine.threads", fmt::format("{} threads", options.threads + options.lag),
                fmt::format("the system starts fewer ({})", error.what()), "lower engine.threads");
  }
}

Result<std::unique_ptr<CpuExecutor>> CpuExecutor::make(Clock& clock, model::Model model,
                                                       const CpuOptions& options) {
  std::unique_ptr<CpuExecutor> out(new CpuExecutor(clock, std::move(model), options));
  auto weights = Weights::pack(out->model_, out->pool_);
  if (!weights) return tl::unexpected(weights.error());
  out->weights_ = std::move(*weights);
  out->model_.weights = {};
  out->model_.storage.reset();
  out->keys_ = cpu_op_keys(out->model_.architecture, out->weights_);
  auto forward = Forward::create(out->model_.architecture, out->weights_, out->kernels_, out->pool_,
                                 options.token_budget, options.max_sequences);
  if (!forward) return tl::unexpected(forward.error());
  out->forward_ = std::move(*forward);
  if (options.lag > 0) out->device_ = std::thread([executor = out.get()] { executor->serve(); });
  return out;
}

CpuExecutor::~CpuExecutor() {
  if (!device_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  to_do_.notify_one();
  device_.join();
}

Status CpuExecutor::apply(std::uint32_t mode, std::span<const sl_op_plan> plans) {
  auto numerics = numerics_of(keys_, plans, weights_);
  if (!numerics) return tl::unexpected(numerics.error());
  if (options_.blocks == 0) return fail("engine.kv_blocks", "at least 1", "0");
  if (mode >= 256) return fail("precision mode", "below 256", std::to_string(mode));
  for (const auto& other : modes_)
    if (other && other->kv_types() != numerics->kv_types())
      return fail(fmt::format("precision mode {}: KV cache", mode), "the types of the mode applied before",
                  "others", "keep one type for each layer's cache in all modes");
  if (!cache_)
    if (Status made = make_caches(*numerics); !made) return made;
  if (mode >= modes_.size()) modes_.resize(mode + 1);
  modes_[mode] = std::move(*numerics);
  return {};
}

// All or nothing, so that it can be tried again.
Status CpuExecutor::make_caches(const Numerics& numerics) {
  const auto make = [&](std::uint32_t blocks) {
    return KvCache::create(model_.architecture, numerics.kv_types(), options_.block_tokens, blocks);
  };
  auto cache = make(options_.blocks);
  if (!cache) return tl::unexpected(cache.error());
  if (options_.host_blocks > 0) {
    auto host = make(options_.host_blocks);
    if (!host) return tl::unexpected(host.error());
    auto copier = Copier::create(1, [this](std::span<const BlockCopy> copies, std::span<std::uint8_t> moved) {
      for (std::size_t i = 0; i < copies.size(); ++i) moved[i] = move(copies[i]) ? 1 : 0;
    });
    if (!copier) return tl::unexpected(copier.error());
    host_cache_ = std::move(*host);
    copier_ = std::move(*copier);
  }
  cache_ = std::move(*cache);
  return {};
}

Result<std::uint64_t> CpuExecutor::block_bytes(std::span<const sl_op_plan> plans) const {
  auto numerics = numerics_of(keys_, plans, weights_);
  if (!numerics) return tl::unexpected(numerics.error());
  return KvCache::block_bytes(model_.architecture, numerics->kv_types(), options_.block_tokens);
}

bool CpuExecutor::move(const BlockCopy& copy) const {
  const KvCache* from = cache_of(copy.from_tier, copy.from);
  const KvCache* to = cache_of(copy.to_tier, copy.to);
  if (from == nullptr || to == nullptr) return false;
  from->copy(copy.from, *to, copy.to);
  return true;
}

const KvCache* CpuExecutor::cache_of(std::uint8_t tier, std::uint32_t block) const {
  const std::optional<KvCache>& cache = tier == SL_TIER_HOST ? host_cache_ : cache_;
  return tier <= SL_TIER_HOST && block < cache->blocks() ? &*cache : nullptr;
}

std::span<const sl_op_plan> CpuExecutor::effective(std::uint32_t mode) const {
  if (mode >= modes_.size() || !modes_[mode]) return {};
  return modes_[mode]->effective;
}

void CpuExecutor::submit(const Batch& batch) {
  assert(submitted_ - collected_ <= options_.lag);
  Job& to = job(submitted_);
  to.step = batch.step;
  to.mode = batch.mode;
  to.decodes = batch.decodes;
  to.prefill_tokens = batch.prefill_tokens;
  to.begins.clear();
  to.known.clear();
  for (const Begin& begin : batch.begins) {
    const std::size_t first = to.known.size();
    to.known.insert(to.known.end(), begin.prompt.begin(), begin.prompt.end());
    to.known.insert(to.known.end(), begin.generated.begin(), begin.generated.end());
    to.begins.push_back({begin.row, begin.fork, begin.prompt_tokens, *begin.sampling, first,
                         to.known.size() - first, begin.max_tokens});
  }
  to.changes.assign(batch.changes.begin(), batch.changes.end());
  to.copies.assign(batch.copies.begin(), batch.copies.end());
  to.rows.assign(batch.rows.begin(), batch.rows.end());
  to.done = false;
  if (!device_.joinable()) {
    ++submitted_;
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    ++submitted_;
  }
  to_do_.notify_one();
}

Collected CpuExecutor::collect() {
  assert(collected_ < submitted_);
  Job& oldest = job(collected_++);
  if (device_.joinable()) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return oldest.done; });
  } else {
    compute(oldest);
  }
  Collected done{oldest.step, oldest.start_ns,  oldest.end_ns, oldest.failed,
                 oldest.why,  oldest.decode_ns, oldest.tokens, oldest.logprobs};
  if (copier_ != nullptr) {
    if (oldest.rows.empty()) copier_->wait_for_one();
    copier_->tell(done, copies_failed_);
  }
  return done;
}

void CpuExecutor::serve() {
  for (std::uint64_t next = 0;; ++next) {
    {
      std::unique_lock lock(mutex_);
      to_do_.wait(lock, [&] { return stop_ || next < submitted_; });
      if (stop_) return;
    }
    Job& at = job(next);
    compute(at);
    {
      const std::lock_guard lock(mutex_);
      at.done = true;
    }
    done_.notify_one();
  }
}

}  // namespace serveloop::execute::cpu
