// Waiting sequences by tenant, each tenant's in the order of arrival, and a counter of what each tenant was served: the tenant
// with the smallest counter is next (virtual time: Demers, Keshav and Shenker, 1989; for LLM serving: Sheng et al., 2024).
//
// Cost: O(log) for a sequence that comes or goes, a tenant that was charged, and each one of a walk.
#pragma once

#include <bit>
#include <queue>
#include <serveloop/cpp/queue.hpp>
#include <serveloop/cpp/state.hpp>
#include <tuple>

namespace sl {

class FairQueues {
 public:
  explicit FairQueues(uint32_t sequence_slots) : places_(sequence_slots) {}

  // Counts from the next settle() on, which comes before all that asks for the order.
  void charge(uint32_t tenant, double cost) {
    if (of(tenant).owes == 0) owing_.push_back(tenant);
    of(tenant).owes += cost;
  }
  void settle() {
    for (const uint32_t tenant : owing_) {
      Tenant& t = of(tenant);
      const bool waits = by_counter_.erase({t.counter, tenant}) > 0;
      t.counter += std::exchange(t.owes, 0);
      if (waits) by_counter_.insert({t.counter, tenant});
    }
    owing_.clear();
  }
  // A sequence comes. A tenant of whom nobody waited is lifted to the others first, so that a pause earns no credit: to the
  // smallest counter among those who wait; where nobody does, to that of the tenant who did last (Sheng et al., Algorithm 2).
  void come(const View& view, const sl_seq_row& seq) {
    if (places_[SL_SEQ_SLOT(seq.id)].seq == seq.id) return;  // told twice
    Tenant& t = of(view.request(seq).tenant);
    if (t.waiting.empty()) {
      if (!by_counter_.empty())
        t.counter = std::max(t.counter, by_counter_.begin()->first);
      else if (last_to_leave_ != SL_NONE)
        t.counter = std::max(t.counter, of(last_to_leave_).counter);
    }
    put(view, seq);
  }
  // Likewise one that waited already when the counters were saved.
  void put(const View& view, const sl_seq_row& seq) {
    const uint32_t tenant = view.request(seq).tenant;
    Tenant& t = of(tenant);
    by_counter_.insert({t.counter, tenant});
    const ArrivalKey arrival = ArrivalKey::of(view, seq);
    places_[SL_SEQ_SLOT(seq.id)] = {seq.id, tenant, arrival};
    t.waiting.insert({arrival, seq.id});
    ++size_;
  }
  void leave(sl_seq id) {
    Place& place = places_[SL_SEQ_SLOT(id)];
    if (place.seq != id) return;
    Tenant& t = of(place.tenant);
    t.waiting.erase({place.arrival, id});
    if (t.waiting.empty()) {
      by_counter_.erase({t.counter, place.tenant});
      last_to_leave_ = place.tenant;
    }
    place.seq = SL_NO_SEQ;
    --size_;
  }

  std::size_t size() const { return size_; }
  // Between the largest and the smallest counter of those who wait.
  double gap() const {
    return by_counter_.empty() ? 0 : by_counter_.rbegin()->first - by_counter_.begin()->first;
  }

  // While `more()`, calls `take(row)` with the next one: of the tenant with the smallest counter the one that waits longest,
  // then with `cost(row)` on that tenant's counter. The counters themselves stay.
  template <class More, class Cost, class Take>
  void walk(const View& view, More&& more, Cost&& cost, Take&& take) const {
    using Head = std::tuple<double, uint32_t, Queue::const_iterator>;
    const auto later = [](const Head& a, const Head& b) {
      return std::tie(std::get<0>(b), std::get<1>(b)) < std::tie(std::get<0>(a), std::get<1>(a));
    };
    std::priority_queue<Head, std::vector<Head>, decltype(later)> heads(later);
    auto next = by_counter_.begin();
    while (more()) {
      if (next != by_counter_.end() && (heads.empty() || next->first <= std::get<0>(heads.top()))) {
        heads.emplace(next->first, next->second, tenants_[next->second].waiting.begin());
        ++next;
        continue;
      }
      if (heads.empty()) return;
      auto [counter, tenant, at] = heads.top();
      heads.pop();
      const sl_seq_row& seq = view.seqs()[SL_SEQ_SLOT(at->second)];
      take(seq);
      if (++at != tenants_[tenant].waiting.end()) heads.emplace(counter + cost(seq), tenant, at);
    }
  }

  // ---- Saved state: the counters. Who waits is put() anew.
  void save(StateWriter& out) const {
    out.put(uint64_t{tenants_.size()});
    for (const Tenant& tenant : tenants_) out.put(std::bit_cast<uint64_t>(tenant.counter));
    out.put(last_to_leave_);
  }
  void load(StateReader& in) {
    std::vector<Tenant> tenants;
    for (uint64_t left = in.get<uint64_t>(); left > 0; --left)
      tenants.emplace_back().counter = std::bit_cast<double>(in.get<uint64_t>());
    last_to_leave_ = in.get<uint32_t>();
    tenants_.swap(tenants);
  }
  std::vector<sl_seq> all() const {
    std::vector<sl_seq> all;
    for (const Place& place : places_)
      if (place.seq != SL_NO_SEQ) all.push_back(place.seq);
    return all;
  }

 private:
  using Queue = std::set<std::pair<ArrivalKey, sl_seq>>;
  struct Tenant {
    double counter = 0, owes = 0;
    Queue waiting;
  };
  struct Place {
    sl_seq seq = SL_NO_SEQ;
    uint32_t tenant = 0;
    ArrivalKey arrival{};
  };
  Tenant& of(uint32_t tenant) {
    if (tenants_.size() <= tenant) tenants_.resize(tenant + 1);
    return tenants_[tenant];
  }

  std::vector<Place> places_;  // by slot
  std::vector<Tenant> tenants_;
  std::vector<uint32_t> owing_;                       // tenants that were charged since settle()
  std::set<std::pair<double, uint32_t>> by_counter_;  // tenants of whom somebody waits
  std::size_t size_ = 0;
  uint32_t last_to_leave_ = SL_NONE;  // the tenant of whom somebody waited last
};

}  // namespace sl
