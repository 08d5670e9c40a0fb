// Retention priorities (TensorRT-LLM's KvCacheRetentionConfig, 2024): a request says of ranges of its tokens how much their KV is worth,
// 0 to 100, and for how long after its last use. The block with the lowest priority leaves first, among equals the one that has
// been idle longest; when its time is over a block is worth as much as one of which nobody said anything.
// O(log blocks) an event, a victim and an expiry.
//
// With a host tier, what leaves in this order is dropped or demoted as two_tiers.hpp says.
#include <serveloop/cpp/by_score.hpp>
#include <set>

namespace {

class Retention {
 public:
  explicit Retention(const sl::Setup& setup)
      : default_(static_cast<uint32_t>(setup.integer("default_priority"))),
        wishes_(setup->blocks[SL_TIER_DEVICE]),
        by_priority_(setup, {kDemoted, kMadeRoom}) {}

  void note(const sl::EvictIn& in) {
    idle_.clear();
    by_priority_.hear(
        in, [&](const sl_block_event& event, uint32_t block) { hear(in, event, block); },
        [&](uint32_t block) {
          idle_.push_back(block);
          return wishes_[block].given ? wishes_[block].priority : default_;
        });
    for (const uint32_t block : idle_) {
      Wish& wish = wishes_[block];
      if (!by_priority_.contains(block) || !wish.given || wish.duration_ns >= SL_NEVER - in->view->now_ns)
        continue;
      forget_end(block);  // it went idle twice in this call
      wish.ends_ns = in->view->now_ns + wish.duration_ns;
      ends_.insert({wish.ends_ns, block});
    }
    expire(in->view->now_ns);
  }

  void evict(const sl::EvictIn& in, sl::Victims& victims) {
    note(in);
    by_priority_.answer(in, victims, [&](uint32_t block) {
      return by_priority_.score(block) > default_ ? kWorthMore : kLowestPriority;
    });
  }

 private:
  static constexpr uint16_t kLowestPriority = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons
  static constexpr uint16_t kWorthMore = SL_REASON_PLUGIN + 1;
  static constexpr uint16_t kDemoted = SL_REASON_PLUGIN + 2;
  static constexpr uint16_t kMadeRoom = SL_REASON_PLUGIN + 3;
  struct Wish {
    uint64_t duration_ns = 0;
    uint32_t priority = 0;
    bool given = false;
    uint64_t ends_ns = SL_NEVER;  // of an idle block: its time in ends_
  };

  void hear(const sl::EvictIn& in, const sl_block_event& event, uint32_t block) {
    // Its time was over before this use, and nobody has called since.
    const bool was_over = wishes_[block].ends_ns <= in.blocks()[block].last_use_ns;
    forget_end(block);  // it is used, or gone
    if (was_over) wishes_[block] = {};
    const bool came_back = event.kind == SL_BLOCK_MOVED && event.block == block;
    if (came_back || event.kind == SL_BLOCK_INSERTED) wishes_[block] = {};
    if (event.kind == SL_BLOCK_INSERTED || event.kind == SL_BLOCK_HIT) hear_wish(in, event, block);
  }
  // Of the request that uses it now; one that says nothing of this block leaves what was said before. The last range that
  // holds the block's first token counts.
  void hear_wish(const sl::EvictIn& in, const sl_block_event& event, uint32_t block) {
    const sl::View view = in.view();
    if (event.request == 0 || event.request_row >= view.requests().size()) return;
    const sl_request_row& request = view.requests()[event.request_row];
    if (request.request != event.request) return;  // it has ended, and its row is another's
    const uint64_t token = uint64_t{event.depth} * view->block_tokens;
    for (const sl_retention& range : view.retention(request))
      if (range.from_token <= token && token < range.to_token)
        wishes_[block] = {range.duration_ns, range.priority, true, SL_NEVER};
  }

  void forget_end(uint32_t block) {
    ends_.erase({wishes_[block].ends_ns, block});
    wishes_[block].ends_ns = SL_NEVER;
  }
  void expire(uint64_t now_ns) {
    while (!ends_.empty() && ends_.begin()->first <= now_ns) {
      const uint32_t block = ends_.begin()->second;
      ends_.erase(ends_.begin());
      by_priority_.rescore(block, default_);
      wishes_[block] = {};
    }
  }

  uint32_t default_;
  std::vector<Wish> wishes_;  // by block
  // Of idle blocks, by the time at which nothing is wished any more.
  std::set<std::pair<uint64_t, uint32_t>> ends_;
  std::vector<uint32_t> idle_;  // of this call's events
  sl::ByScore<uint32_t> by_priority_;
};

}  // namespace

SERVELOOP_EVICTION(Retention, "retention", "0.1.0");
