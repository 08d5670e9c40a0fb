#include "kv/event_log.hpp"

#include <cassert>

namespace serveloop::kv {

EventLog::EventLog(Mapping& mapping, std::uint32_t blocks)
    : rows_(mapping.lay_out<sl_block_event>(capacity(blocks))),
      capacity_(capacity(blocks)),
      hits_end_(kSpare / 2 + std::size_t{4} * blocks),
      told_(blocks, 0) {}

sl_block_event* EventLog::overflow(std::uint16_t kind) const {
  assert(kind == SL_BLOCK_HIT && "block events were not drained");
  static_cast<void>(kind);
  return nullptr;
}

void EventLog::follow_begin() {
  ++round_;
  following_ = true;
  successor_.clear();
}

void EventLog::follow_end() {
  following_ = false;
  successor_.clear();
}

void EventLog::tell(const sl_block_event& state) {
  if (told(state.block)) return;
  told_[state.block] = round_;
  successor_.push_back(state);
  sl_block_event& told = successor_.back();
  told.kind = SL_BLOCK_INSERTED;
  told.flags |= SL_EVENT_HANDOVER;
  told.from = 0;
  told.request = 0;  // whose event brings it up did not insert it
  told.request_row = SL_NONE;
}

// A live event of a block that the successor has not heard of: its state comes first; if it went, there is
// nothing to tell; if it moved, its new state says all.
void EventLog::follow(const sl_block_event& event) {
  if (event.kind == SL_BLOCK_INSERTED) {
    told_[event.block] = round_;
  } else if (event.kind == SL_BLOCK_GONE) {
    if (!told(event.block)) return;
    told_[event.block] = 0;
  } else if (event.kind == SL_BLOCK_MOVED) {
    if (!told(event.from)) return tell(event);
    told_[event.from] = 0;
    told_[event.block] = round_;
  } else {
    tell(event);
  }
  successor_.push_back(event);
}

}  // namespace serveloop::kv
