// What each sequence is served, as it comes: its prompt when it is first admitted, its output token by token. For policies
// that charge tenants for it.
//
// Cost: one look at each running sequence a step.
#pragma once

#include <serveloop/cpp/state.hpp>
#include <serveloop/cpp/view.hpp>

namespace sl {

// A tenant of twice the weight may have twice as much: by the ABI's thousandths.
inline double per_weight(double service, uint32_t weight_milli) {
  return service * 1000.0 / std::max(1u, weight_milli);
}

class Service {
 public:
  explicit Service(uint32_t sequence_slots) : of_(sequence_slots) {}

  // Calls `prompt(row, hit)` once for each sequence, in the call after its first admission, with the tokens that it hit; and
  // `output(tenant, weight_milli, tokens)` for what was generated since the last call. Once a step.
  template <class Prompt, class Output>
  void hear(const View& view, Prompt&& prompt, Output&& output) {
    for (const sl_event& event : view.events()) {
      if (event.kind == SL_EV_ADMITTED) admitted(view, event, prompt);
      if (event.kind == SL_EV_ENDED) {
        Of& of = of_[SL_SEQ_SLOT(event.subject)];
        if (of.seq != event.subject) continue;
        if (event.b > of.generated)
          output(of.tenant, of.weight_milli, static_cast<uint32_t>(event.b) - of.generated);
        of.seq = SL_NO_SEQ;
      }
    }
    const auto seqs = view.seqs();
    for (const uint32_t slot : view.running()) {
      Of& of = of_[slot];
      const uint32_t generated = seqs[slot].generated;
      if (of.seq != seqs[slot].id || generated <= of.generated) continue;
      output(of.tenant, of.weight_milli, generated - of.generated);
      of.generated = generated;
    }
  }

  void save(StateWriter& out) const {
    uint64_t count = 0;
    for (const Of& of : of_) count += of.seq != SL_NO_SEQ ? 1 : 0;
    out.put(count);
    for (const Of& of : of_)
      if (of.seq != SL_NO_SEQ) out.put(of);
  }
  void load(StateReader& in) {
    std::vector<Of> loaded(of_.size());
    for (uint64_t left = in.get<uint64_t>(); left > 0; --left) {
      const Of of = in.get<Of>();
      loaded.at(SL_SEQ_SLOT(of.seq)) = of;
    }
    of_.swap(loaded);
  }

 private:
  struct Of {
    sl_seq seq = SL_NO_SEQ;
    uint32_t tenant = 0, weight_milli = 0;
    uint32_t generated = 0, pad = 0;  // output tokens that were told of
  };
  template <class Prompt>
  void admitted(const View& view, const sl_event& event, Prompt&& prompt) {
    const sl_seq_row* seq = view.find(event.subject);
    Of& of = of_[SL_SEQ_SLOT(event.subject)];
    if (seq == nullptr || of.seq == seq->id) return;  // it came back
    const sl_request_row& request = view.request(*seq);
    of = {seq->id, request.tenant, request.tenant_weight_milli, 0, 0};
    if ((event.flags & SL_EVENT_HANDOVER) != 0 || seq->preemptions > 0)
      of.generated = seq->generated;  // it ran before this policy was there: that counts for nobody
    else
      prompt(*seq, static_cast<uint32_t>(event.a));
  }
  std::vector<Of> of_;  // by slot
};

}  // namespace sl
