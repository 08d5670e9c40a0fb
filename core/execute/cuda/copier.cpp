#include "execute/cuda/copier.hpp"

#include <serveloop/rows.h>

#include <numeric>
#include <utility>

namespace serveloop::execute::cuda {

Result<Copier> Copier::create(const KvPool& pool, std::uint32_t host_blocks) {
  Copier copier;
  copier.pool_ = &pool;
  copier.host_blocks_ = host_blocks;
  if (Status good = copier.stream_.open(); !good) return tl::unexpected(good.error());
  if (Status good = copier.reached_.open(); !good) return tl::unexpected(good.error());
  if (Status good = copier.host_.make(pool.block_elements() * host_blocks, "KV blocks in host memory"); !good)
    return tl::unexpected(good.error());
  return copier;
}

void Copier::begin(std::span<const BlockCopy> copies, const Stream& steps) {
  if (copies.empty()) return;
  Pending to;
  if (!enqueue(copies, steps, to)) {  // none of them may count as done
    to.failed.resize(copies.size());
    std::iota(to.failed.begin(), to.failed.end(), begun_);
  }
  begun_ += copies.size();
  to.end = begun_;
  pending_.push_back(std::move(to));
}

Status Copier::enqueue(std::span<const BlockCopy> copies, const Stream& steps, Pending& to) {
  if (spare_.empty()) {
    spare_.emplace_back();
    if (Status good = spare_.back().open(); !good) return good;
  }
  if (Status good = reached_.record(steps); !good) return good;
  if (Status good = check(cudaStreamWaitEvent(stream_.get(), reached_.get()), "CUDA stream"); !good)
    return good;
  Status good;
  for (std::size_t i = 0; i < copies.size() && good; ++i) {
    if (can_be(copies[i]))
      good = copy(copies[i]);
    else
      to.failed.push_back(begun_ + i);
  }
  to.done = std::move(spare_.back());
  spare_.pop_back();
  const Status recorded = to.done.record(stream_);  // also behind those before an error
  to.has_event = recorded.has_value();
  return good ? recorded : good;
}

bool Copier::can_be(const BlockCopy& copy) const {
  const auto there = [this](std::uint8_t tier, std::uint32_t block) {
    return (tier == SL_TIER_DEVICE && block < pool_->blocks()) ||
           (tier == SL_TIER_HOST && block < host_blocks_);
  };
  return copy.from_tier != copy.to_tier && there(copy.from_tier, copy.from) && there(copy.to_tier, copy.to);
}

Status Copier::copy(const BlockCopy& copy) const {
  const bool out = copy.to_tier == SL_TIER_HOST;
  const std::uint32_t on_host = out ? copy.to : copy.from, on_device = out ? copy.from : copy.to;
  __nv_bfloat16* host = host_.get() + on_host * pool_->block_elements();
  return out ? pool_->copy_out(on_device, host, stream_) : pool_->copy_in(host, on_device, stream_);
}

void Copier::retire() {
  Pending& oldest = pending_.front();
  ended_ = oldest.end;
  failed_.insert(failed_.end(), oldest.failed.begin(), oldest.failed.end());
  if (oldest.has_event) spare_.push_back(std::move(oldest.done));
  pending_.pop_front();
}

void Copier::tell(Collected& done, std::vector<std::uint64_t>& failed) {
  while (!pending_.empty()) {
    const Pending& oldest = pending_.front();
    const cudaError_t error = oldest.has_event ? cudaEventQuery(oldest.done.get()) : cudaSuccess;
    if (error == cudaErrorNotReady) {
      cudaGetLastError();  // it was kept as an error
      break;
    }
    if (error != cudaSuccess) {  // the device's: what they did nobody knows
      Pending& lost = pending_.front();
      lost.failed.resize(lost.end - ended_);
      std::iota(lost.failed.begin(), lost.failed.end(), ended_);
    }
    retire();
  }
  failed.clear();
  failed.swap(failed_);
  done.copies_ended = told_ = ended_;
  done.copies_failed = failed;
}

void Copier::wait_for_more() {
  if (ended_ > told_ || pending_.empty() || !pending_.front().has_event) return;
  cudaEventSynchronize(pending_.front().done.get());  // tell() hears of its error
}

}  // namespace serveloop::execute::cuda
