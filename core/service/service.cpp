#include "service/service.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <thread>

#include "rig/planned_swap.hpp"
#include "rig/rig.hpp"
#include "service/loop.hpp"
#include "service/outlet.hpp"

namespace serveloop::service {

namespace {

using engine::Message;

constexpr auto kSwapPatience = std::chrono::seconds(60);
constexpr auto kEndPatience = std::chrono::seconds(10);
constexpr auto kGlance = std::chrono::milliseconds(5);

std::uint64_t unix_seconds() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

tl::unexpected<Refusal> refuse(Refusal::Why why, std::string parameter, Error error) {
  return tl::unexpected<Refusal>(Refusal{why, std::move(parameter), std::move(error)});
}

PolicyInForce in_force(const char* kind, const std::string& place, const policy::Instance* instance) {
  PolicyInForce out{kind, place, "fallback", "", "", {}};
  if (instance == nullptr) return out;
  const rig::PluginMark mark = rig::mark_of(*instance);
  out.id = mark.id;
  out.version = mark.version;
  out.sha256 = mark.sha256;
  out.options = instance->options();
  return out;
}

}  // namespace

// In an order in which they can be destroyed: the loop, which uses all others, first.
struct Service::Parts {
  Info info;
  std::unique_ptr<rig::Rig> rig;
  std::optional<Text> text;
  std::unique_ptr<Outlet> outlet;
  std::atomic<bool> closing = false;
  std::mutex swap_mutex;           // one change at a time; held while it waits for the loop
  std::vector<std::string> gates;  // as configured; these never change
  std::unique_ptr<Loop> loop;

  void wait_for_ends(std::chrono::nanoseconds longest) const;
};

// Until no request is open, the loop has ended, or `longest` passed.
void Service::Parts::wait_for_ends(std::chrono::nanoseconds longest) const {
  const auto until = std::chrono::steady_clock::now() + longest;
  while (outlet->open_requests() > 0 && loop->running() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(kGlance);
}

Service::Service(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Service>> Service::start(const config::Config& config,
                                                std::function<void(const std::string&)> progress) {
  if (!rig::is_real(config))
    return fail("engine.executor", "cpu, which computes a model", "'" + config.engine.executor + "'",
                "set [engine] executor = \"cpu\"");
  auto parts = std::make_unique<Parts>();
  Result<std::unique_ptr<rig::Rig>> loaded = rig::Rig::load(config, progress);
  if (!loaded) return tl::unexpected(loaded.error());
  parts->rig = std::move(*loaded);
  const rig::LoadedModel& model = *parts->rig->device.model;
  if (model.vocabulary && !Text::reads(*model.vocabulary))
    spdlog::warn("the model's vocabulary ('{}') is not read yet: token ids in and out",
                 model.vocabulary->model);
  else if (model.vocabulary) {
    Result<Text> text = Text::create(*model.vocabulary);
    if (!text) return tl::unexpected(text.error());
    parts->text = std::move(*text);
  }
  Parts* p = parts.get();
  parts->outlet =
      std::make_unique<Outlet>(p->text ? &*p->text : nullptr, [p](std::uint64_t request, std::uint32_t fork) {
        p->rig->engine->inject({.what = Message::What::stop, .request = request, .a = fork});
      });
  if (Status started = parts->rig->start(*parts->outlet); !started) return tl::unexpected(started.error());
  const engine::Options& o = parts->rig->options;
  parts->info = {model.name, unix_seconds(), o.vocabulary, parts->rig->engine->longest_request(),
                 o.max_waiting};
  parts->gates = config.policy.gates;
  parts->loop = std::make_unique<Loop>(*parts->rig->engine, parts->rig->clock());
  parts->loop->start([p] { p->outlet->abandon(); });
  return std::unique_ptr<Service>(new Service(std::move(parts)));
}

Service::~Service() {
  parts_->closing = true;
  parts_->outlet->each_open([this](std::uint64_t request) { cancel(request); });
  parts_->wait_for_ends(kEndPatience);
  parts_->loop->stop();
  if (parts_->rig->log != nullptr)
    if (Status written = parts_->rig->log->finish({}); !written)
      spdlog::error("{}", written.error().message());
}

tl::expected<std::uint64_t, Refusal> Service::submit(Ask ask, std::shared_ptr<Receiver> receiver) {
  using Why = Refusal::Why;
  Parts& p = *parts_;
  if (p.closing || !p.loop->running())
    return refuse(Why::closing, "", {"the service is closing", "", "", "try another"});
  StreamOptions stream;
  stream.choices = ask.spec.n;
  stream.skip_special = ask.skip_special;
  stream.min_tokens = ask.spec.sampling.min_tokens;
  if (!ask.stops.empty()) {
    if (!p.text)
      return refuse(Why::invalid, "stop",
                    {"stop", "a model with a vocabulary", "stop strings", "use stop_token_ids"});
    Result<text::StopSet> stops = text::StopSet::create(std::move(ask.stops));
    if (!stops) return refuse(Why::invalid, "stop", stops.error());
    stream.stops = std::make_shared<text::StopSet>(std::move(*stops));
  }
  std::vector<requests::Token>& stop_ids = ask.spec.sampling.stop_ids;
  if (p.text && !ask.ignore_eos)
    stop_ids.insert(stop_ids.end(), p.text->end_ids.begin(), p.text->end_ids.end());
  stream.stop_ids = stop_ids;
  ask.spec.arrival_ns = p.rig->clock().now_ns();
  engine::Engine& engine = *p.rig->engine;
  Result<std::shared_ptr<engine::Arrival>> arrival = engine.prepare(std::move(ask.spec));
  if (!arrival) return refuse(Why::invalid, arrival.error().what, arrival.error());
  (*arrival)->ready_ns = p.rig->clock().now_ns();
  const std::uint64_t id = (*arrival)->id;
  if (!p.outlet->open(id, std::move(stream), std::move(receiver)))
    return refuse(Why::closing, "", {"the service has ended", "", "", "try another"});
  Status posted = p.loop->post({.what = Message::What::arrive, .arrival = std::move(*arrival)});
  if (!posted) {
    p.outlet->close(id);
    return refuse(Why::full, "", posted.error());
  }
  return id;
}

void Service::cancel(std::uint64_t request) {
  // Only arrivals are ever refused.
  static_cast<void>(parts_->loop->post({.what = Message::What::cancel, .request = request}));
}

void Service::drain(std::uint64_t longest_ns) {
  parts_->closing = true;
  parts_->wait_for_ends(std::chrono::nanoseconds(longest_ns));
}

const Info& Service::info() const { return parts_->info; }
const Text* Service::text() const { return parts_->text ? &*parts_->text : nullptr; }
bool Service::healthy() const { return !parts_->closing && parts_->loop->running(); }

Snapshot Service::snapshot() {
  Snapshot out;
  parts_->loop->call([&](engine::Engine& engine) {
    out.counters = engine.counters();
    const requests::Manager& requests = engine.requests();
    out.running = requests.running_count();
    out.waiting = requests.waiting_count();
    const sl_tier tier = engine.cache().tier(SL_TIER_DEVICE);
    out.kv_blocks = parts_->rig->options.kv_blocks;
    out.kv_free = static_cast<std::uint32_t>(tier.free);
    out.kv_cached = static_cast<std::uint32_t>(tier.evictable);
    out.in_transit = tier.in_transit;
    const sl_tier host = engine.cache().tier(SL_TIER_HOST);
    out.host_blocks = host.total;
    out.host_free = host.free;
    out.host_cached = host.evictable;
    out.host_in_transit = host.in_transit;
    out.block_tokens = parts_->rig->options.block_tokens;
    out.decisions = engine.decisions().list();
    parts_->outlet->totals().fill(out);
  });
  out.policies = policies();
  return out;
}

std::vector<PolicyInForce> Service::policies() {
  engine::Policies now;
  if (!parts_->loop->call([&](engine::Engine& engine) { now = engine.policies(); })) return {};
  const std::vector<std::string>& gates = parts_->gates;
  std::vector<PolicyInForce> out;
  out.push_back(in_force("scheduler", "", now.scheduler.get()));
  for (std::size_t i = 0; i < now.gates.size() && i < gates.size(); ++i)
    out.push_back(in_force("gate", gates[i], now.gates[i].get()));
  out.push_back(in_force("eviction", "", now.eviction.get()));
  out.push_back(in_force("preemption", "", now.preemption.get()));
  out.push_back(in_force("precision", "", now.precision.get()));
  return out;
}

tl::expected<void, SwapRefusal> Service::swap(const SwapAsk& ask) {
  const std::unique_lock lock(parts_->swap_mutex, std::try_to_lock);
  if (!lock.owns_lock())
    return tl::unexpected(SwapRefusal{
        true, {"swap", "one change of policy at a time", "another under way", "try again later"}});
  if (Status swapped = swap_alone(ask); !swapped) return tl::unexpected(SwapRefusal{false, swapped.error()});
  return {};
}

Status Service::swap_alone(const SwapAsk& ask) {
  Parts& p = *parts_;
  rig::PlannedSwap planned;
  planned.kind = ask.kind;
  planned.is_gate = !ask.gate.empty();
  if (planned.is_gate) {
    const auto found = std::find(p.gates.begin(), p.gates.end(), ask.gate);
    if (found == p.gates.end()) return fail("gate", "one of policy.gates", "'" + ask.gate + "'");
    planned.gate = static_cast<std::uint32_t>(found - p.gates.begin());
  }
  planned.choice = ask.choice;
  auto order = rig::load_swap(planned, p.rig->host, rig::limits(p.rig->options));
  if (!order) return tl::unexpected(order.error());
  auto promise = std::make_shared<std::promise<Status>>();
  std::future<Status> done = promise->get_future();
  (*order)->done = [promise](Status status) { promise->set_value(std::move(status)); };
  Status posted = p.loop->post({.what = Message::What::swap, .swap = std::move(*order)});
  if (!posted) return posted;
  const auto until = std::chrono::steady_clock::now() + kSwapPatience;
  while (done.wait_for(kGlance) != std::future_status::ready) {
    if (!p.loop->running()) return fail("swap", "a running engine", "one that has ended");
    if (std::chrono::steady_clock::now() > until)
      return fail("swap", "an answer within a minute", "none",
                  "the policy before it goes on until the swap is over");
  }
  return done.get();
}

}  // namespace serveloop::service
