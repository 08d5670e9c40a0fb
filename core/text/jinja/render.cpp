#include "text/jinja/render.hpp"

#include "text/jinja/interpreter.hpp"

namespace serveloop::text::jinja {

Outcome<Rendered> render(const Template& parsed, const Context& context, const Limits& limits,
                         std::optional<std::tm> now) {
  Run run(limits, now);
  const auto names = std::make_shared<Frame>();
  for (const auto& [name, value] : context) {
    if (value.depth() > kMaxValueDepth)
      return fault("'" + shortened(name) + "' has lists and dicts inside one another more than " +
                   std::to_string(kMaxValueDepth) + " deep");
    const auto symbol = parsed.symbols.find(std::string(name));
    if (symbol != parsed.symbols.end()) names->variables.insert_or_assign(symbol->second, value);
  }
  JINJA_TRY(text, Interpreter(run, names).render(parsed));
  return Rendered{std::move(text), run.budget.fuel_used()};
}

}  // namespace serveloop::text::jinja
