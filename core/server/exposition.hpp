// Writing Prometheus' text exposition format, version 0.0.4. One thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "service/snapshot.hpp"

namespace serveloop::server {

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class Exposition {
 public:
  // Opens a metric: its lines follow.
  void metric(std::string_view name, std::string_view type, std::string_view help);
  void value(std::uint64_t value, Labels labels = {});
  void value(double value, Labels labels = {});
  // A metric with one line.
  template <class Number>
  void counter(std::string_view name, std::string_view help, Number number, Labels labels = {}) {
    metric(name, "counter", help);
    value(number, labels);
  }
  template <class Number>
  void gauge(std::string_view name, std::string_view help, Number number, Labels labels = {}) {
    metric(name, "gauge", help);
    value(number, labels);
  }
  void histogram(std::string_view name, std::string_view help, const service::TimeHistogram& histogram,
                 Labels labels = {});
  // Of the metric at hand, by powers of two: counts[i] of up to 2^i, and more than half as many; the last without bound.
  void powers_of_two(std::span<const std::uint64_t> counts, std::uint64_t sum);
  // One of which only sum and count are known.
  void summed(std::string_view name, std::string_view help, std::uint64_t sum, std::uint64_t count,
              Labels labels);

  std::string take() { return std::move(text_); }

 private:
  void open(std::string_view suffix, Labels labels, std::string_view bound);  // a line, up to its number
  template <class Number>
  void line(std::string_view suffix, Number value, Labels labels, std::string_view bound = {});
  // What a histogram is made of: lines of buckets, each counting those below it too, then these two.
  void bucket(std::string_view bound, std::uint64_t count, Labels labels);
  template <class Number>
  void sum_and_count(Number sum, std::uint64_t count, Labels labels);
  std::string text_, name_;
};

}  // namespace serveloop::server
