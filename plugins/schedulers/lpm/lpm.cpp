// Longest prefix match (SGLang: Zheng et al., SGLang: Efficient Execution of Structured Language Model Programs, NeurIPS
// 2024): of the waiting ones the one with the longest cached prefix is next, ties by arrival.
//
// Cost of a step: one walk over the running sequences, O(depth * log waiting) for each that comes or goes and for each node
// above waiting ones whose cached length changed, and O(log waiting) for each that it lists.
#include <serveloop/cpp/computing.hpp>
#include <serveloop/cpp/hit_tree.hpp>
#include <serveloop/cpp/turns.hpp>

namespace {

class Lpm {
 public:
  explicit Lpm(const sl::Setup& setup)
      : defers_(setup.boolean("defer")),
        turns_(setup, static_cast<uint64_t>(setup.integer("max_wait_ms")) * 1'000'000),
        tree_(setup->sequence_slots) {
    const int64_t cap = setup.integer("max_prefill_tokens");
    if (cap > 0) max_prefill_tokens_ = static_cast<uint32_t>(cap);
  }

  void note(const sl::View& view) {
    tree_.hear(view);
    turns_.hear(
        view, [&](const sl_seq_row& seq) { tree_.insert(view, seq); }, [&](sl_seq id) { tree_.erase(id); });
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    const uint32_t budget = sl::run_in_order(view, plan, view->token_budget, max_prefill_tokens_);
    turns_.start(view, budget, max_prefill_tokens_);
    const uint64_t hit_blocks = turns_.more() && tree_.size() > 0 ? list(view) : 0;
    turns_.admit(view, plan);
    plan.gauge(kWaiting, static_cast<double>(tree_.size() + turns_.first()));
    plan.gauge(kHit, static_cast<double>(hit_blocks * view->block_tokens));
  }

 private:
  static constexpr uint32_t kWaiting = 0, kHit = 1;  // indexes in plugin.toml's gauges

  // One whose next block is being computed by another waits for it: so what several share is computed once. Returns the blocks
  // that those listed hit.
  uint64_t list(const sl::View& view) {
    uint64_t hit_blocks = 0;
    if (defers_) computing_.start(view);
    sl::HitTree::Walk walk(tree_);
    walk.open(0);
    while (turns_.more()) {
      const auto next = walk.next([&](uint32_t node) { return defers_ && computing_.contains(node); },
                                  [](uint32_t) { return false; });
      if (!next) break;
      const sl_seq_row& seq = view.seqs()[SL_SEQ_SLOT(next->seq)];
      turns_.add(view, seq);
      if (defers_) computing_.mark(view, seq);
      hit_blocks += next->hit_blocks;
    }
    return hit_blocks;
  }

  bool defers_;
  uint32_t max_prefill_tokens_ = UINT32_MAX;
  sl::Turns turns_;
  sl::HitTree tree_;
  sl::Computing computing_;
};

}  // namespace

SERVELOOP_SCHEDULER(Lpm, "lpm", "0.1.0");
