// A running engine for clients: the model, the loop on a thread of its own, text in and out. HTTP and `generate`
// stand on it.
//
//   submit() [any thread]: checks -> Engine::prepare -> inbox  =>  loop thread: Engine::step -> Outlet: tokens -> text,
//   stop strings -> Receiver
//
// Thread safety: every member function may be called from any thread, but not from a Receiver unless it says so.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "engine/engine.hpp"
#include "service/receiver.hpp"
#include "service/snapshot.hpp"
#include "service/text.hpp"

namespace serveloop::service {

// A client's request. `spec.arrival_ns` is set by submit(), as is what the model adds to `spec.sampling.stop_ids`.
struct Ask {
  requests::RequestSpec spec;      // prompt as tokens; spec.sampling: how to choose
  std::vector<std::string> stops;  // stop strings; need a vocabulary
  bool ignore_eos = false;         // the model's own end tokens do not stop it
  bool skip_special = true;        // control tokens have no text
};

// Why a request was not taken.
struct Refusal {
  enum class Why { invalid, full, closing };  // closing: the service ends
  Why why = Why::invalid;
  std::string parameter;  // "max_tokens"; empty: none in particular
  Error error;
};

// What clients are told of the model, and what bounds their requests.
struct Info {
  std::string model;                  // its name
  std::uint64_t created_s = 0;        // start of the service, Unix time
  std::uint32_t vocabulary = 0;       // token ids are below it
  std::uint64_t longest_request = 0;  // prompt + output, in tokens
  std::uint32_t max_waiting = 0;      // sequences
};

// Why a policy was not changed; the one before it serves on.
struct SwapRefusal {
  bool under_way = false;  // another change has not ended yet
  Error error;
};

// A policy to change to, as PUT /admin/policy/{kind} states it.
struct SwapAsk {
  policy::Kind kind{};
  std::string gate;  // which gate by its id; kind is scheduler then
  policy::Choice choice;
};

class Service {
 public:
  // Loads model and policies, starts the loop. `progress` hears what takes long ("reading model ..."), may be null.
  static Result<std::unique_ptr<Service>> start(const config::Config& config,
                                                std::function<void(const std::string&)> progress = nullptr);
  // Ends what still runs (as cancelled) and joins the loop.
  ~Service();
  Service(const Service&) = delete;

  // The request's id. The receiver hears of it from the loop thread, perhaps before this returns, and is let go
  // after the end of the last choice.
  tl::expected<std::uint64_t, Refusal> submit(Ask ask, std::shared_ptr<Receiver> receiver);
  // Its sequences end at the next step; the receiver still hears their ends. Unknown ids are ignored. May be called from
  // a Receiver.
  void cancel(std::uint64_t request);
  // Refuses new requests from now on; returns when the last one ended or `longest_ns` passed.
  void drain(std::uint64_t longest_ns);

  const Info& info() const;
  const Text* text() const;  // null: the model has no vocabulary; prompts and answers are token ids
  bool healthy() const;      // the loop runs; false once it gave up, or while draining

  Snapshot snapshot();
  std::vector<PolicyInForce> policies();
  // Loads the plugin, swaps it in at a step's border, and returns once it decides or failed. One change at a time.
  tl::expected<void, SwapRefusal> swap(const SwapAsk& ask);

 private:
  struct Parts;
  Status swap_alone(const SwapAsk& ask);
  explicit Service(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace serveloop::service
