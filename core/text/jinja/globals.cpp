// Functions that a template may call by name.
#include <array>

#include "text/jinja/access.hpp"
#include "text/jinja/builtin.hpp"
#include "text/jinja/number.hpp"
#include "text/jinja/print.hpp"

namespace serveloop::text::jinja {

namespace {

constexpr std::uint64_t kMaxRange = 100'000;  // what the sandboxed environment allows

Outcome<Value> range(Call& call) {
  std::int64_t bounds[3] = {0, 0, 1};
  JINJA_TRY(first, call.integer(0, 0));
  bounds[call.has(1) ? 0 : 1] = first;
  if (call.has(1)) {
    JINJA_TRY(stop, call.integer(1, 0));
    bounds[1] = stop;
  }
  JINJA_TRY(step, call.integer(2, 1));
  if (step == 0) return fault("range() expects a step other than 0");
  const auto [start, stop, unused] = bounds;
  const bool down = step < 0;
  if (down ? start <= stop : start >= stop) bounds[1] = start;
  const std::uint64_t distance = static_cast<std::uint64_t>(down ? start : bounds[1]) -
                                 static_cast<std::uint64_t>(down ? bounds[1] : start);
  const std::uint64_t stride =
      down ? ~static_cast<std::uint64_t>(step) + 1 : static_cast<std::uint64_t>(step);
  const std::uint64_t count = distance == 0 ? 0 : (distance - 1) / stride + 1;
  if (count > kMaxRange) return fault("range() of more than " + std::to_string(kMaxRange) + " numbers");
  JINJA_CHECK(call.run.reserve_items(count));
  auto made = std::make_shared<List>();
  for (std::uint64_t i = 0; i < count; ++i)
    made->items.emplace_back(
        static_cast<std::int64_t>(static_cast<std::uint64_t>(start) + i * static_cast<std::uint64_t>(step)));
  made->kind = ListKind::range;
  made->start = start;
  made->stop = stop;
  made->step = step;
  made->charge = Charge(call.run.budget, count * sizeof(Value) + sizeof(List));
  return Value(std::shared_ptr<const List>(std::move(made)));
}

// What `dict()` and `namespace()` are made of: pairs or a mapping, then keywords.
Outcome<std::vector<std::pair<Value, Value>>> entries_of(Call& call) {
  std::vector<std::pair<Value, Value>> entries;
  if (call.rest.positional.size() > 1)
    return fault(std::string(call.name) + "() takes at most one positional argument");
  if (!call.rest.positional.empty()) {
    const Value& source = call.rest.positional[0];
    if (source.is(Kind::dict)) {
      JINJA_CHECK(call.run.reserve_items(2 * source.as_dict().entries.size()));
      entries = source.as_dict().entries;
    } else {
      JINJA_TRY(pairs, iterate(call.run, source));
      JINJA_CHECK(call.run.reserve_items(2 * pairs->items.size()));
      for (const Value& pair : pairs->items) {
        JINJA_TRY(two, iterate(call.run, pair));
        if (two->items.size() != 2) return fault(std::string(call.name) + "() expects pairs");
        entries.emplace_back(two->items[0], two->items[1]);
      }
    }
  }
  for (auto& [name, value] : call.rest.named) {
    JINJA_TRY(key, call.run.text(std::move(name)));
    entries.emplace_back(std::move(key), std::move(value));
  }
  return entries;
}

Outcome<Value> dict(Call& call) {
  JINJA_TRY(entries, entries_of(call));
  return call.run.dict(std::move(entries));
}

Outcome<Value> make_namespace(Call& call) {
  JINJA_TRY(entries, entries_of(call));
  JINJA_TRY(space, call.run.make_namespace());
  for (auto& [key, value] : entries) {
    if (!key.is(Kind::text)) return call.refuse("strings as names", key);
    JINJA_CHECK(call.run.store(*space, std::move(key), std::move(value)));
  }
  return Value(space);
}

Outcome<Value> raise_exception(Call& call) {
  JINJA_TRY(message, call.text(0, ""));
  auto raised = fault(std::move(message));
  raised.value()->raised = true;
  return raised;
}

Outcome<Value> strftime_now(Call& call) {
  JINJA_TRY(format, call.text(0, ""));
  if (!call.run.now) return fault("the template asks for the time, which this rendering was not given");
  constexpr std::size_t kLongestFormat = 256;
  if (format.size() > kLongestFormat) return fault("strftime_now() expects a short format");
  if (format.empty()) return call.run.text("");
  char out[4096];
  std::tm now = *call.run.now;
  format += '|';  // so that nothing but a lack of room makes an empty text
  const std::size_t size = std::strftime(out, sizeof(out), format.c_str(), &now);
  if (size == 0) return fault("strftime_now() expects a shorter format");
  return call.run.text(std::string(out, size - 1));
}

Outcome<Value> cycler(Call& call) {
  if (call.rest.positional.empty() || !call.rest.named.empty()) return fault("cycler() expects items");
  Callable made;
  made.cycler = true;
  made.state = std::move(call.rest.positional);
  return call.run.callable(std::move(made));
}

// Nothing on the first call, the separator from then on.
Outcome<Value> call_joiner(Call& call) {
  Callable& joiner = call.self.as_callable();
  return joiner.position++ == 0 ? call.run.text("") : Outcome<Value>(joiner.state[0]);
}
constexpr Builtin kJoiner = {"joiner", "", call_joiner};

Outcome<Value> joiner(Call& call) {
  JINJA_TRY(separator, call.text(0, ", "));
  JINJA_TRY(text, call.run.text(std::move(separator)));
  Callable made;
  made.builtin = &kJoiner;
  made.state = {std::move(text)};
  return call.run.callable(std::move(made));
}

constexpr auto kGlobals = std::to_array<Builtin>({
    {"range", "start! stop step", range},
    {"dict", "*", dict},
    {"namespace", "*", make_namespace},
    {"raise_exception", "message!", raise_exception},
    {"strftime_now", "format!", strftime_now},
    {"cycler", "*", cycler},
    {"joiner", "sep", joiner},
});

}  // namespace

Table globals() { return kGlobals; }

}  // namespace serveloop::text::jinja
