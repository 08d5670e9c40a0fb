// `format % arguments` and format.format(arguments).
#include <algorithm>

#include "text/jinja/access.hpp"
#include "text/jinja/format.hpp"
#include "text/jinja/number.hpp"
#include "text/jinja/operators.hpp"
#include "text/jinja/print.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

std::string_view first_characters(std::string_view text, std::optional<int> count) {
  return count ? text.substr(0, unicode::offset_of(text, static_cast<std::size_t>(*count))) : text;
}

class Printf {
 public:
  Printf(Run& run, const Value& format, const Value& arguments)
      : run_(run), markup_(format.as_text().markup), text_(format.as_bytes()), arguments_(arguments) {}

  Outcome<Value> format() {
    const bool tuple = arguments_.is(Kind::list) && arguments_.as_list().kind == ListKind::tuple;
    given_ = tuple ? arguments_.as_list().items : std::vector<Value>{arguments_};
    for (at_ = 0; at_ < text_.size();) {
      const std::size_t percent = std::min(text_.find('%', at_), text_.size());
      JINJA_CHECK(append(text_.substr(at_, percent - at_)));
      at_ = percent;
      if (at_ < text_.size()) JINJA_CHECK(conversion());
    }
    if (used_ < given_.size() && !named_ && !arguments_.is(Kind::dict))
      return fault("not all arguments converted during string formatting");
    return run_.text(std::move(out_), markup_);
  }

 private:
  Done append(std::string_view text) {
    JINJA_CHECK(run_.budget.spend_bytes(text.size()));
    JINJA_CHECK(run_.budget.room_for(out_.size() + text.size()));
    out_ += text;
    return {};
  }

  Outcome<Value> argument() {
    if (used_ >= given_.size()) return fault("not enough arguments for format string");
    return given_[used_++];
  }

  // `%(name)s`: the value of that name, in a mapping.
  Outcome<std::optional<Value>> named_argument() {
    if (at_ >= text_.size() || text_[at_] != '(') return std::nullopt;
    const std::size_t close = text_.find(')', at_);
    if (close == text_.npos || !arguments_.is(Kind::dict))
      return fault("a format with names requires a mapping");
    const Value* found = arguments_.as_dict().find(text_.substr(at_ + 1, close - at_ - 1));
    if (found == nullptr) return fault("a format names what the mapping does not hold");
    at_ = close + 1;
    named_ = true;
    return std::optional<Value>(*found);
  }

  Outcome<std::size_t> count() {
    std::size_t number = 0;
    if (at_ < text_.size() && text_[at_] == '*') {
      ++at_;
      JINJA_TRY(given, argument());
      if (!given.is(Kind::integer) || given.as_int() < 0) return fault("* wants a width of at least 0");
      number = static_cast<std::size_t>(given.as_int());
    }
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9' && number <= kMaxWidth; ++at_)
      number = number * 10 + static_cast<std::size_t>(text_[at_] - '0');
    if (number > kMaxWidth) return fault("a format with a width over " + std::to_string(kMaxWidth));
    return number;
  }

  Done conversion() {
    ++at_;
    FormatSpec spec;
    JINJA_TRY(named, named_argument());
    bool zero = false;
    for (; at_ < text_.size() && std::string_view("-+ #0").find(text_[at_]) != text_.npos; ++at_) {
      switch (text_[at_]) {
        case '-': spec.align = '<'; break;
        case '#': spec.alternate = true; break;
        case '0': zero = true; break;
        default: spec.sign = spec.sign == '+' ? '+' : text_[at_];
      }
    }
    JINJA_TRY(width, count());
    spec.width = width;
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      JINJA_TRY(precision, count());
      spec.precision = static_cast<int>(std::min<std::size_t>(precision, kMaxPrecision));
    }
    if (at_ >= text_.size()) return fault("incomplete format");
    spec.type = text_[at_++];
    if (spec.type == '%') return append("%");
    if (zero && spec.align == 0) {
      spec.fill = "0";
      spec.align = '=';
    }
    if (named) return convert(*named, spec);
    JINJA_TRY(value, argument());
    return convert(value, spec);
  }

  Done convert(const Value& value, FormatSpec& spec) {
    if (spec.type == 's' || spec.type == 'r') {
      JINJA_TRY(shown, spec.type == 's' ? str(run_, value) : repr(run_, value));
      if (spec.fill == "0") spec = {" ", '>', '-', false, 0, spec.width, spec.precision, spec.type};
      const bool raw = !markup_ || (value.is(Kind::text) && value.as_text().markup);
      const std::string_view kept = first_characters(shown, spec.precision);
      return append(padded(raw ? std::string(kept) : escaped(kept), spec, '>'));
    }
    if (std::string_view("diufFeEgGxXoc").find(spec.type) == text_.npos)
      return fault("unsupported format character");
    if (!is_numeric(value)) {
      if (value.is(Kind::undefined)) return undefined_fault(value);
      return fault(std::string("%") + spec.type + " format: a number is required, not " +
                   std::string(value.type_name()));
    }
    Value number = value;
    if (std::string_view("diu").find(spec.type) != text_.npos) {
      if (number.is(Kind::real)) {
        JINJA_TRY(whole, int_of_real(number.as_real()));
        number = whole;
      }
      spec.type = 'd';
    }
    JINJA_TRY(text, format_number(number, spec));
    return append(padded(text, spec, '>'));
  }

  Run& run_;
  bool markup_;
  std::string_view text_;
  const Value& arguments_;
  std::vector<Value> given_;
  std::size_t used_ = 0, at_ = 0;
  bool named_ = false;
  std::string out_;
};

class Braces {
 public:
  Braces(Run& run, const Arguments& arguments) : run_(run), arguments_(arguments) {}

  Outcome<Value> format(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
      const std::size_t brace = std::min(text.find_first_of("{}", at), text.size());
      JINJA_CHECK(append(text.substr(at, brace - at)));
      at = brace;
      if (at == text.size()) break;
      if (at + 1 < text.size() && text[at + 1] == text[at]) {
        JINJA_CHECK(append(text.substr(at, 1)));
        at += 2;
        continue;
      }
      if (text[at] == '}') return fault("a single '}' in a format");
      const std::size_t close = text.find('}', at);
      if (close == text.npos) return fault("a '{' without its '}' in a format");
      JINJA_CHECK(field(text.substr(at + 1, close - at - 1)));
      at = close + 1;
    }
    return run_.text(std::move(out_));
  }

 private:
  Done append(std::string_view text) {
    JINJA_CHECK(run_.budget.spend_bytes(text.size()));
    JINJA_CHECK(run_.budget.room_for(out_.size() + text.size()));
    out_ += text;
    return {};
  }

  // "name.attribute[0]!r:>10"
  Done field(std::string_view text) {
    if (text.find('{') != text.npos) return fault("a format inside a format is not supported");
    const std::size_t colon = std::min(text.find(':'), text.size());
    std::string_view path = text.substr(0, colon), spec = text.substr(std::min(colon + 1, text.size()));
    char shown_as = 0;
    if (const std::size_t mark = path.find('!'); mark != path.npos) {
      if (path.size() != mark + 2 || (path[mark + 1] != 'r' && path[mark + 1] != 's'))
        return fault("a format with an unknown conversion");
      shown_as = path[mark + 1];
      path = path.substr(0, mark);
    }
    JINJA_TRY(value, found(path));
    JINJA_TRY(read, read_spec(spec));
    if (shown_as == 0 && is_numeric(value) && !(value.is(Kind::boolean) && spec.empty())) {
      JINJA_TRY(number, format_number(value, read));
      return append(padded(number, read, '>'));
    }
    if (shown_as == 0 && !spec.empty() && !value.is(Kind::text))
      return fault("a format with a width, of what is no text");
    if (read.type != 0 && read.type != 's') return fault("a format for numbers, of text");
    JINJA_TRY(shown, shown_as == 'r' ? repr(run_, value) : str(run_, value));
    return append(padded(first_characters(shown, read.precision), read, '<'));
  }

  Outcome<Value> found(std::string_view path) {
    const std::size_t end = std::min(path.find_first_of(".["), path.size());
    JINJA_TRY(root, argument(path.substr(0, end)));
    Value value = root;
    for (std::size_t at = end; at < path.size();) {
      const bool item = path[at] == '[';
      const std::size_t stop =
          item ? path.find(']', at) : std::min(path.find_first_of(".[", at + 1), path.size());
      if (stop == path.npos) return fault("a '[' without its ']' in a format");
      const std::string name(path.substr(at + 1, stop - at - 1));
      const auto index = item ? read_int(name, 10) : std::nullopt;
      JINJA_TRY(next, item ? get_item(run_, value, index ? Value(*index) : Value::text(name))
                           : get_attribute(run_, value, name));
      if (next.is(Kind::undefined)) return undefined_fault(next);
      value = std::move(next);
      at = stop + (item ? 1 : 0);
    }
    return value;
  }

  Outcome<Value> argument(std::string_view name) {
    JINJA_CHECK(run_.spend(1 + arguments_.named.size()));
    std::optional<std::int64_t> index = name.empty() ? std::optional(automatic_++) : std::nullopt;
    if (!name.empty() && name[0] >= '0' && name[0] <= '9') index = read_int(name, 10);
    if (index) {
      if (*index < 0 || static_cast<std::size_t>(*index) >= arguments_.positional.size())
        return fault("a format with more fields than arguments");
      return arguments_.positional[static_cast<std::size_t>(*index)];
    }
    for (const auto& [given, value] : arguments_.named)
      if (given == name) return value;
    return fault("a format names '" + shortened(name) + "', which is no argument");
  }

  Run& run_;
  const Arguments& arguments_;
  std::int64_t automatic_ = 0;
  std::string out_;
};

}  // namespace

Outcome<Value> printf_format(Run& run, const Value& format, const Value& arguments) {
  return Printf(run, format, arguments).format();
}

Outcome<Value> brace_format(Run& run, std::string_view format, const Arguments& arguments) {
  return Braces(run, arguments).format(format);
}

}  // namespace serveloop::text::jinja
