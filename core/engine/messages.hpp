// What other threads tell the loop: taken in at the start of a step, in order, and noted in the step log.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "observe/codec.hpp"
#include "policy/host.hpp"
#include "requests/spec.hpp"

namespace serveloop::engine {

// A request made ready for the loop by intake: prompt made whole, blocks hashed, limits checked.
struct Arrival {
  std::uint64_t id = 0;
  requests::RequestSpec spec;
  std::vector<requests::Token> prompt;
  std::vector<std::uint64_t> keys;  // of its whole blocks
  std::uint64_t salt = 0;
  std::uint32_t max_tokens = 0;
  // When intake was done with it: its arrival, or later where tokenising took time.
  std::uint64_t ready_ns = 0;
  bool transient = false;  // nothing of it stays in the prefix cache
};

// A policy to change to. Loaded and created by the sender, so that the loop only changes a pointer.
struct SwapOrder {
  policy::Kind kind{};
  std::uint32_t gate = 0;  // which gate, for gates
  bool is_gate = false;
  std::string plugin;                            // as named, for the log
  std::string sha256;                            // of its object, likewise
  std::shared_ptr<policy::Scheduler> scheduler;  // the one of its kind is set
  std::shared_ptr<policy::Eviction> eviction;
  std::shared_ptr<policy::Preemption> preemption;
  // Called once on the loop thread, when it decides or when it failed; may be null.
  std::function<void(Status)> done;
  void finish(Status status) const {
    if (done) done(std::move(status));
  }
};

struct Message {
  enum class What : std::uint8_t { arrive = 1, cancel, pause, resume, release, hint, swap, stop };
  What what{};
  std::uint64_t request = 0;
  std::uint64_t a = 0, b = 0;  // pause: predicted end (ns); hint: key and value bits; stop: fork
  std::shared_ptr<Arrival> arrival;
  std::shared_ptr<SwapOrder> swap;
};

// For the step log. A decoded swap names its plugin only; whoever replays loads it.
void encode(const Message& message, observe::Writer& out);
Result<Message> decode_message(observe::Reader& in);

}  // namespace serveloop::engine
