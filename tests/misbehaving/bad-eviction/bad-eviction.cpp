// An eviction policy that answers wrongly in a chosen way on every rate-th call, and is plain LRU on the
// others.
//
// Where the cache offers nothing to be wrong about (no block is in use, or none has a cached child), the
// answer stays right.
#include <serveloop/cpp/eviction.hpp>
#include <string>
#include <utility>
#include <vector>

namespace {

class BadEviction {
 public:
  explicit BadEviction(const sl::Setup& setup)
      : mode_(setup.text("mode")),
        rate_(setup.integer("rate")),
        inherited_(setup->blocks[SL_TIER_DEVICE] + setup->blocks[SL_TIER_HOST]),
        idle_(setup->blocks[SL_TIER_DEVICE] + setup->blocks[SL_TIER_HOST]),
        in_host_(setup->blocks[SL_TIER_DEVICE] + setup->blocks[SL_TIER_HOST]) {}

  void note(const sl::EvictIn& in) {
    for (const sl_block_event& event : in.events()) {
      const uint32_t before = event.kind == SL_BLOCK_MOVED ? event.from : event.block;
      for (sl::BlockList* list : {&inherited_, &idle_, &in_host_}) list->remove(before);
      if (event.kind != SL_BLOCK_IDLE) continue;
      (event.tier == SL_TIER_HOST        ? in_host_
       : event.flags & SL_EVENT_HANDOVER ? inherited_
                                         : idle_)
          .push_back(event.block);
    }
  }

  // May throw: nothing of the C++ layer stands between this and the host.
  static int32_t evict(void* self, const sl_evict_in* in, sl_out* victims, sl_out*) {
    return static_cast<BadEviction*>(self)->answer(sl::EvictIn(*in), *victims);
  }

 private:
  int32_t answer(const sl::EvictIn& in, sl_out& victims) {
    const bool wrong = ++calls_ % rate_ == 0;
    if (wrong && mode_ == "exception") throw std::runtime_error("thrown by bad-eviction");
    note(in);
    if (wrong && mode_ == "empty") return SL_OK;
    name_in_host(in, victims, in->need[SL_TIER_HOST]);
    name_oldest(in, victims,
                victims.count + (wrong && mode_ == "too_few" && in.need() > 0 ? in.need() - 1 : in.need()));
    if (wrong) spoil(in, victims);
    return wrong && mode_ == "negative_status" ? SL_ERROR : SL_OK;
  }

  static sl_victim& row(sl_out& victims, uint32_t i) {
    return *reinterpret_cast<sl_victim*>(static_cast<char*>(victims.base) + std::size_t{i} * victims.stride);
  }
  static void push(sl_out& victims, const sl_victim& victim) {
    if (victims.count < victims.capacity) row(victims, victims.count) = victim;
    ++victims.count;
  }

  // In host memory a block may have been idle for longer than one below it.
  void name_in_host(const sl::EvictIn& in, sl_out& victims, uint32_t need) const {
    const auto blocks = in.blocks();
    std::vector<uint32_t> children(blocks.size());
    for (bool more = need > 0; std::exchange(more, false);)
      for (uint32_t block = in_host_.front(); block != in_host_.end() && victims.count < need;
           block = in_host_.after(block)) {
        const sl_block_row& row = blocks[block];
        if (row.refs > 0 || children[block] != row.cached_children) continue;
        push(victims, {row.key, block, SL_TIER_NONE, SL_REASON_NONE});
        children[block] = UINT32_MAX;  // not again
        if (row.parent != SL_NONE) ++children[row.parent];
        more = true;
      }
  }

  void name_oldest(const sl::EvictIn& in, sl_out& victims, uint32_t need) const {
    const auto blocks = in.blocks();
    for (const sl::BlockList* list : {&inherited_, &idle_})
      for (uint32_t block = list->front(); block != list->end() && victims.count < need;
           block = list->after(block))
        if (blocks[block].refs == 0)
          push(victims,
               {blocks[block].key, block, mode_ == "demote" ? SL_TIER_HOST : SL_TIER_NONE, SL_REASON_NONE});
  }

  void spoil(const sl::EvictIn& in, sl_out& victims) const {
    const auto blocks = in.blocks();
    const auto beyond = static_cast<uint32_t>(blocks.size() + 5);
    if (mode_ == "unknown_id") push(victims, {1, beyond, SL_TIER_NONE, SL_REASON_NONE});
    if (mode_ == "overflow") victims.count = victims.capacity + 1;
    if (mode_ == "twice" && victims.count > 0) push(victims, sl_victim(row(victims, 0)));
    if (mode_ == "stale_key" && victims.count > 0) row(victims, 0).key ^= 1;
    if (mode_ == "bad_number" && victims.count > 0) row(victims, 0).to = 9;
    if (mode_ != "pinned" && mode_ != "cached_children") return;
    for (uint32_t block = 0; block < blocks.size(); ++block) {
      const sl_block_row& b = blocks[block];
      if ((b.flags & SL_BLOCK_FLAG_INDEXED) == 0) continue;
      const bool pinned = mode_ == "pinned" && b.refs > 0;
      const bool parent = mode_ == "cached_children" && b.refs == 0 && b.cached_children > 0;
      if (!pinned && !parent) continue;
      if (parent) victims.count = 0;  // alone, without those below it
      return push(victims, {b.key, block, SL_TIER_NONE, SL_REASON_NONE});
    }
  }

  std::string mode_;
  int64_t rate_, calls_ = 0;
  sl::BlockList inherited_, idle_, in_host_;
};

constexpr sl_eviction kFunctions{sizeof(sl_eviction), 0, &BadEviction::evict,
                                 &sl::detail::EvictionFunctions<BadEviction>::note};

}  // namespace

SERVELOOP_PLUGIN(BadEviction, SL_KIND_EVICTION, "bad-eviction", "0.1.0", &kFunctions);
