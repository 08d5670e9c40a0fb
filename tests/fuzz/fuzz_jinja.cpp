// Any text is a chat template, or one line that says why not; rendering it ends within its limits, and twice is the
// same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "text/chat_template.hpp"

using serveloop::text::ChatTemplate;
using serveloop::text::Conversation;
using serveloop::text::jinja::Value;

namespace {

Conversation conversation() {
  Conversation made;
  const Value call =
      Value::dict({{"name", Value::text("f")}, {"arguments", Value::dict({{"x", Value(1.5)}})}});
  made.messages = Value::list(
      {Value::dict({{"role", Value::text("system")}, {"content", Value::text("Be brief.")}}),
       Value::dict({{"role", Value::text("user")}, {"content", Value::text("Hi \xf0\x9f\x99\x82 <b>")}}),
       Value::dict({{"role", Value::text("assistant")}, {"tool_calls", Value::list({call})}})});
  made.tools = Value::list({Value::dict({{"type", Value::text("function")}, {"function", call}})});
  made.now.emplace();
  made.now->tm_mday = 1;
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Conversation fixed = conversation();
  ChatTemplate::Options options;
  options.limits.fuel = 100'000;
  options.limits.value_bytes = std::size_t{4} << 20;
  options.limits.output_bytes = std::size_t{1} << 20;
  const auto made = ChatTemplate::create({reinterpret_cast<const char*>(data), size}, options);
  const auto first = made ? made->render(fixed) : tl::unexpected(made.error());
  if (!first) {
    if (first.error().message().find('\n') != std::string::npos) std::abort();
    return 0;
  }
  if (first->size() > options.limits.output_bytes || made->render(fixed) != first) std::abort();
  return 0;
}
