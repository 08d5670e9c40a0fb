// Containers may share their elements, so that what they print as can be exponentially larger than they are: each
// element costs work, and the text grown so far must fit in what values may take.
#include "text/jinja/print.hpp"

#include "text/jinja/number.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

class Printer {
 public:
  explicit Printer(Run& run) : run_(run) {}
  std::string out;

  Done repr(const Value& value) {
    JINJA_CHECK(run_.spend(1));
    switch (value.kind()) {
      case Kind::undefined: out += "Undefined"; break;
      case Kind::none: out += "None"; break;
      case Kind::boolean: out += value.as_bool() ? "True" : "False"; break;
      case Kind::integer: out += std::to_string(value.as_int()); break;
      case Kind::real: out += real_text(value.as_real()); break;
      case Kind::text: return repr_text(value.as_text());
      case Kind::list: return repr_list(value.as_list());
      case Kind::dict: return repr_dict(value.as_dict());
      case Kind::name_space: return repr_namespace(value.as_namespace());
      case Kind::loop: {
        const Loop& loop = value.as_loop();
        out += "<LoopContext " + std::to_string(loop.at + 1) + "/" +
               std::to_string(loop.items->items.size()) + ">";
        break;
      }
      case Kind::callable: out += value.as_callable().macro != nullptr ? "<Macro>" : "<function>"; break;
    }
    return run_.budget.room_for(out.size());
  }

 private:
  Done repr_text(const Text& text) {
    JINJA_CHECK(run_.budget.spend_characters(text.bytes.size()));
    JINJA_CHECK(run_.budget.room_for(out.size() + text.bytes.size()));
    out += text.markup ? "Markup(" + quoted(text.bytes) + ")" : quoted(text.bytes);
    return run_.budget.room_for(out.size());
  }

  Done repr_items(const std::vector<Value>& items) {
    bool first = true;
    for (const Value& item : items) {
      if (!first) out += ", ";
      first = false;
      JINJA_CHECK(repr(item));
    }
    return {};
  }

  Done repr_list(const List& list) {
    switch (list.kind) {
      case ListKind::range:
        out += "range(" + std::to_string(list.start) + ", " + std::to_string(list.stop);
        if (list.step != 1) out += ", " + std::to_string(list.step);
        out += ')';
        return {};
      case ListKind::generator: out += "<generator object>"; return {};
      case ListKind::tuple:
        out += '(';
        JINJA_CHECK(repr_items(list.items));
        out += list.items.size() == 1 ? ",)" : ")";
        return {};
      case ListKind::dict_keys: out += "dict_keys("; break;
      case ListKind::dict_values: out += "dict_values("; break;
      case ListKind::dict_items: out += "dict_items("; break;
      case ListKind::list: break;
    }
    out += '[';
    JINJA_CHECK(repr_items(list.items));
    out += list.kind == ListKind::list ? "]" : "])";
    return {};
  }

  Done repr_dict(const Dict& dict) {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : dict.entries) {
      if (!first) out += ", ";
      first = false;
      JINJA_CHECK(repr(key));
      out += ": ";
      JINJA_CHECK(repr(value));
    }
    out += '}';
    return {};
  }

  Done repr_namespace(const Namespace& space) {
    if (++namespaces_ > kMaxValueDepth) return fault("a namespace that holds itself cannot be printed");
    out += "<Namespace ";
    JINJA_CHECK(repr_dict(space.attributes));
    out += '>';
    --namespaces_;
    return {};
  }

  Run& run_;
  std::uint32_t namespaces_ = 0;  // being printed; each may hold lists of its own depth
};

}  // namespace

std::string quoted(std::string_view text) {
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, quote);
  constexpr char kHex[] = "0123456789abcdef";
  const auto hex = [&](std::uint32_t code, int digits) {
    for (int i = digits - 1; i >= 0; --i) out += kHex[code >> (4 * i) & 15];
  };
  for (std::size_t offset = 0; offset < text.size();) {
    const unicode::Character c = unicode::at(text, offset);
    if (c.code == static_cast<std::uint32_t>(quote) || c.code == '\\') {
      out += '\\';
      out += static_cast<char>(c.code);
    } else if (c.code == '\n' || c.code == '\r' || c.code == '\t') {
      out += c.code == '\n' ? "\\n" : c.code == '\r' ? "\\r" : "\\t";
    } else if (c.code == unicode::kInvalid || unicode::is_printable(c.code)) {
      out += text.substr(offset, c.bytes);
    } else if (c.code < 0x100) {
      out += "\\x";
      hex(c.code, 2);
    } else {
      out += c.code < 0x10000 ? "\\u" : "\\U";
      hex(c.code, c.code < 0x10000 ? 4 : 8);
    }
    offset += c.bytes;
  }
  return out + quote;
}

Outcome<std::string> repr(Run& run, const Value& value) {
  Printer printer(run);
  JINJA_CHECK(printer.repr(value));
  return std::move(printer.out);
}

Outcome<std::string> str(Run& run, const Value& value) {
  if (value.is(Kind::undefined)) return std::string();
  if (!value.is(Kind::text)) return repr(run, value);
  JINJA_CHECK(run.reserve_text(value.as_bytes().size()));
  return std::string(value.as_bytes());
}

Outcome<Soft> soft_str(Run& run, const Value& value) {
  JINJA_TRY(bytes, str(run, value));
  return Soft{std::move(bytes), value.is(Kind::text) && value.as_text().markup};
}

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\'': out += "&#39;"; break;
      case '"': out += "&#34;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace serveloop::text::jinja
