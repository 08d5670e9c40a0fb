// Length-aware relative slack (Agrawal et al., Medha, 2024): prompts in the order of the time that is left to spare until the
// first token is due, in units of the time that the prompt takes by itself. So a long prompt, which must begin long before it
// is due, has its turn in time.
//
// Slack falls at a pace of its own for each length, so no order of those that wait lasts. They stand in classes of about one
// length, by deadline: an order that time does not change. A plan merges the classes' heads. Cost of a step: O(running +
// (classes + admitted) log waiting); at most 256 classes.
#include <bit>
#include <serveloop/cpp/predict.hpp>
#include <serveloop/cpp/ranked_plan.hpp>

namespace {

struct Slack {
  int64_t millionths;  // of the prompt's time
  sl::ArrivalKey arrival;
  auto operator<=>(const Slack&) const = default;
};
struct InClass {
  uint32_t length_class;  // of the prompt's time: four to each power of two
  uint64_t deadline_ns;
  sl::ArrivalKey arrival;
  auto operator<=>(const InClass&) const = default;
};

class Lars {
 public:
  explicit Lars(const sl::Setup& setup)
      : default_factor_(setup.number("default_factor")),
        classes_(setup->sequence_slots),
        ranked_(setup, {.decodes_always = true, .room_first = true}) {
    turns_.reserve(setup->max_sequences + kAhead);
  }

  void note(const sl::View& view) {
    classes_.hear(view, [this](const sl::View& v, const sl_seq_row& seq) { return in_class(v, seq); });
    ranked_.hear(view, RankOf{this});
  }

  // Nobody's slot is taken: a prompt gives way between its chunks, and keeps what it computed.
  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    ranked_.refresh(view, RankOf{this});
    take_turns(view);
    ranked_.write(view, plan, turns_.begin(), turns_.end(), [](const Slack&, const Slack&) { return false; });
    plan.gauge(kWaiting, static_cast<double>(classes_.size()));
    if (!turns_.empty()) plan.gauge(kLeastSlack, static_cast<double>(turns_.front().first.millionths) / 1e6);
  }

 private:
  using Waiting = sl::ReadyQueue<InClass>::Iterator;
  using Turn = std::pair<Slack, sl_seq>;
  static constexpr uint32_t kWaiting = 0, kLeastSlack = 1;  // indexes in plugin.toml's gauges
  static constexpr uint32_t kAhead = 8;

  static double prompt_ns(const sl::View& view, const sl_seq_row& seq) {
    return sl_predict_prefill_ns(view->cost, 0, std::max(view.request(seq).prompt_tokens, 1u));
  }
  double deadline_ns(const sl::View& view, const sl_seq_row& seq) const {
    const sl_request_row& r = view.request(seq);
    if (r.ttft_deadline_ns != SL_NEVER) return static_cast<double>(r.ttft_deadline_ns);
    return static_cast<double>(r.arrival_ns) + default_factor_ * prompt_ns(view, seq);
  }
  // What of the prompt is computed already does not count: who yields its memory loses it, and two would take turns in that
  // for ever. So the order of any two changes once at most. Who has its first token goes before all others: it has its slot and its blocks, and owes no prompt.
  Slack slack_of(const sl::View& view, const sl_seq_row& seq) const {
    if (seq.generated > 0) return {INT64_MIN, sl::ArrivalKey::of(view, seq)};
    const double spare_ns = deadline_ns(view, seq) - static_cast<double>(view->now_ns);
    return {static_cast<int64_t>(spare_ns / prompt_ns(view, seq) * 1e6), sl::ArrivalKey::of(view, seq)};
  }
  struct RankOf {
    const Lars* policy;
    Slack operator()(const sl::View& view, const sl_seq_row& seq) const {
      return policy->slack_of(view, seq);
    }
  };
  // Class 0: those that have their first token.
  InClass in_class(const sl::View& view, const sl_seq_row& seq) const {
    if (seq.generated > 0) return {0, 0, sl::ArrivalKey::of(view, seq)};
    const auto ns = static_cast<uint64_t>(prompt_ns(view, seq)) + 4;
    const auto octave = static_cast<uint32_t>(std::bit_width(ns) - 1);
    const auto quarter = static_cast<uint32_t>(ns >> (octave - 2)) & 3u;
    return {octave * 4 + quarter, static_cast<uint64_t>(deadline_ns(view, seq)),
            sl::ArrivalKey::of(view, seq)};
  }

  // The next in turn, as many as may be admitted now, and a few more. heads_: the next of each class, the least slack last.
  void take_turns(const sl::View& view) {
    heads_.clear();
    turns_.clear();
    const auto later = [](const auto& a, const auto& b) { return b.first < a.first; };
    const auto add = [&](Waiting at) {
      heads_.emplace_back(slack_of(view, view.seqs()[SL_SEQ_SLOT(at->second)]), at);
      std::push_heap(heads_.begin(), heads_.end(), later);
    };
    for (Waiting at = classes_.begin(); at != classes_.end();
         at = classes_.lower_bound({at->first.length_class + 1, 0, {0, 0, 0}}))
      add(at);
    const uint32_t slots = view->max_sequences - std::min(view->max_sequences, view->running_count);
    while (!heads_.empty() && turns_.size() < slots + kAhead) {
      std::pop_heap(heads_.begin(), heads_.end(), later);
      auto [rank, at] = heads_.back();
      heads_.pop_back();
      turns_.emplace_back(rank, at->second);
      const uint32_t length_class = at->first.length_class;
      if (++at != classes_.end() && at->first.length_class == length_class) add(at);
    }
  }

  double default_factor_;
  sl::ReadyQueue<InClass> classes_;
  sl::RankedPlan<Slack> ranked_;
  std::vector<std::pair<Slack, Waiting>> heads_;
  std::vector<Turn> turns_;
};

}  // namespace

SERVELOOP_SCHEDULER(Lars, "lars", "0.1.0");
