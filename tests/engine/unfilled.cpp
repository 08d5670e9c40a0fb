// docs/PLUGINS.md's list of fields that nothing fills, or only a host tier does, against what probes saw without one: what
// is listed reads as stated, and what reads so is listed. And against what they saw with one.
#include <fstream>
#include <regex>

#include "truths.hpp"

namespace serveloop::test {

namespace {

struct Listed {
  std::string name;   // as Seen names it: "requests.adapter"
  std::string reads;  // what the list says of it
};

// Listed, and not by reading nothing: the truths in truth_*.cpp hold each to what the list says.
const std::set<std::string> kReadOtherwise = {
    "seqs.in_flight_min",  // equal to in_flight_max
    "seqs.SL_SWAPPED",
    "seqs.not_ready",  // bits and states that never come
    "blocks.tier",
    "preempt.candidates.can",      //
    "preempt.candidates.swap_ns",  // the cost model's
    "IN_TRANSIT",
    "TRANSFERRED",
    "MOVED",  // events that never come
};

// Never filled here for a reason that is the test's, not the engine's.
const std::set<std::string> kNotAsked = {
    // no probe is one
    "create.is_gate",
    // a note asks for nothing
    "note.need",
    "note.need[SL_TIER_HOST]",
    "note.ahead",
    "note.ahead[SL_TIER_HOST]",
    // this executor takes native numbers alone
    "effective.plans.weight.dtype",
    "effective.plans.input.dtype",
    "effective.plans.output.dtype",
};

std::vector<Listed> read_list() {
  const std::map<std::string, std::string> tables = {{"request", "requests."},
                                                     {"sequence", "seqs."},
                                                     {"cold", "seqs_cold."},
                                                     {"node", "nodes."},
                                                     {"block", "blocks."},
                                                     {"view", ""},
                                                     {"create", "create."},
                                                     {"events", ""},
                                                     {"eviction", "evict."},
                                                     {"block event", "evict.events."},
                                                     {"candidate", "preempt.candidates."},
                                                     {"operation", "assign.keys."}};
  static const std::regex row(R"(\| ?([a-z ]*?) ?\| (.*) \| (.*) \|)"), quoted("`([^`]+)`");
  std::ifstream file(std::string(SERVELOOP_DOCS) + "/PLUGINS.md");
  std::vector<Listed> list;
  std::string where;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) inside = line == "## Fields that nothing fills, or only a host tier does";
    if (line.starts_with("And what may be answered")) inside = false;
    std::smatch cells;
    if (!inside || !std::regex_match(line, cells, row) || cells[2] == "field") continue;
    if (cells[1].length() > 0) where = cells[1];
    BOOST_REQUIRE_MESSAGE(tables.contains(where), "no such table in the list: " << where);
    std::string names = cells[2];
    names = std::regex_replace(names, std::regex("`not_ready` bits `READER`, `TRANSFER`"), "`not_ready`");
    const std::size_t when = names.find(", when it comes with `evict`");
    names = names.substr(0, when);
    for (std::sregex_iterator it(names.begin(), names.end(), quoted), end; it != end; ++it) {
      list.push_back({tables.at(where) + (*it)[1].str(), cells[3]});
      if (where == "block event" && when == std::string::npos)
        list.push_back({"note.events." + (*it)[1].str(), cells[3]});
      if (where == "operation") list.push_back({"effective.keys." + (*it)[1].str(), cells[3]});
    }
  }
  return list;
}

// "requests.hints" names its count, its place and its rows; "tier[SL_TIER_HOST]" all of that tier.
bool names(const Listed& listed, const std::string& field) {
  if (listed.name == "in_transit") return field == "tier.in_transit";
  if (!field.starts_with(listed.name)) return false;
  const std::string rest = field.substr(listed.name.size());
  return rest.empty() || rest[0] == '.' || rest == "_at" || rest == "_count";
}

}  // namespace

void check_filled_by_host_tier(const Seen& seen) {
  int fields = 0;
  for (const Listed& listed : read_list()) {
    if (listed.reads.find("device only") == std::string::npos || kReadOtherwise.contains(listed.name))
      continue;
    bool filled = false;
    for (const auto& [field, ever] : seen.fields()) filled = filled || (ever && names(listed, field));
    BOOST_CHECK_MESSAGE(filled, listed.name << " is not filled with a host tier");
    ++fields;
  }
  BOOST_CHECK_GE(fields, 8);
}

void check_listed(const Seen& stated, const Seen& silent) {
  const std::vector<Listed> list = read_list();
  std::set<std::string> otherwise;
  for (const Listed& listed : list) {
    if (kReadOtherwise.contains(listed.name)) {
      otherwise.insert(listed.name);
      continue;
    }
    bool met = false, filled = false;
    for (const auto& [field, ever] : silent.fields()) {
      if (!names(listed, field)) continue;
      met = true;
      BOOST_CHECK_MESSAGE(!ever, field << " is filled, though docs/PLUGINS.md lists " << listed.name);
    }
    for (const auto& [field, ever] : stated.fields()) filled = filled || (ever && names(listed, field));
    BOOST_CHECK_MESSAGE(met, "docs/PLUGINS.md lists " << listed.name << ", which no probe reads");
    BOOST_CHECK_MESSAGE(filled == (listed.reads.find("client") != std::string::npos),
                        listed.name << (filled ? " is filled" : " is not filled")
                                    << " where clients state all that they can");
  }
  for (const std::string& name : kReadOtherwise)
    BOOST_CHECK_MESSAGE(otherwise.contains(name), "docs/PLUGINS.md does not list " << name);
  for (const auto& [field, ever] : stated.fields()) {
    const bool told = std::any_of(list.begin(), list.end(), [&](const auto& l) { return names(l, field); });
    BOOST_CHECK_MESSAGE(ever || told || kNotAsked.contains(field),
                        field << " was never filled, and is not in docs/PLUGINS.md's list");
  }
}

}  // namespace serveloop::test
