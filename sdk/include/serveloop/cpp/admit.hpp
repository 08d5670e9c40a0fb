// Admission in the order of the ready queue, for schedulers whose running sequences keep their slots.
#pragma once

#include <algorithm>
#include <serveloop/cpp/bring_in.hpp>

namespace sl {

// Admits ready sequences, smallest key first, each with as many tokens as its prompt has uncached, but at most
// `most_tokens`, until the step's sequence slots or `budget` tokens are used up. Whose blocks are in host memory, or on
// their way, keeps its turn: a slot stays free for it. Cost: one look at each that it admits, and BringIn's few next in turn.
template <class Key>
void admit_in_order(const View& view, Plan& plan, const ReadyQueue<Key>& ready, BringIn<Key>& bring_in,
                    uint32_t budget, uint32_t most_tokens = UINT32_MAX) {
  uint32_t slots = view->max_sequences - std::min(view->max_sequences, view->running_count);
  const auto seqs = view.seqs();
  auto next = ready.begin();
  bring_in.start(view);
  while (slots > 0 && budget > 0) {
    if (bring_in.coming_first(view, plan, next, ready.end(), nullptr, [](const Key&) { return true; })) {
      --slots;
      continue;
    }
    if (next == ready.end()) break;
    const sl_seq_row& seq = seqs[SL_SEQ_SLOT((next++)->second)];
    if (seq.runnable == 0) continue;  // all that it could run is in flight
    if (bring_in.instead(view, plan, seq)) {
      --slots;
      continue;
    }
    const uint32_t tokens = std::min({uncached_tokens(view, seq), most_tokens, budget});
    plan.admit(seq.id, tokens);
    budget -= tokens;
    --slots;
  }
  bring_in.ahead(view, plan, next, ready.end());
}

}  // namespace sl
