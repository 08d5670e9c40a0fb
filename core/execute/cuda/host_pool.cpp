#include "execute/cuda/host_pool.hpp"

#include <serveloop/rows.h>

#include <algorithm>

namespace serveloop::execute::cuda {
namespace {
constexpr std::size_t kBytesAtOnce = std::size_t{4} << 20;  // some 80 us of a PCIe 5 link
}

Result<HostPool> HostPool::create(const KvPool& pool, std::uint32_t blocks) {
  HostPool out;
  out.pool_ = &pool;
  out.blocks_ = blocks;
  if (Status good = check(cudaGetDevice(&out.device_), "CUDA device"); !good)
    return tl::unexpected(good.error());
  if (Status good = out.stream_.open(); !good) return tl::unexpected(good.error());
  if (Status good = out.memory_.make(pool.block_elements() * blocks, "KV blocks in host memory"); !good)
    return tl::unexpected(good.error());
  return out;
}

std::size_t HostPool::at_once() const {
  return std::max<std::size_t>(kBytesAtOnce / (pool_->block_elements() * sizeof(__nv_bfloat16)), 1);
}

void HostPool::move(std::span<const BlockCopy> copies, std::span<std::uint8_t> moved) const {
  Status good = check(cudaSetDevice(device_), "CUDA device");  // of this thread
  for (std::size_t i = 0; i < copies.size() && good; ++i) {
    if (!can_move(copies[i])) continue;
    good = enqueue(copies[i]);
    moved[i] = good ? 1 : 0;
  }
  // The device's error is the next step's to tell; what copies did then nobody knows.
  if (!stream_.wait() || !good) std::fill(moved.begin(), moved.end(), std::uint8_t{0});
}

bool HostPool::can_move(const BlockCopy& copy) const {
  const auto there = [this](std::uint8_t tier, std::uint32_t block) {
    return (tier == SL_TIER_DEVICE && block < pool_->blocks()) || (tier == SL_TIER_HOST && block < blocks_);
  };
  return copy.from_tier != copy.to_tier && there(copy.from_tier, copy.from) && there(copy.to_tier, copy.to);
}

Status HostPool::enqueue(const BlockCopy& copy) const {
  const bool out = copy.to_tier == SL_TIER_HOST;
  __nv_bfloat16* on_host = memory_.get() + (out ? copy.to : copy.from) * pool_->block_elements();
  return out ? pool_->copy_out(copy.from, on_host, stream_) : pool_->copy_in(on_host, copy.to, stream_);
}

}  // namespace serveloop::execute::cuda
