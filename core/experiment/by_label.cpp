#include "experiment/by_label.hpp"

#include <algorithm>
#include <cmath>

namespace serveloop::experiment {

std::uint32_t ByLabel::Labels::of(const std::string& name) {
  const auto [at, added] = by_name.try_emplace(name, static_cast<std::uint32_t>(names.size()));
  if (added) {
    names.push_back(name);
    figures.emplace_back();
  }
  return at->second;
}

std::vector<LabelFigures> ByLabel::Labels::shown() const {
  std::vector<LabelFigures> out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Figures& f = figures[i];
    out.push_back(
        {names[i], f.ended, f.completed, f.goodput, percentiles(f.first_token_ns),
         percentiles(f.end_to_end_ns),
         f.end_to_end_ns.empty() ? kNone : f.per_token_ms / static_cast<double>(f.end_to_end_ns.size())});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.label < b.label; });
  return out;
}

ByLabel::Labelled ByLabel::begin(const Issue& issue) {
  return {classes_.of(issue.class_name),
          tenants_.of(issue.spec.tenant),
          {issue.spec.ttft_deadline_ns, issue.spec.tbt_target_ns, issue.spec.end_deadline_ns}};
}

void ByLabel::ended(const Labelled& request, const engine::Finished& end) {
  Figures* const all[] = {&classes_.figures[request.of_class], &tenants_.figures[request.tenant]};
  for (Figures* f : all) {
    ++f->ended;
    f->completed += is_complete(end) ? 1 : 0;
    if (end.first_token_ns != 0) f->first_token_ns.push_back(end.first_token_ns - end.arrival_ns);
    if (end.first_token_ns == 0 || !is_complete(end)) continue;
    f->end_to_end_ns.push_back(end.end_ns - end.arrival_ns);
    f->per_token_ms += static_cast<double>(end.end_ns - end.arrival_ns) * 1e-6 / end.output_tokens;
  }
  if (!request.stated.any()) return;
  for (Goodput* g : {&goodput_, &all[0]->goodput, &all[1]->goodput}) {
    ++g->stated;
    g->met += request.stated.kept_by(end) ? 1 : 0;
  }
}

void ByLabel::refused(const Labelled& request, std::uint32_t sequences) {
  const std::uint64_t stated = request.stated.any() ? sequences : 0;
  for (Figures* f : {&classes_.figures[request.of_class], &tenants_.figures[request.tenant]})
    f->ended += sequences, f->goodput.stated += stated;
  goodput_.stated += stated;
}

void ByLabel::summarise(Summary& summary) const {
  summary.goodput = goodput_;
  const bool one_nameless = classes_.names.size() == 1 && classes_.names.front().empty();
  if (!classes_.names.empty() && !one_nameless) summary.classes = classes_.shown();
  if (tenants_.names.size() < 2) return;
  summary.tenants = tenants_.shown();
  summary.fairness = fairness(summary.tenants);
}

double fairness(const std::vector<LabelFigures>& labels) {
  double count = 0, sum = 0, squares = 0;
  for (const LabelFigures& of : labels) {
    if (std::isnan(of.per_token_ms)) continue;
    ++count, sum += of.per_token_ms, squares += of.per_token_ms * of.per_token_ms;
  }
  return count == 0 ? kNone : sum * sum / (count * squares);
}

}  // namespace serveloop::experiment
