// Deficit longest prefix match (Cao et al., Locality-aware Fair Scheduling in LLM Serving, 2025): longest cached prefix
// first among the tenants that have some of their quantum left, each of whom is charged for what it makes the machine compute.
//
// Cost of a step: as lpm's, and O(tenants of whom somebody waits) where somebody may be admitted.
#include <algorithm>
#include <bit>
#include <cmath>
#include <serveloop/cpp/computing.hpp>
#include <serveloop/cpp/hit_tree.hpp>
#include <serveloop/cpp/service.hpp>
#include <serveloop/cpp/turns.hpp>

namespace {

class Dlpm {
 public:
  static constexpr uint64_t kSchema = 0x646c706d00000002;  // "dlpm", 2

  explicit Dlpm(const sl::Setup& setup)
      : quantum_(static_cast<double>(setup.integer("quantum"))),
        input_weight_(setup.number("input_weight")),
        output_weight_(setup.number("output_weight")),
        defers_(setup.boolean("defer")),
        turns_(setup, static_cast<uint64_t>(setup.integer("max_wait_ms")) * 1'000'000),
        service_(setup->sequence_slots),
        tree_(setup->sequence_slots) {
    const int64_t cap = setup.integer("max_prefill_tokens");
    if (cap > 0) max_prefill_tokens_ = static_cast<uint32_t>(cap);
  }
  static const void* extension(const char* id) { return sl::state_extension<Dlpm>(id); }

  void note(const sl::View& view) {
    const auto joins = [&](const sl_seq_row& seq) { tree_.insert(view, seq, view.request(seq).tenant); };
    service_.hear(
        view,
        [&](const sl_seq_row& seq, uint32_t hit) {
          const sl_request_row& request = view.request(seq);
          const uint32_t computed = request.prompt_tokens - std::min(hit, request.prompt_tokens);
          left(request.tenant) -= sl::per_weight(input_weight_ * computed, request.tenant_weight_milli);
        },
        [&](uint32_t tenant, uint32_t weight_milli, uint32_t tokens) {
          left(tenant) -= sl::per_weight(output_weight_ * tokens, weight_milli);
        });
    revoke();
    tree_.hear(view);
    turns_.restore(view, joins);
    turns_.hear(view, joins, [&](sl_seq id) { tree_.erase(id); });
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    const uint32_t budget = sl::run_in_order(view, plan, view->token_budget, max_prefill_tokens_);
    turns_.start(view, budget, max_prefill_tokens_);
    if (turns_.more() && tree_.size() > 0) list(view);
    turns_.admit(view, plan);
    plan.gauge(kWaiting, static_cast<double>(tree_.size() + turns_.first()));
    plan.gauge(kRefills, refills_);
  }

  void save(sl::StateWriter& out) const {
    out.put(uint64_t{left_.size()});
    for (const double left : left_) out.put(std::bit_cast<uint64_t>(left));
    out.put(uint64_t{listed_.size()});
    for (const Listed& listed : listed_) out.put(std::bit_cast<uint64_t>(listed.quanta));
    service_.save(out);
    turns_.save(out, tree_.all());
  }
  void load(sl::StateReader& in) {
    std::vector<double> loaded;
    for (uint64_t count = in.get<uint64_t>(); count > 0; --count)
      loaded.push_back(std::bit_cast<double>(in.get<uint64_t>()));
    std::vector<Listed> listed;
    for (uint64_t count = in.get<uint64_t>(); count > 0; --count)
      listed.push_back({0, 0, std::bit_cast<double>(in.get<uint64_t>())});
    service_.load(in);
    turns_.load(in);
    left_.swap(loaded);
    listed_.swap(listed);  // to revoke
  }

 private:
  static constexpr uint32_t kWaiting = 0, kRefills = 1;  // indexes in plugin.toml's gauges

  struct Listed {  // of a tenant by this step's list
    uint32_t sequences = 0;
    double cost = 0, quanta = 0;  // what it will cost, and what the tenant got meanwhile
  };
  double& left(uint32_t tenant) {
    if (left_.size() <= tenant) left_.resize(tenant + 1);
    return left_[tenant];
  }
  // After what this step's list will cost.
  double left_after_list(uint32_t tenant) { return left(tenant) - listed_[tenant].cost; }
  bool waits(uint32_t tenant) const { return tree_.waiting(tenant) > listed_[tenant].sequences; }

  void list(const sl::View& view) {
    listed_.assign(tree_.groups(), {});
    if (defers_) computing_.start(view);
    sl::HitTree::Walk walk(tree_);
    for (uint32_t tenant = 0; tenant < tree_.groups(); ++tenant) walk.open(tenant);
    while (turns_.more()) {
      const auto next = walk.next([&](uint32_t node) { return defers_ && computing_.contains(node); },
                                  [&](uint32_t tenant) { return left_after_list(tenant) <= 0; });
      if (!next) {
        if (!refill()) return;
        walk.reopen();
        continue;
      }
      const sl_seq_row& seq = view.seqs()[SL_SEQ_SLOT(next->seq)];
      turns_.add(view, seq);
      if (defers_) computing_.mark(view, seq);
      ++listed_[next->group].sequences;
      listed_[next->group].cost += sl::per_weight(input_weight_ * sl::uncached_tokens(view, seq),
                                                  view.request(seq).tenant_weight_milli);
    }
  }

  // Where nobody who waits will have anything left: as many quanta for each of them as it takes for one of them to have some.
  bool refill() {
    double most = -INFINITY;
    for (uint32_t tenant = 0; tenant < listed_.size(); ++tenant)
      if (waits(tenant)) most = std::max(most, left_after_list(tenant));
    if (most > 0 || most == -INFINITY) return false;
    const double quanta = std::floor(-most / quantum_) + 1;
    for (uint32_t tenant = 0; tenant < listed_.size(); ++tenant) {
      if (!waits(tenant)) continue;
      left(tenant) += quanta * quantum_;
      listed_[tenant].quanta += quanta;
    }
    refills_ += quanta;
    return true;
  }
  // Takes back quanta that the last step's list came to too early, since not all of it was admitted.
  void revoke() {
    double most = 0;
    for (uint32_t tenant = 0; tenant < listed_.size(); ++tenant)
      if (listed_[tenant].quanta > 0) most = std::max(most, left(tenant));
    const double unneeded = std::max(0.0, std::ceil(most / quantum_) - 1);
    for (uint32_t tenant = 0; tenant < listed_.size(); ++tenant)
      left(tenant) -= std::min(unneeded, listed_[tenant].quanta) * quantum_;
    listed_.clear();
  }

  double quantum_, input_weight_, output_weight_;
  bool defers_;
  uint32_t max_prefill_tokens_ = UINT32_MAX;
  sl::Turns turns_;
  sl::Service service_;
  sl::HitTree tree_;  // its groups are tenants
  sl::Computing computing_;
  std::vector<double> left_;    // by tenant: of its quantum
  std::vector<Listed> listed_;  // by tenant
  double refills_ = 0;
};

}  // namespace

SERVELOOP_SCHEDULER(Dlpm, "dlpm", "0.1.0");
