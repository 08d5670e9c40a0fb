// Copies blocks between the device's pool and pinned host memory, on a stream of their own beside the steps.
//
// In host memory a block is one stretch: [layers][K, V][kv_heads, block_tokens, head_dim]. A batch's copies start when all that
// the steps' stream held at their begin() has ended; they end in the order in which they began, those of one batch
// together. A copy that cannot be fails alone and touches nothing; an error of the device fails the batch's copies.
// Thread safety: one thread.
#pragma once

#include <deque>
#include <vector>

#include "execute/cuda/kv_pool.hpp"
#include "execute/executor.hpp"

namespace serveloop::execute::cuda {

class Copier {
 public:
  // `pool` outlives it. `host_blocks` may be 0: then copies to and from the host fail. Fails where there is not so much
  // memory that can be pinned.
  static Result<Copier> create(const KvPool& pool, std::uint32_t host_blocks);

  // Behind what `steps` holds now.
  void begin(std::span<const BlockCopy> copies, const Stream& steps);
  // What has ended since the start, into `done`, which points to what `failed` then holds.
  void tell(Collected& done, std::vector<std::uint64_t>& failed);
  // Waits until more than the last tell() told has ended, if some are pending.
  void wait_for_more();
  void wait_for_all() const {
    stream_.wait().map_error([](const Error&) {});
  }

 private:
  struct Pending {
    std::uint64_t end = 0;  // copies since the start, up to this batch's last
    std::vector<std::uint64_t> failed;
    Event done;
    bool has_event = false;  // else nothing of it is under way
  };

  Status enqueue(std::span<const BlockCopy> copies, const Stream& steps, Pending& to);
  bool can_be(const BlockCopy& copy) const;
  Status copy(const BlockCopy& copy) const;
  void retire();  // the oldest, which has ended

  const KvPool* pool_ = nullptr;
  PinnedMemory<__nv_bfloat16> host_;
  std::uint32_t host_blocks_ = 0;
  Stream stream_;
  Event reached_;  // by the steps' stream
  std::deque<Pending> pending_;
  std::vector<Event> spare_;
  std::vector<std::uint64_t> failed_;  // not told yet
  std::uint64_t begun_ = 0, ended_ = 0, told_ = 0;
};

}  // namespace serveloop::execute::cuda
