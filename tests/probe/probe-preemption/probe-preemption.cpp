// Names victims as recompute does, and lets those swap that can; tells by its dump all that the last `preempt` and the last `note`
// could read, and whom it named.
#include <serveloop/cpp/preemption.hpp>

#include "../dump.hpp"

namespace {

class ProbePreemption {
 public:
  explicit ProbePreemption(const sl::Setup& setup) { probe::dump_create(create_, setup); }

  static const void* extension(const char* id) { return probe::dump_extension<ProbePreemption>(id); }

  std::string account() const {
    probe::Text calls;
    calls.line("calls", "preempt", preempts_);
    calls.line("calls", "note", notes_);
    return calls.str() + create_.str() + preempt_.str() + note_.str();
  }

  void note(const sl::View& view) {
    ++notes_;
    note_.clear();
    probe::dump_view(note_, "note.view", view);
  }

  void preempt(const sl::PreemptIn& in, sl::Yields& yields) {
    ++preempts_;
    preempt_.clear();
    preempt_.line("preempt", "for_seq", in->for_seq);
    preempt_.line("preempt", "need", in->need);
    probe::dump_rows<sl_candidate>(preempt_, "preempt.candidates", in->candidates);
    probe::dump_view(preempt_, "preempt.view", in.view());
    const auto candidates = in.candidates();
    uint64_t freed = 0, named = 0;
    for (std::size_t i = candidates.size(); i-- > 0 && freed < in->need; freed += candidates[i].frees) {
      const std::string at = "preempt.yield[" + std::to_string(named++) + "]";
      const bool swaps = (candidates[i].can & SL_CAN_SWAP) != 0;
      preempt_.line(at, "seq", candidates[i].seq);
      if (swaps) preempt_.line(at, "swaps", 1);
      swaps ? yields.swap(candidates[i].seq) : yields.recompute(candidates[i].seq);
    }
  }

 private:
  probe::Text create_, preempt_, note_;
  uint64_t preempts_ = 0, notes_ = 0;
};

}  // namespace

SERVELOOP_PREEMPTION(ProbePreemption, "probe-preemption", "0.1.0");
