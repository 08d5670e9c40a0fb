// One pass from left to right; positions never move back, so that the work is linear in the template.
#include "text/jinja/lexer.hpp"

#include <array>
#include <optional>

#include "text/jinja/lex_string.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

constexpr auto npos = std::string_view::npos;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name(char c) { return is_name_start(c) || is_digit(c); }

// CR LF and CR become LF, and one at the very end goes.
std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Outcome<std::vector<Token>> run() {
    auto done = all();
    if (!done) {
      if (done.error()->line == 0) done.error()->line = line_;
      return tl::unexpected(std::move(done.error()));
    }
    push(TokenType::end, {});
    return std::move(tokens_);
  }

 private:
  Done all() {
    while (at_ < source_.size()) {
      const std::size_t tag = find_tag();
      if (tag == npos) {
        data(source_.substr(at_));
        break;
      }
      const char kind = source_[tag + 1];
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
      const std::string_view before = source_.substr(at_, tag - at_);
      data(trimmed(before, sign, kind != '{'));
      advance(tag);
      const std::size_t inside = tag + (sign == '-' || sign == '+' ? 3 : 2);
      const std::size_t raw = kind == '%' ? raw_body(inside) : npos;
      if (raw != npos) {
        JINJA_CHECK(read_raw(raw));
      } else if (kind == '#') {
        JINJA_CHECK(read_comment(inside));
      } else {
        push(kind == '{' ? TokenType::variable_begin : TokenType::block_begin, {});
        advance(inside);
        JINJA_CHECK(read_tag(kind == '{' ? TokenType::variable_end : TokenType::block_end));
      }
    }
    return {};
  }

  std::size_t find_tag() const {
    for (std::size_t i = source_.find('{', at_); i != npos; i = source_.find('{', i + 1)) {
      if (i + 1 < source_.size() && (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#'))
        return i;
    }
    return npos;
  }

  // Text before a tag, less what the tag's sign or lstrip_blocks takes from its end.
  std::string_view trimmed(std::string_view text, char sign, bool block) const {
    if (sign == '-') return unicode::strip_right(text);
    if (sign == '+' || !block) return text;
    const std::size_t newline = text.rfind('\n');
    if (newline == npos && !line_starts_) return text;
    const std::size_t start = newline == npos ? 0 : newline + 1;
    return unicode::strip_left(text.substr(start)).empty() ? text.substr(0, start) : text;
  }

  void data(std::string_view text) {
    if (!text.empty()) push(TokenType::data, std::string(text));
  }
  void push(TokenType type, std::string text) { tokens_.push_back({type, std::move(text), line_}); }

  void advance(std::size_t to) {
    for (; at_ < to; ++at_) line_ += source_[at_] == '\n' ? 1 : 0;
  }
  std::size_t skip_space(std::size_t from) const {
    return source_.size() - unicode::strip_left(source_.substr(from)).size();
  }
  bool stands(std::string_view text, std::size_t offset) const {
    return source_.substr(offset, text.size()) == text;
  }

  // Where a tag ends that closes at `offset` with `close` ("%}"): past a sign, and past the white space or the
  // newline that it takes. npos where none closes there.
  std::size_t tag_end(std::size_t offset, std::string_view close, bool takes_newline) const {
    if (stands("-", offset) && stands(close, offset + 1)) return skip_space(offset + 3);
    if (takes_newline && stands("+", offset) && stands(close, offset + 1)) return offset + 3;
    if (!stands(close, offset)) return npos;
    return offset + 2 + (takes_newline && stands("\n", offset + 2) ? 1 : 0);
  }
  void leave_tag(std::size_t end) {
    line_starts_ = source_[end - 1] == '\n';
    advance(end);
  }

  // Past `{% raw %}` if that is what the tag at `inside` is.
  std::size_t raw_body(std::size_t inside) const {
    const std::size_t word = skip_space(inside);
    if (!stands("raw", word)) return npos;
    const std::size_t close = skip_space(word + 3);
    if (stands("-%}", close)) return skip_space(close + 3);
    return stands("%}", close) ? close + 2 : npos;
  }

  Done read_raw(std::size_t body) {
    leave_tag(body);
    for (std::size_t tag = source_.find("{%", body); tag != npos; tag = source_.find("{%", tag + 2)) {
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
      const std::size_t word = skip_space(tag + (sign == '-' || sign == '+' ? 3 : 2));
      if (!stands("endraw", word)) continue;
      const std::size_t end = tag_end(skip_space(word + 6), "%}", true);
      if (end == npos) continue;
      data(trimmed(source_.substr(body, tag - body), sign, true));
      leave_tag(end);
      return {};
    }
    return fault("Missing end of raw directive");
  }

  Done read_comment(std::size_t inside) {
    const std::size_t close = source_.find("#}", inside);
    if (close == npos) return fault("Missing end of comment tag");
    const char sign = close > inside ? source_[close - 1] : ' ';
    leave_tag(tag_end(sign == '-' || sign == '+' ? close - 1 : close, "#}", true));
    return {};
  }

  Done read_tag(TokenType closing) {
    std::vector<char> open;  // brackets
    while (at_ < source_.size()) {
      if (open.empty()) {
        const bool block = closing == TokenType::block_end;
        const std::size_t end = tag_end(at_, block ? "%}" : "}}", block);
        if (end != npos) {
          push(closing, {});
          leave_tag(end);
          return {};
        }
      }
      const std::size_t word = skip_space(at_);
      if (word != at_) {
        advance(word);
        continue;
      }
      JINJA_CHECK(read_token(open));
    }
    return fault("the template ends inside a tag");
  }

  Done read_token(std::vector<char>& open) {
    const char c = source_[at_];
    if (is_digit(c)) return read_number();
    if (is_name_start(c)) {
      std::size_t end = at_;
      while (end < source_.size() && is_name(source_[end])) ++end;
      push(TokenType::name, std::string(source_.substr(at_, end - at_)));
      advance(end);
      return {};
    }
    if (c == '\'' || c == '"') {
      JINJA_TRY(literal, read_string(source_, at_));
      push(TokenType::string, std::move(literal.value));
      advance(literal.end);
      return {};
    }
    return read_operator(open);
  }

  Done read_number() {
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    const NumberLiteral literal = scan_number(source_, at_, !after_dot);
    push(literal.real ? TokenType::real : TokenType::integer,
         std::string(source_.substr(at_, literal.end - at_)));
    advance(literal.end);
    return {};
  }

  Done read_operator(std::vector<char>& open) {
    static constexpr std::array<std::string_view, 6> kLong = {"//", "**", "==", "!=", ">=", "<="};
    std::string_view found;
    for (const std::string_view op : kLong)
      if (stands(op, at_)) found = op;
    if (found.empty()) found = source_.substr(at_, 1);
    const char c = found[0];
    if (found.size() == 1 && std::string_view("+-/*%~[](){}><=.:|,;").find(c) == npos)
      return fault("unexpected character '" + shortened_byte(c) + "'");
    if (c == '(' || c == '[' || c == '{') {
      open.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c)
        return fault(std::string("unexpected '") + c + "'" +
                     (open.empty() ? "" : std::string(", expected '") + open.back() + "'"));
      open.pop_back();
    }
    push(TokenType::op, std::string(found));
    advance(at_ + found.size());
    return {};
  }

  static std::string shortened_byte(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? "?" : std::string(1, c);
  }

  std::string_view source_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  bool line_starts_ = true;  // whether the tag before ended with a newline
  std::vector<Token> tokens_;
};

}  // namespace

Outcome<std::vector<Token>> tokenize(std::string_view source) {
  const std::string text = normalized(source);
  return Lexer(text).run();
}

}  // namespace serveloop::text::jinja
