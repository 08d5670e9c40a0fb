// Admission by token bucket: a tenant's requests pass while its bucket pays for them, and wait in order of arrival until
// it does. A gate: it parks with the time at which it will let go, and rejects what the bucket can never pay.
//
// Who wakes up at that time pays then. Who is cancelled before, or released by an operator, does not, and the next one's
// time is set right. Cost: O(1) for each that comes, wakes or goes, and O(tenants) a call.
#include <serveloop/cpp/bucket.hpp>
#include <serveloop/cpp/predict.hpp>
#include <serveloop/cpp/scheduler.hpp>
#include <serveloop/cpp/state.hpp>
#include <set>
#include <utility>

namespace {

class TokenBucket {
 public:
  static constexpr uint64_t kSchema = 0x746f6b2d62756b01;  // "tok-buk", 1

  explicit TokenBucket(const sl::Setup& setup)
      : rate_(setup.integer("rate"), setup.integer("burst")),
        rejects_(setup.boolean("reject_oversized")),
        prediction_(setup.text("output")),
        places_(setup->sequence_slots) {}
  static const void* extension(const char* id) { return sl::state_extension<TokenBucket>(id); }

  // Only at a hot swap. What the gate before let pass has passed; what it parked until released is let go.
  void note(const sl::View& view) {
    for (const sl_event& event : view.events())
      if (event.kind == SL_EV_PARKED && event.a == SL_NEVER) orphans_.insert(event.subject);
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    const auto release = [&](sl_seq id) {
      const sl_seq_row* seq = view.find(id);
      if (seq != nullptr && seq->state == SL_WAITING) plan.release(id);
    };
    for (const sl_seq id : std::exchange(orphans_, {})) release(id);
    const auto park = [&](sl_seq id, uint64_t wake_ns) {
      const sl_seq_row* seq = view.find(id);
      if (seq != nullptr && seq->state == SL_WAITING) plan.park(id, wake_ns, kOverRate);
    };
    bool left = loaded_;
    for (const sl_event& event : view.events())
      if (event.kind == SL_EV_READY || event.kind == SL_EV_ADMITTED || event.kind == SL_EV_ENDED)
        left = leaves(view, event) || left;
    uint32_t parked = 0;
    for (sl::BucketQueue& tenant : tenants_) {
      if (left) tenant.settle(rate_, view->now_ns, loaded_, release, park);
      parked += tenant.waiting();
    }
    loaded_ = false;
    for (const sl_event& event : view.events())
      if (event.kind == SL_EV_ARRIVED) parked += arrives(view, plan, event.subject) ? 1 : 0;
    plan.gauge(kParked, parked);
  }

  // Levels, and who waits.
  void save(sl::StateWriter& out) const {
    for (const sl::BucketQueue& tenant : tenants_) {
      out.put(tenant.bucket());
      out.put(uint64_t{tenant.waiting()});
      for (const Held& held : tenant.queue())
        if (held.seq != SL_NO_SEQ) out.put(held);
    }
  }
  // Rate and burst may be others: all that wait get new times, with the next plan.
  void load(sl::StateReader& in) {
    std::vector<sl::BucketQueue> tenants;
    std::vector<Place> places(places_.size());
    while (!in.done()) {
      sl::BucketQueue& tenant = tenants.emplace_back(in.get<sl::Bucket>());
      for (uint64_t left = in.get<uint64_t>(); left > 0; --left) {
        const Held held = in.get<Held>();
        const auto index = static_cast<uint32_t>(tenants.size() - 1);
        places.at(SL_SEQ_SLOT(held.seq)) = {held.seq, tenant.restore(held), index};
      }
    }
    tenants_.swap(tenants);
    places_.swap(places);
    loaded_ = true;
  }

 private:
  using Held = sl::BucketQueue::Held;
  struct Place {  // of a sequence that waits
    sl_seq seq = SL_NO_SEQ;
    uint64_t ticket = 0;
    uint32_t tenant = 0;
  };
  static constexpr uint16_t kOverRate = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint16_t kLargerThanBurst = SL_REASON_PLUGIN + 1;
  static constexpr uint32_t kParked = 0;

  // True: it is parked. A request's first sequence pays for the prompt, which the others hit.
  bool arrives(const sl::View& view, sl::Plan& plan, sl_seq id) {
    const sl_seq_row* seq = view.find(id);
    const bool mine =
        seq != nullptr && seq->state == SL_WAITING && (seq->not_ready & SL_NOT_READY_UNGATED) != 0;
    if (!mine) return false;
    const sl_request_row& r = view.request(*seq);
    const uint64_t output = prediction_.tokens(r);
    if (rejects_ && rate_.cost(r.prompt_tokens + output, r.tenant_weight_milli) > rate_.burst()) {
      plan.reject(id, kLargerThanBurst);
      return false;
    }
    const int64_t cost = rate_.cost((seq->fork == 0 ? r.prompt_tokens : 0) + output, r.tenant_weight_milli);
    while (tenants_.size() <= r.tenant) tenants_.emplace_back(sl::Bucket{rate_.burst(), 0});
    sl::BucketQueue& tenant = tenants_[r.tenant];
    if (tenant.pay(rate_, cost, view->now_ns)) return false;
    const uint64_t ticket = tenant.join(rate_, id, cost, view->now_ns);
    places_[SL_SEQ_SLOT(id)] = {id, ticket, r.tenant};
    plan.park(id, tenant.find(ticket)->wake_ns, kOverRate);
    return true;
  }

  // False: not one of those that wait.
  bool leaves(const sl::View& view, const sl_event& event) {
    Place& place = places_[SL_SEQ_SLOT(event.subject)];
    if (place.seq != event.subject) return false;
    place.seq = SL_NO_SEQ;
    sl::BucketQueue& tenant = tenants_[place.tenant];
    const Held* held = tenant.find(place.ticket);
    if (held == nullptr) return false;
    if (event.kind == SL_EV_ENDED || view->now_ns < held->wake_ns)
      tenant.leave(place.ticket);
    else
      tenant.wake(rate_, place.ticket);
    return true;
  }

  sl::BucketRate rate_;
  bool rejects_, loaded_ = false;
  sl::OutputPrediction prediction_;
  std::vector<sl::BucketQueue> tenants_;  // by index
  std::vector<Place> places_;             // by slot
  std::set<sl_seq> orphans_;
};

}  // namespace

SERVELOOP_SCHEDULER(TokenBucket, "token-bucket", "0.1.0");
