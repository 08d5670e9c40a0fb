// A scheduler put together in the configuration: an order, an admission and a chunking, each by name. Its parts are the
// SDK's, of which other schedulers are made too; those that run keep their slots.
#include <optional>
#include <serveloop/cpp/admit.hpp>
#include <serveloop/cpp/orders.hpp>
#include <serveloop/cpp/predicted_admission.hpp>
#include <string_view>
#include <utility>
#include <variant>

namespace {

// Memory: one of three, and beside it, where a step may be prompts alone, that the prompt itself fits.
class Admission {
 public:
  explicit Admission(const sl::Setup& setup) {
    const std::string_view name = setup.text("admission");
    if (name == "worst_case") part_.emplace<sl::WorstCaseAdmission>();
    if (name == "predicted")
      part_.emplace<sl::PredictedAdmission>(setup, setup.number("watermark"),
                                            static_cast<uint32_t>(setup.integer("history")));
    if (setup.text("chunking") == "prefill_first") prompt_.emplace(kPromptWatermark);
  }
  void hear(const sl::View& view) {
    std::visit([&](auto& part) { part.hear(view); }, part_);
  }
  void start(const sl::View& view) {
    std::visit([&](auto& part) { part.start(view); }, part_);
    if (prompt_) prompt_->start(view);
  }
  std::optional<uint32_t> room_for(const sl::View& view, const sl_seq_row& seq) {
    const auto blocks = std::visit([&](auto& part) { return part.room_for(view, seq); }, part_);
    if (!blocks || !prompt_) return blocks;
    const auto of_prompt = prompt_->room_for(view, seq);
    return of_prompt ? std::max(blocks, of_prompt) : std::nullopt;
  }
  void enters(const sl::View& view, const sl_seq_row& seq) {
    std::visit([&](auto& part) { part.enters(view, seq); }, part_);
    if (prompt_) prompt_->enters(view, seq);
  }

 private:
  static constexpr double kPromptWatermark = 0.01;  // as in prefill-first
  std::variant<sl::SlotAdmission, sl::WorstCaseAdmission, sl::PredictedAdmission> part_;
  std::optional<sl::PromptAdmission> prompt_;
};

class Chunking {
 public:
  explicit Chunking(const sl::Setup& setup) : part_(sl::CappedChunks(setup.integer("max_prefill_tokens"))) {
    const std::string_view name = setup.text("chunking");
    if (name == "whole") part_.emplace<sl::WholePrompts>();
    if (name == "prefill_first") part_.emplace<sl::PrefillFirst>();
    if (name == "decodes_first")
      part_.emplace<sl::DecodesFirst>(setup, static_cast<uint32_t>(setup.integer("chunk_budget")));
  }
  uint32_t run(const sl::View& view, sl::Plan& plan) {
    return std::visit([&](auto& part) { return part.run(view, plan); }, part_);
  }
  uint32_t of_prompt(uint32_t uncached, uint32_t left, uint32_t behind) {
    return std::visit([&](auto& part) { return part.of_prompt(uncached, left, behind); }, part_);
  }
  void rest(const sl::View& view, sl::Plan& plan) {
    std::visit([&](auto& part) { part.rest(view, plan); }, part_);
  }

 private:
  std::variant<sl::CappedChunks, sl::WholePrompts, sl::DecodesFirst, sl::PrefillFirst> part_;
};

struct ByShortest {
  sl::OutputPrediction prediction;
  sl::ShortestRemaining operator()(const sl::View& view, const sl_seq_row& seq) const {
    return sl::ShortestRemaining::of(view, seq, prediction);
  }
};

class Composed {
 public:
  explicit Composed(const sl::Setup& setup) : parts_(of_order(setup)) {}

  void note(const sl::View& view) {
    std::visit([&](auto& parts) { parts.hear(view); }, parts_);
  }
  void plan(const sl::View& view, sl::Plan& plan) {
    const auto write = [&](auto& parts) {
      parts.write(view, plan);
      plan.gauge(kWaiting, static_cast<double>(parts.waiting()));
    };
    std::visit(write, parts_);
  }

 private:
  static constexpr uint32_t kWaiting = 0;  // index in plugin.toml's gauges
  template <class Key, class KeyOf = sl::OfKey<Key>>
  using By = sl::PlanInOrder<Key, Admission, Chunking, KeyOf>;
  using Parts = std::variant<By<sl::ArrivalKey>, By<sl::ByPriority>, By<sl::EarliestDeadline>,
                             By<sl::ShortestRemaining, ByShortest>>;

  static Parts of_order(const sl::Setup& setup) {
    const std::string_view name = setup.text("order");
    const auto parts = [&](auto order, auto... more) {
      return Parts(order, setup, Admission(setup), Chunking(setup), more...);
    };
    if (name == "priority") return parts(std::in_place_index<1>);
    if (name == "deadline") return parts(std::in_place_index<2>);
    if (name == "shortest")
      return parts(std::in_place_index<3>, ByShortest{sl::OutputPrediction(setup.text("length"))});
    return parts(std::in_place_index<0>);
  }

  Parts parts_;
};

}  // namespace

SERVELOOP_SCHEDULER(Composed, "composed", "0.1.0");
