// What a probe plugin told, as a map, and which fields were ever filled.
#pragma once

#include <boost/test/unit_test.hpp>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <utility>

namespace serveloop::test {

using Facts = std::map<std::string, std::string>;  // "plan.view.step" -> "17"

inline Facts parse(const std::string& text) {
  Facts facts;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (const std::size_t space = line.find(' '); space != std::string::npos)
      facts[line.substr(0, space)] = line.substr(space + 1);
  return facts;
}

template <class Instance>
Facts account_of(Instance& instance) {
  const std::string report = instance.report();
  const std::size_t at = report.find("its own account:\n");
  BOOST_REQUIRE(at != std::string::npos);
  return parse(report.substr(at + 17));
}

// Which calls of a policy are new since one last asked, by its own count.
class Calls {
 public:
  template <class Instance>
  bool is_new(const std::string& call, Instance& instance) {
    const std::string report = instance.report(), name = "\ncalls." + call + " ";
    const std::size_t at = report.find(name);
    BOOST_REQUIRE(at != std::string::npos);
    const std::uint64_t count = std::stoull(report.substr(at + name.size(), 20));
    return std::exchange(counts_[{&instance, call}], count) != count;
  }

 private:
  std::map<std::pair<const void*, std::string>, std::uint64_t> counts_;
};

// The part below `prefix`, without it.
inline Facts below(const Facts& facts, const std::string& prefix) {
  Facts part;
  for (auto it = facts.lower_bound(prefix); it != facts.end() && it->first.starts_with(prefix); ++it)
    part[it->first.substr(prefix.size())] = it->second;
  return part;
}

inline void check_equal(const Facts& got, const Facts& truth) {
  BOOST_REQUIRE(!truth.empty());
  for (const auto& [path, value] : truth) {
    const auto found = got.find(path);
    BOOST_REQUIRE_MESSAGE(found != got.end(), path << " is missing");
    BOOST_REQUIRE_MESSAGE(found->second == value, path << ": read " << found->second << ", is " << value);
  }
  BOOST_REQUIRE_EQUAL(got.size(), truth.size());
}

// Fields by their headers' names, indexes left out, that were ever read as anything but 0, none or never.
class Seen {
 public:
  void add(const Facts& facts) {
    static const std::set<std::string> nothing = {"0", "-1", "4294967295", "18446744073709551615", ""};
    for (const auto& [path, value] : facts) {
      auto found = names_.find(path);
      if (found == names_.end())
        found = names_.emplace(path, &*fields_.try_emplace(name(path), false).first).first;
      found->second->second |= !nothing.contains(value);
    }
  }
  const std::map<std::string, bool>& fields() const { return fields_; }  // name -> ever filled

 private:
  // "plan.view.seqs[3].computed" -> "seqs.computed", "evict.need[1]" -> "need[SL_TIER_HOST]"
  static std::string name(std::string path) {
    static const std::regex host(R"((tier|need|ahead|blocks)\[1\])"),
        device(R"((tier|need|ahead|blocks)\[0\])"), index(R"(\[\d+\])");
    if (path.find(".blocks[") == std::string::npos || path.starts_with("create"))
      path = std::regex_replace(path, host, "$1@");
    path = std::regex_replace(path, device, "$1");
    path = std::regex_replace(path, index, "");
    path = std::regex_replace(path, std::regex("@"), "[SL_TIER_HOST]");
    const std::size_t view = path.find("view.");
    return view == std::string::npos ? path : path.substr(view + 5);
  }
  std::map<std::string, bool> fields_;
  std::unordered_map<std::string, std::pair<const std::string, bool>*> names_;  // of paths met before
};

}  // namespace serveloop::test
