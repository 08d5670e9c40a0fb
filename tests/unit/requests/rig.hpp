// A request manager over a mapping of its own, and short words for what tests do with it.
#pragma once

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "requests/manager.hpp"

namespace serveloop::requests {

class Rig {
 public:
  explicit Rig(Options options = {16, 4, 1 << 20})
      : mapping_(need(Mapping::create(std::size_t{64} << 20))), manager(mapping_, options) {}

  // A request that has arrived; the slot of its first sequence.
  Slot arrive(std::uint64_t id, RequestSpec spec, std::uint32_t max_tokens = 8, Labels labels = {}) {
    std::vector<Slot> slots;
    if (Status ok = manager.arrive(id, spec, spec.prompt, max_tokens, labels, slots); !ok)
      throw std::runtime_error(ok.error().message());
    return slots.front();
  }
  Slot arrive(std::uint64_t id, std::uint32_t n = 1) {
    RequestSpec spec;
    spec.prompt = {7, 8, 9};
    spec.n = n;
    return arrive(id, spec);
  }
  Slot ready(std::uint64_t id) {
    const Slot slot = arrive(id);
    manager.clear_not_ready(slot, SL_NOT_READY_UNGATED, 1);
    return slot;
  }
  sl_seq id(Slot slot) const { return manager.row(slot).id; }
  std::vector<Slot> ready_list() const {
    std::vector<Slot> list;
    for (Slot slot = manager.first_ready(); slot != SL_NONE; slot = manager.next_ready(slot))
      list.push_back(slot);
    return list;
  }
  std::vector<Slot> running() {
    const auto list = manager.running();
    return {list.begin(), list.end()};
  }
  // Kinds of events since the last call, in order.
  std::vector<int> told() {
    const sl_table table = manager.events();
    std::vector<int> kinds;
    for (std::uint32_t i = 0; i < table.count; ++i)
      kinds.push_back(static_cast<const sl_event*>(table.base)[i].kind);
    manager.forget_events(manager.event_count());
    return kinds;
  }
  const sl_event& last_event() const {
    const sl_table table = manager.events();
    return static_cast<const sl_event*>(table.base)[table.count - 1];
  }

 private:
  static Mapping need(Result<Mapping> made) {
    if (!made) throw std::runtime_error(made.error().message());
    return std::move(*made);
  }
  Mapping mapping_;

 public:
  Manager manager;
};

}  // namespace serveloop::requests
