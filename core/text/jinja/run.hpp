// One rendering: its budget, the clock it was given, and the makers of metered values. Every value that a template
// makes is made here, after its size was checked. Threads: one.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "text/jinja/object.hpp"

namespace serveloop::text::jinja {

class Run {
 public:
  Run(const Limits& limits, std::optional<std::tm> now) : budget(limits), now(now) {}
  ~Run();  // empties namespaces and scopes, which may hold one another

  Budget budget;
  const std::optional<std::tm> now;  // what strftime_now tells

  Done spend(std::uint64_t units) { return budget.spend(units); }

  Outcome<Value> text(std::string bytes, bool markup = false);
  Outcome<Value> list(std::vector<Value> items, ListKind kind = ListKind::list);
  Outcome<Value> dict(std::vector<std::pair<Value, Value>> entries);  // a later equal key wins
  Outcome<std::shared_ptr<Namespace>> make_namespace();
  Outcome<Value> callable(Callable made);
  Outcome<std::shared_ptr<Frame>> frame(std::shared_ptr<Frame> parent);
  Done store(Frame& frame, std::uint32_t name, Value value);
  Done store(Namespace& space, Value name, Value value);
  Value undefined(std::string why);         // without the reason where memory is short
  void keep(std::shared_ptr<Frame> scope);  // a scope that a macro refers to lives as long as the run

  // Fails if `bytes` more of text may not be made now; charges the work of copying them.
  Done reserve_text(std::size_t bytes);
  Done reserve_items(std::size_t items);

 private:
  friend class Nesting;
  std::uint32_t depth_ = 0;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<std::shared_ptr<Frame>> scopes_;
};

// One evaluation inside another, for as long as it lives; check() fails where there are too many.
class Nesting {
 public:
  explicit Nesting(Run& run) : run_(run) { ++run_.depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  ~Nesting() { --run_.depth_; }
  Done check() const {
    if (run_.depth_ <= run_.budget.limits().depth) return {};
    return fault("evaluations inside one another more than " + std::to_string(run_.budget.limits().depth) +
                 " deep");
  }

 private:
  Run& run_;
};

tl::unexpected<Fault> undefined_fault(const Value& value);  // what using an undefined value says

std::string shortened(std::string_view name);  // as an error may quote it, without control characters

}  // namespace serveloop::text::jinja
