// Evicts as lru does, and tells by its dump all that the last `evict` and the last `note` could read, and what it
// answered: victims of two reasons, and some of them to the host.
#include <serveloop/cpp/eviction.hpp>

#include "../dump.hpp"

namespace {

class ProbeEviction {
 public:
  explicit ProbeEviction(const sl::Setup& setup)
      : inherited_(setup->blocks[SL_TIER_DEVICE]), idle_(setup->blocks[SL_TIER_DEVICE]) {
    probe::dump_create(create_, setup);
  }

  static const void* extension(const char* id) { return probe::dump_extension<ProbeEviction>(id); }

  std::string account() const {
    probe::Text calls;
    calls.line("calls", "evict", evicts_);
    calls.line("calls", "note", notes_);
    return calls.str() + create_.str() + evict_.str() + note_.str();
  }

  void note(const sl::EvictIn& in) {
    ++notes_;
    write(note_, "note", in);
    hear(in);
  }

  void evict(const sl::EvictIn& in, sl::Victims& victims) {
    ++evicts_;
    write(evict_, "evict", in);
    hear(in);
    for (sl::BlockList* list : {&inherited_, &idle_})
      for (uint32_t block = list->front(); block != list->end() && victims.size() < in.need();
           block = list->after(block))
        if (in.blocks()[block].refs == 0) name(block, victims);
  }

 private:
  void name(uint32_t block, sl::Victims& victims) {
    const std::string at = "evict.victim[" + std::to_string(victims.size()) + "]";
    const auto reason = static_cast<uint16_t>(SL_REASON_PLUGIN + block % 2);
    const bool demoted = block % 5 == 0;
    evict_.line(at, "block", block);
    evict_.line(at, "to", demoted ? SL_TIER_HOST : SL_TIER_NONE);
    evict_.line(at, "reason", reason);
    if (demoted)
      victims.demote(block, reason);
    else
      victims.drop(block, reason);
  }
  static void write(probe::Text& out, const std::string& at, const sl::EvictIn& in) {
    out.clear();
    out.line(at, "need[0]", in->need[SL_TIER_DEVICE]);
    out.line(at, "need[1]", in->need[SL_TIER_HOST]);
    out.line(at, "ahead[0]", in->ahead[SL_TIER_DEVICE]);
    out.line(at, "ahead[1]", in->ahead[SL_TIER_HOST]);
    probe::dump_rows<sl_block_event>(out, at + ".events", in->events);
    probe::dump_view(out, at + ".view", in.view());
  }
  void hear(const sl::EvictIn& in) {
    for (const sl_block_event& event : in.events()) {
      inherited_.remove(event.block);
      idle_.remove(event.block);
      if (event.kind == SL_BLOCK_IDLE)
        (event.flags & SL_EVENT_HANDOVER ? inherited_ : idle_).push_back(event.block);
    }
  }

  sl::BlockList inherited_, idle_;
  probe::Text create_, evict_, note_;
  uint64_t evicts_ = 0, notes_ = 0;
};

}  // namespace

SERVELOOP_EVICTION(ProbeEviction, "probe-eviction", "0.1.0");
