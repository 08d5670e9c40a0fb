// A run's results told apart by class and by tenant, and which deadlines were met (stated.hpp). The loop thread's.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/output.hpp"
#include "experiment/labelling.hpp"
#include "experiment/stated.hpp"
#include "experiment/summary.hpp"

namespace serveloop::experiment {

// Jain's index (Jain, Chiu and Hawe, 1984) of the labels' mean times a token: 1 where all are served alike, 1 / their number
// where one alone is kept waiting. kNone where none has any.
double fairness(const std::vector<LabelFigures>& labels);

class ByLabel {
 public:
  // What has to be known of a request at its end.
  struct Labelled {
    std::uint32_t of_class = 0, tenant = 0;
    Stated stated;
  };
  Labelled begin(const Issue& issue);
  // A sequence of it ended; those of a request that the intake refused were never begun there.
  void ended(const Labelled& request, const engine::Finished& end);
  void refused(const Labelled& request, std::uint32_t sequences);
  // Fills in `goodput`, `classes` where there are any, `tenants` and `fairness` where there are two.
  void summarise(Summary& summary) const;

 private:
  struct Figures {
    std::uint64_t ended = 0, completed = 0;
    Goodput goodput;
    std::vector<std::uint64_t> first_token_ns, end_to_end_ns;
    double per_token_ms = 0;  // sum of the completed ones' times, each divided by its output tokens
  };
  struct Labels {
    std::unordered_map<std::string, std::uint32_t> by_name;
    std::vector<std::string> names;
    std::vector<Figures> figures;
    std::uint32_t of(const std::string& name);
    std::vector<LabelFigures> shown() const;  // by name
  };
  Labels classes_, tenants_;
  Goodput goodput_;
};

}  // namespace serveloop::experiment
