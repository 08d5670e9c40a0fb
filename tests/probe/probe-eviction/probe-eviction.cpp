// Evicts as lru does, and tells by its dump all that the last `evict` and the last `note` could read, and what it
// answered: victims of two reasons, and some of them to the host. There it drops what was idle longest.
#include <serveloop/cpp/eviction.hpp>

#include "../dump.hpp"

namespace {

class ProbeEviction {
 public:
  explicit ProbeEviction(const sl::Setup& setup)
      : device_blocks_(setup->blocks[SL_TIER_DEVICE]),
        inherited_(device_blocks_ + setup->blocks[SL_TIER_HOST]),
        idle_(device_blocks_ + setup->blocks[SL_TIER_HOST]) {
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
    uint32_t missing[] = {in->need[SL_TIER_DEVICE], in->need[SL_TIER_HOST]};
    for (sl::BlockList* list : {&inherited_, &idle_})
      for (uint32_t block = list->front(); block != list->end(); block = list->after(block)) {
        uint32_t& of_tier = missing[block < device_blocks_ ? SL_TIER_DEVICE : SL_TIER_HOST];
        if (of_tier == 0 || in.blocks()[block].refs > 0) continue;
        --of_tier;
        name(block, victims);
      }
  }

 private:
  void name(uint32_t block, sl::Victims& victims) {
    const std::string at = "evict.victim[" + std::to_string(victims.size()) + "]";
    const auto reason = static_cast<uint16_t>(SL_REASON_PLUGIN + block % 2);
    const bool demoted = block < device_blocks_ && block % 5 < 2;
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
      if (event.kind == SL_BLOCK_MOVED) inherited_.remove(event.from), idle_.remove(event.from);
      if (event.kind == SL_BLOCK_IDLE)
        (event.flags & SL_EVENT_HANDOVER ? inherited_ : idle_).push_back(event.block);
    }
  }

  uint32_t device_blocks_;
  sl::BlockList inherited_, idle_;
  probe::Text create_, evict_, note_;
  uint64_t evicts_ = 0, notes_ = 0;
};

}  // namespace

SERVELOOP_EVICTION(ProbeEviction, "probe-eviction", "0.1.0");
