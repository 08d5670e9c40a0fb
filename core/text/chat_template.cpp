#include "text/chat_template.hpp"

#include <exception>

#include "text/jinja/parser.hpp"
#include "text/jinja/render.hpp"

namespace serveloop::text {

namespace {

tl::unexpected<Error> told(const jinja::Fault& fault) {
  if (fault->raised) return fail(fault->text);
  const std::string place = fault->line == 0 ? "" : ", line " + std::to_string(fault->line);
  return fail("chat template" + place + ": " + fault->text);
}

}  // namespace

ChatTemplate::ChatTemplate(std::shared_ptr<const jinja::Template> parsed, Options options)
    : parsed_(std::move(parsed)), options_(std::make_shared<const Options>(std::move(options))) {}

Result<ChatTemplate> ChatTemplate::create(std::string_view source, Options options) {
  try {
    auto parsed = jinja::parse(source);
    if (!parsed) return told(parsed.error());
    return ChatTemplate(std::move(*parsed), std::move(options));
  } catch (const std::exception& exception) {  // memory
    return fail(std::string("chat template: ") + exception.what());
  }
}

Result<std::string> ChatTemplate::render(const Conversation& conversation) const {
  try {
    jinja::Context context = {
        {"messages", conversation.messages},
        {"tools", conversation.tools},
        {"documents", conversation.documents},
        {"add_generation_prompt", jinja::Value(conversation.add_generation_prompt)},
        {"bos_token", jinja::Value::text(options_->bos_token)},
        {"eos_token", jinja::Value::text(options_->eos_token)},
    };
    for (const auto& [name, value] : options_->variables) context.emplace_back(name, value);
    for (const auto& [name, value] : conversation.extra) context.emplace_back(name, value);
    auto rendered = jinja::render(*parsed_, context, options_->limits, conversation.now);
    if (!rendered) return told(rendered.error());
    return std::move(rendered->text);
  } catch (const std::exception& exception) {  // memory
    return fail(std::string("chat template: ") + exception.what());
  }
}

}  // namespace serveloop::text
