// What both halves of the grammar use: looking at tokens, taking them, and saying what was wrong.
#include "text/jinja/parser.hpp"

#include "text/jinja/run.hpp"

namespace serveloop::text::jinja {

Outcome<std::shared_ptr<const Template>> parse(std::string_view source) {
  if (source.size() > kMaxTemplateBytes)
    return fault("a template of " + std::to_string(source.size()) + " bytes; at most " +
                 std::to_string(kMaxTemplateBytes) + " are read");
  JINJA_TRY(tokens, tokenize(source));
  return Parser(std::move(tokens)).run();
}

Outcome<std::shared_ptr<const Template>> Parser::run() {
  auto done = parse_body(template_->body, {});
  if (!done) {
    if (done.error()->line == 0) done.error()->line = now().line;
    return tl::unexpected(std::move(done.error()));
  }
  return std::shared_ptr<const Template>(template_);
}

bool Parser::skip_op(std::string_view op) {
  const bool found = is_op(op);
  if (found) step();
  return found;
}

bool Parser::skip_word(std::string_view word) {
  const bool found = is_word(word);
  if (found) step();
  return found;
}

Done Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) return unexpected("'" + std::string(op) + "'");
  return {};
}

Outcome<std::string> Parser::expect_name() {
  if (now().type != TokenType::name) return unexpected("a name");
  std::string name = now().text;
  step();
  return name;
}

Done Parser::expect_block_end() {
  if (now().type != TokenType::block_end) return unexpected("'%}'");
  step();
  return {};
}

tl::unexpected<Fault> Parser::unexpected(std::string_view wanted) const {
  std::string found;
  switch (now().type) {
    case TokenType::end: found = "the end of the template"; break;
    case TokenType::data: found = "text"; break;
    case TokenType::variable_end: found = "'}}'"; break;
    case TokenType::block_end: found = "'%}'"; break;
    default: found = "'" + shortened(now().text) + "'";
  }
  return fault("expected " + std::string(wanted) + ", found " + found);
}

Done Parser::deeper() {
  if (++depth_ > kMaxParseDepth)
    return fault("tags and brackets inside one another more than " + std::to_string(kMaxParseDepth) +
                 " deep");
  return {};
}

}  // namespace serveloop::text::jinja
