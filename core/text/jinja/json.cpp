// The text grown so far must fit in what values may take: see print.cpp.
#include "text/jinja/json.hpp"

#include <algorithm>
#include <cmath>

#include "text/jinja/compare.hpp"
#include "text/jinja/number.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

class Writer {
 public:
  Writer(Run& run, const JsonStyle& style) : run_(run), style_(style) {}
  std::string out;

  Done write(const Value& value) {
    JINJA_CHECK(run_.spend(1));
    switch (value.kind()) {
      case Kind::text: return write_text(value.as_bytes());
      case Kind::dict: return write_dict(value.as_dict());
      case Kind::list:
        if (value.as_list().kind == ListKind::list || value.as_list().kind == ListKind::tuple)
          return write_list(value.as_list().items);
        break;
      default:
        if (std::string scalar = scalar_text(value); !scalar.empty()) {
          out += scalar;
          return run_.budget.room_for(out.size());
        }
    }
    return fault("Object of type " + std::string(value.type_name()) + " is not JSON serializable");
  }

 private:
  static std::string scalar_text(const Value& value) {
    if (value.is(Kind::none)) return "null";
    if (value.is(Kind::boolean)) return value.as_bool() ? "true" : "false";
    if (value.is(Kind::integer)) return std::to_string(value.as_int());
    if (!value.is(Kind::real)) return {};
    if (std::isnan(value.as_real())) return "NaN";
    if (std::isinf(value.as_real())) return value.as_real() < 0 ? "-Infinity" : "Infinity";
    return real_text(value.as_real());
  }

  void escape(std::uint32_t code) {
    constexpr char kHex[] = "0123456789abcdef";
    out += "\\u";
    for (int i = 12; i >= 0; i -= 4) out += kHex[code >> i & 15];
  }

  Done write_text(std::string_view text) {
    JINJA_CHECK(run_.budget.spend_characters(text.size()));
    JINJA_CHECK(run_.budget.room_for(out.size() + text.size()));
    out += '"';
    for (std::size_t offset = 0; offset < text.size();) {
      const unicode::Character c = unicode::at(text, offset);
      switch (c.code) {
        case '"': out += "\\\""; break;
        case '\\': out += "\\\\"; break;
        case '\n': out += "\\n"; break;
        case '\r': out += "\\r"; break;
        case '\t': out += "\\t"; break;
        case '\f': out += "\\f"; break;
        case '\b': out += "\\b"; break;
        default:
          if (c.code < 0x20 ||
              (style_.ensure_ascii && c.code >= 0x7f && c.code < 0x10000 && c.code != 0x7f)) {
            escape(c.code);
          } else if (style_.ensure_ascii && c.code >= 0x10000 && c.code != unicode::kInvalid) {
            escape(0xd800 + ((c.code - 0x10000) >> 10));
            escape(0xdc00 + (c.code & 0x3ff));
          } else {
            out += text.substr(offset, c.bytes);
          }
      }
      offset += c.bytes;
    }
    out += '"';
    return run_.budget.room_for(out.size());
  }

  Done line() {
    if (!style_.indent) return {};
    JINJA_CHECK(run_.budget.room_for(out.size() + level_ * style_.indent->size() + 1));
    JINJA_CHECK(run_.budget.spend_bytes(level_ * style_.indent->size()));
    out += '\n';
    for (std::size_t i = 0; i < level_; ++i) out += *style_.indent;
    return {};
  }

  Done write_list(const std::vector<Value>& items) {
    if (items.empty()) {
      out += "[]";
      return {};
    }
    out += '[';
    ++level_;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      JINJA_CHECK(line());
      JINJA_CHECK(write(items[i]));
    }
    --level_;
    JINJA_CHECK(line());
    out += ']';
    return {};
  }

  Done write_key(const Value& key) {
    if (key.is(Kind::text)) return write_text(key.as_bytes());
    out += '"' + scalar_text(key) + '"';
    return {};
  }

  Done write_dict(const Dict& dict) {
    if (dict.entries.empty()) {
      out += "{}";
      return {};
    }
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      JINJA_CHECK(run_.spend(entries.size()));
      JINJA_CHECK(merge_sort(run_, entries,
                             [&](const auto* a, const auto* b) { return less(run_, a->first, b->first); }));
    }
    out += '{';
    ++level_;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      JINJA_CHECK(line());
      JINJA_CHECK(write_key(entries[i]->first));
      out += style_.key_separator;
      JINJA_CHECK(write(entries[i]->second));
    }
    --level_;
    JINJA_CHECK(line());
    out += '}';
    return {};
  }

  Run& run_;
  const JsonStyle& style_;
  std::size_t level_ = 0;
};

}  // namespace

Outcome<std::string> to_json(Run& run, const Value& value, const JsonStyle& style) {
  Writer writer(run, style);
  JINJA_CHECK(writer.write(value));
  return std::move(writer.out);
}

}  // namespace serveloop::text::jinja
