// The Virtual Token Counter (Sheng et al., Fairness in Serving Large Language Models, OSDI 2024): each tenant has a counter of
// what it was served, weighted, and the tenant with the smallest one is next.
//
// Cost of a step: one walk over the running sequences, O(log tenants) for each tenant that was served, and O(log waiting) for each
// waiting one that it lists.
#include <algorithm>
#include <serveloop/cpp/fair_queues.hpp>
#include <serveloop/cpp/service.hpp>
#include <serveloop/cpp/turns.hpp>

namespace {

class Vtc {
 public:
  static constexpr uint64_t kSchema = 0x76746300000001;  // "vtc", 1

  explicit Vtc(const sl::Setup& setup)
      : input_weight_(setup.number("input_weight")),
        output_weight_(setup.number("output_weight")),
        charge_cached_(setup.boolean("charge_cached")),
        turns_(setup),
        service_(setup->sequence_slots),
        queues_(setup->sequence_slots) {
    const int64_t cap = setup.integer("max_prefill_tokens");
    if (cap > 0) max_prefill_tokens_ = static_cast<uint32_t>(cap);
  }
  static const void* extension(const char* id) { return sl::state_extension<Vtc>(id); }

  void note(const sl::View& view) {
    turns_.restore(view, [&](const sl_seq_row& seq) { queues_.put(view, seq); });
    service_.hear(
        view,
        [&](const sl_seq_row& seq, uint32_t hit) {
          const sl_request_row& request = view.request(seq);
          const uint32_t computed = request.prompt_tokens - std::min(hit, request.prompt_tokens);
          queues_.charge(request.tenant, prompt_cost(view, seq, computed));
        },
        [&](uint32_t tenant, uint32_t weight_milli, uint32_t tokens) {
          queues_.charge(tenant, sl::per_weight(output_weight_ * tokens, weight_milli));
        });
    queues_.settle();
    turns_.hear(
        view, [&](const sl_seq_row& seq) { queues_.come(view, seq); }, [&](sl_seq id) { queues_.leave(id); });
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    const uint32_t budget = sl::run_in_order(view, plan, view->token_budget, max_prefill_tokens_);
    turns_.start(view, budget, max_prefill_tokens_);
    queues_.walk(
        view, [&] { return turns_.more(); },
        [&](const sl_seq_row& seq) { return prompt_cost(view, seq, sl::uncached_tokens(view, seq)); },
        [&](const sl_seq_row& seq) { turns_.add(view, seq); });
    turns_.admit(view, plan);
    plan.gauge(kWaiting, static_cast<double>(queues_.size() + turns_.first()));
    plan.gauge(kGap, queues_.gap());
  }

  void save(sl::StateWriter& out) const {
    queues_.save(out);
    service_.save(out);
    turns_.save(out, queues_.all());
  }
  void load(sl::StateReader& in) {
    queues_.load(in);
    service_.load(in);
    turns_.load(in);
  }

 private:
  static constexpr uint32_t kWaiting = 0, kGap = 1;  // indexes in plugin.toml's gauges

  // Of a request with n > 1 the first sequence pays for the prompt, which the others hit.
  double prompt_cost(const sl::View& view, const sl_seq_row& seq, uint32_t computed) const {
    const sl_request_row& request = view.request(seq);
    const uint32_t whole = seq.fork == 0 ? request.prompt_tokens : 0;
    return sl::per_weight(input_weight_ * (charge_cached_ ? whole : computed), request.tenant_weight_milli);
  }

  double input_weight_, output_weight_;
  bool charge_cached_;
  uint32_t max_prefill_tokens_ = UINT32_MAX;
  sl::Turns turns_;
  sl::Service service_;
  sl::FairQueues queues_;
};

}  // namespace

SERVELOOP_SCHEDULER(Vtc, "vtc", "0.1.0");
