// The two halves of a plan in which running sequences keep their slots: what runs goes on in the order of admission, and
// who waits is admitted in an order of the policy's.
#pragma once

#include <algorithm>
#include <iterator>
#include <optional>
#include <serveloop/cpp/admission.hpp>
#include <serveloop/cpp/bring_in.hpp>
#include <serveloop/cpp/chunking.hpp>
#include <utility>

namespace sl {

// Admits the sequences of `order`, a range of pairs of a Key and a ready sequence, smallest key first, until the step's
// sequence slots or `budget` tokens are used up, or the next in turn has to wait: for room (admission.hpp) or for a step with
// more tokens (chunking.hpp). Whose blocks are in host memory, or on their way, keeps its turn: a slot stays free for it. Cost:
// one look at each that it admits and at the first that it does not, and BringIn's few next in turn; so a range made for the
// step need not be longer than that.
template <class Order, class Key, class Admission, class Chunking>
void admit_in_order(const View& view, Plan& plan, const Order& order, BringIn<Key>& bring_in, uint32_t budget,
                    Admission& admission, Chunking& chunking) {
  uint32_t slots = view->max_sequences - std::min(view->max_sequences, view->running_count);
  const auto seqs = view.seqs();
  auto next = std::begin(order);
  const auto end = std::end(order);
  auto behind = static_cast<uint32_t>(std::size(order));
  const auto on = [&] { ++next, --behind; };
  bring_in.start(view);
  admission.start(view);
  while (slots > 0 && budget > 0) {
    if (bring_in.coming_first(view, plan, next, end, nullptr, [](const Key&) { return true; })) {
      --slots;
      continue;
    }
    if (next == end) break;
    const sl_seq_row& seq = seqs[SL_SEQ_SLOT(next->second)];
    if (seq.runnable == 0) {  // all that it could run is in flight
      on();
      continue;
    }
    const std::optional<uint32_t> hold_blocks = admission.room_for(view, seq);
    if (!hold_blocks) break;
    if (bring_in.instead(view, plan, seq)) {
      on();
      --slots;
      continue;
    }
    const uint32_t tokens =
        chunking.of_prompt(uncached_tokens(view, seq), budget, std::min(slots, behind) - 1);
    if (tokens == 0) break;
    on();
    plan.admit(seq.id, tokens, SL_REASON_NONE, *hold_blocks);
    admission.enters(view, seq);
    budget -= tokens;
    --slots;
  }
  bring_in.ahead(view, plan, next, end);
}

// The same where whoever finds a slot enters, with at most `most_tokens` tokens of its prompt a step.
template <class Order, class Key>
void admit_in_order(const View& view, Plan& plan, const Order& order, BringIn<Key>& bring_in, uint32_t budget,
                    uint32_t most_tokens = UINT32_MAX) {
  SlotAdmission admission;
  CappedChunks chunking(most_tokens);
  admit_in_order(view, plan, order, bring_in, budget, admission, chunking);
}

// The order that a key's own `of` says.
template <class Key>
struct OfKey {
  Key operator()(const View& view, const sl_seq_row& seq) const { return Key::of(view, seq); }
};

// Order x admission x chunking: a scheduler whose running sequences keep their slots. `Key` orders those that wait, smallest
// first; `KeyOf` gives that of a sequence.
template <class Key, class Admission, class Chunking, class KeyOf = OfKey<Key>>
class PlanInOrder {
 public:
  PlanInOrder(const Setup& setup, Admission admission, Chunking chunking, KeyOf key_of = {})
      : key_of_(key_of),
        ready_(setup->sequence_slots),
        bring_in_(setup),
        admission_(std::move(admission)),
        chunking_(std::move(chunking)) {}

  void hear(const View& view) {
    ready_.hear(view, key_of_);
    bring_in_.hear(view, key_of_);
    admission_.hear(view);
  }
  void write(const View& view, Plan& plan) {
    hear(view);
    const uint32_t budget = chunking_.run(view, plan);
    admit_in_order(view, plan, ready_, bring_in_, budget, admission_, chunking_);
    chunking_.rest(view, plan);
  }
  std::size_t waiting() const { return ready_.size(); }
  const Admission& admission() const { return admission_; }
  const Chunking& chunking() const { return chunking_; }

 private:
  KeyOf key_of_;
  ReadyQueue<Key> ready_;
  BringIn<Key> bring_in_;
  Admission admission_;
  Chunking chunking_;
};

}  // namespace sl
