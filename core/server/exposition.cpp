#include "server/exposition.hpp"

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace serveloop::server {
namespace {

void append_label(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += "=\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  out += '"';
}

}  // namespace

void Exposition::metric(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  fmt::format_to(std::back_inserter(text_), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
}

void Exposition::open(std::string_view suffix, Labels labels, std::string_view bound) {
  text_ += name_;
  text_ += suffix;
  if (labels.size() > 0 || !bound.empty()) {
    text_ += '{';
    bool first = true;
    for (const auto& [name, value] : labels) {
      if (!std::exchange(first, false)) text_ += ',';
      append_label(text_, name, value);
    }
    if (!bound.empty()) {
      if (!first) text_ += ',';
      append_label(text_, "le", bound);
    }
    text_ += '}';
  }
  text_ += ' ';
}

template <class Number>
void Exposition::line(std::string_view suffix, Number value, Labels labels, std::string_view bound) {
  open(suffix, labels, bound);
  fmt::format_to(std::back_inserter(text_), "{}\n", value);
}

void Exposition::value(std::uint64_t value, Labels labels) { line("", value, labels); }
void Exposition::value(double value, Labels labels) { line("", value, labels); }

void Exposition::bucket(std::string_view bound, std::uint64_t count, Labels labels) {
  line("_bucket", count, labels, bound);
}

template <class Number>
void Exposition::sum_and_count(Number sum, std::uint64_t count, Labels labels) {
  line("_sum", sum, labels);
  line("_count", count, labels);
}

void Exposition::histogram(std::string_view name, std::string_view help,
                           const service::TimeHistogram& histogram, Labels labels) {
  metric(name, "histogram", help);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
    below += histogram.counts[i];
    const bool last = i == service::TimeHistogram::kBounds.size();
    bucket(last ? "+Inf" : fmt::format("{}", service::TimeHistogram::kBounds[i]), below, labels);
  }
  sum_and_count(histogram.sum_s, histogram.count, labels);
}

void Exposition::powers_of_two(std::span<const std::uint64_t> counts, std::uint64_t sum) {
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    below += counts[i];
    bucket(i + 1 == counts.size() ? "+Inf" : fmt::format("{}", std::uint64_t{1} << i), below, {});
  }
  sum_and_count(sum, below, {});
}

void Exposition::summed(std::string_view name, std::string_view help, std::uint64_t sum, std::uint64_t count,
                        Labels labels) {
  metric(name, "histogram", help);
  bucket("+Inf", count, labels);
  sum_and_count(sum, count, labels);
}

}  // namespace serveloop::server
