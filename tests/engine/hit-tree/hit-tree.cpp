// Longest prefix match by sl::HitTree, held at each step against a sort of all that wait by what the tables say: the whole
// order, and that without what some nodes of the tree cut off. Throws where they differ.
#include <algorithm>
#include <serveloop/cpp/admit.hpp>
#include <serveloop/cpp/hit_tree.hpp>
#include <stdexcept>
#include <string>

namespace {

class Checked {
 public:
  explicit Checked(const sl::Setup& setup)
      : ready_(setup->sequence_slots), bring_in_(setup), tree_(setup->sequence_slots) {}

  void note(const sl::View& view) {
    ready_.hear(view, sl::ArrivalKey::of);
    bring_in_.hear(view, sl::ArrivalKey::of);
    tree_.hear(view);
    sl::hear_ready(
        view, [&](const sl_seq_row& seq) { tree_.insert(view, seq, view.request(seq).tenant); },
        [&](sl_seq id) { tree_.erase(id); });
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    if (tree_.size() != ready_.size()) throw std::logic_error("another number waits");
    const auto everything = [](uint32_t) { return false; };
    const auto some = [&](uint32_t node) { return (node * 2654435761u + view->step) % 7 == 0; };
    compare(view, everything, "all");
    compare(view, some, "without what some nodes cut off");
    plan.gauge(0, static_cast<double>(compared_));
    const uint32_t budget = sl::run_in_order(view, plan, view->token_budget);
    sl::admit_in_order(view, plan, ready_, bring_in_, budget);
  }

 private:
  struct Waiting {
    uint32_t hit;
    sl::ArrivalKey arrival;
    sl_seq seq;
  };

  template <class Skips>
  void compare(const sl::View& view, Skips&& skips, const char* what) {
    std::vector<Waiting> sorted;
    for (const auto& [arrival, id] : ready_) {
      const sl_seq_row& seq = *view.find(id);
      bool cut = false;
      for (uint32_t node = seq.node; node != SL_NONE && node != 0; node = view.nodes()[node].parent)
        cut = cut || skips(node);
      if (!cut) sorted.push_back({sl::cached_prefix_tokens(view, seq) / view->block_tokens, arrival, id});
    }
    std::sort(sorted.begin(), sorted.end(), [](const Waiting& a, const Waiting& b) {
      return a.hit != b.hit ? a.hit > b.hit : a.arrival < b.arrival;
    });
    sl::HitTree::Walk walk(tree_);
    for (uint32_t group = 0; group < tree_.groups(); ++group) walk.open(group);
    const auto none = [](uint32_t) { return false; };
    for (const Waiting& next : sorted) {
      const auto found = walk.next(skips, none);
      if (!found || found->seq != next.seq || found->hit_blocks != next.hit)
        throw std::logic_error(std::string(what) + ": step " + std::to_string(view->step) + ", after " +
                               std::to_string(&next - sorted.data()) + " of " +
                               std::to_string(sorted.size()));
      ++compared_;
    }
    if (walk.next(skips, none)) throw std::logic_error(std::string(what) + ": more than wait");
  }

  sl::ReadyQueue<sl::ArrivalKey> ready_;
  sl::BringIn<sl::ArrivalKey> bring_in_;
  sl::HitTree tree_;
  uint64_t compared_ = 0;
};

}  // namespace

SERVELOOP_SCHEDULER(Checked, "hit-tree", "0.1.0");
