// Between TOML and structs, both ways, as the schema says. A document is walked table by table: each entry is
// a key of its section, a table of a section below it, or an error that names the nearest known name.
#include <algorithm>
#include <cmath>
#include <concepts>
#include <filesystem>

#include "base/suggest.hpp"
#include "config/schema.hpp"
#include "config/spread.hpp"

namespace serveloop::config {
namespace {

using toml::Value;

std::string joined(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

std::string number_text(double value) {
  if (std::abs(value) < 1e15 && value == std::floor(value))
    return std::to_string(static_cast<std::int64_t>(value));
  return toml::to_inline(Value(value));
}

bool bounded(const Key& key) { return key.min != 0 || key.max != 0; }

Status check_bounds(const Key& key, double number, const Value& value, const std::string& name) {
  if (!std::isnan(number) && (!bounded(key) || (number >= key.min && number <= key.max))) return {};
  std::string expected = !bounded(key)      ? "a number"
                         : key.max == kMost ? "at least " + number_text(key.min)
                                            : number_text(key.min) + " to " + number_text(key.max);
  return fail(value.named(name), std::move(expected), value.describe());
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == '|') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

// Reads one value into the member behind a slot.
struct Reader {
  const Key& key;
  const Value& value;
  const std::string& name;    // the key's full name, for errors
  const std::string& folder;  // of relative paths

  Status operator()(bool* out) const { return store(value.as_bool(name), out); }

  template <std::integral Int>
  Status operator()(Int* out) const {
    if (key.kind == Kind::bytes && value.is_string()) {
      const Result<std::uint64_t> bytes = parse_bytes(*value.as_string());
      if (!bytes) return fail(value.named(name), kSizeForm, value.describe());
      *out = static_cast<Int>(*bytes);
      return {};
    }
    const Result<std::int64_t> integer = value.as_integer(name);
    if (key.kind == Kind::bytes && integer.value_or(-1) < 0)
      return fail(value.named(name), kSizeForm, value.describe());
    if (!integer) return tl::unexpected(integer.error());
    if (Status bounds = check_bounds(key, static_cast<double>(*integer), value, name); !bounds) return bounds;
    *out = static_cast<Int>(*integer);
    return {};
  }

  Status operator()(double* out) const {
    const Result<double> number = value.as_double(name);
    if (!number) return tl::unexpected(number.error());
    if (Status bounds = check_bounds(key, *number, value, name); !bounds) return bounds;
    *out = *number;
    return {};
  }

  Status operator()(std::string* out) const {
    Result<std::string> text = value.as_string(name);
    if (!text) return tl::unexpected(text.error());
    if (key.kind == Kind::choice) {
      const std::vector<std::string> known = split(key.choices);
      if (std::find(known.begin(), known.end(), *text) == known.end()) {
        const std::string near = nearest(*text, known);
        std::string expected;
        for (const std::string& one : known) expected += (expected.empty() ? "" : " | ") + one;
        return fail(value.named(name), std::move(expected), value.describe(),
                    near.empty() ? "" : "did you mean '" + near + "'?");
      }
    }
    if (text->find('\0') != std::string::npos)
      return fail(value.named(name), "text without a zero byte", "one");
    *out = place(*text);
    return {};
  }

  Status operator()(std::vector<std::string>* out) const {
    Result<std::vector<std::string>> texts = value.as_strings(name);
    if (!texts) return tl::unexpected(texts.error());
    for (std::string& text : *texts) text = place(text);
    *out = std::move(*texts);
    return {};
  }

  Status operator()(std::map<std::string, double>* out) const {
    if (!value.is_table())
      return fail(value.named(name), "a table of numbers, as in { a = 3, b = 1 }", value.describe());
    out->clear();
    for (const toml::Entry& entry : value.entries()) {
      const std::string inner = joined(name, entry.key);
      double number = 0;
      if (Status read = Reader{key, entry.value, inner, folder}(&number); !read) return read;
      (*out)[entry.key] = number;
    }
    return {};
  }

  Status operator()(Value* out) const {
    if (!value.is_table()) return fail(value.named(name), "a table", value.describe());
    *out = value;
    return {};
  }

  // Each of an array.
  template <class T>
  Status operator()(std::vector<T>* out) const {
    if (!value.is_array()) return fail(value.named(name), "an array", value.describe());
    out->clear();
    for (const Value& item : value.items())
      if (Status read = Reader{key, item, name, folder}(&out->emplace_back()); !read) return read;
    return {};
  }

  Status operator()(Window* out) const {
    Window window;
    if (!value.is_array() || value.items().size() != 2) {
      return fail(value.named(name), "two numbers, as in [0, 600]", value.describe());
    }
    if (Status read = Reader{key, value.items()[0], name, folder}(&window.from_s); !read) return read;
    if (Status read = Reader{key, value.items()[1], name, folder}(&window.to_s); !read) return read;
    if (window.from_s >= window.to_s) {
      return fail(value.named(name), "a start before the end", toml::to_inline(value));
    }
    *out = window;
    return {};
  }

  // A number, or a table like { mean = 5, cv = 1 }.
  Status operator()(Spread* out) const {
    if (!value.is_table()) {
      const bool number = value.as_double().has_value();
      if (!number)
        return fail(value.named(name), "a number or a distribution, as in { mean = 5, cv = 1 }",
                    value.describe());
      *out = Spread();
      return (*this)(&out->mean);
    }
    StatedSpread stated;
    for (const toml::Entry& entry : value.entries()) {
      const std::string inner = joined(name, entry.key);
      if (entry.key == "distribution") {
        const Key one{"", Kind::choice, nullptr, 0, 0, "", kDistributions, ""};
        if (Status read = Reader{one, entry.value, inner, folder}(&stated.distribution); !read) return read;
        continue;
      }
      std::optional<double>* const number = stated.find(entry.key);
      if (number == nullptr)
        return fail(entry.value.named("unknown key '" + inner + "'"), "", "",
                    did_you_mean(entry.key, StatedSpread::keys()));
      Key bounds = key;
      if (entry.key == "cv") bounds.min = 0, bounds.max = 100;
      if (Status read = Reader{bounds, entry.value, inner, folder}(number); !read) return read;
    }
    Result<Spread> whole = stated.whole(key, value.named(name));
    if (!whole) return tl::unexpected(whole.error());
    *out = std::move(*whole);
    return {};
  }

  template <class T>
  Status operator()(std::optional<T>* out) const {
    T inner{};
    if (Status read = (*this)(&inner); !read) return read;
    *out = inner;
    return {};
  }

 private:
  template <class T>
  static Status store(Result<T> result, T* out) {
    if (!result) return tl::unexpected(result.error());
    *out = *result;
    return {};
  }

  std::string place(const std::string& text) const {
    if (key.kind != Kind::path && !(key.kind == Kind::named && text.find('/') != std::string::npos))
      return text;
    if (!value.of_command_line()) return resolve(text, folder);
    std::error_code ignored;
    return resolve(text, std::filesystem::current_path(ignored).string());
  }
};

class Walk {
 public:
  Walk(const Schema& schema, void* root, const std::string& folder)
      : schema_(schema), root_(root), folder_(folder) {}

  // A table that stands at `path` in the document and, where it is a section, fills `record`.
  Status table(const Value& value, const std::string& path, const Section* section, void* record) {
    for (const toml::Entry& entry : value.entries()) {
      const std::string name = joined(path, entry.key);
      if (const Key* key = section == nullptr ? nullptr : find_key(*section, entry.key)) {
        if (Status read = std::visit(Reader{*key, entry.value, name, folder_}, key->slot(record)); !read)
          return read;
      } else if (Status inner = below(entry.value, name, path, section); !inner) {
        return inner;
      }
    }
    return {};
  }

 private:
  Status below(const Value& value, const std::string& name, const std::string& parent,
               const Section* section) {
    for (const Section& inner : schema_) {
      if (name != inner.path) continue;
      if (inner.repeat == Repeat::once) return one(value, name, inner, "");
      const bool list = inner.repeat == Repeat::list;
      if (list ? !value.is_array() : !value.is_table()) {
        const std::string example =
            list ? "tables, as in [[" + name + "]]" : "tables, as in [" + name + ".NAME]";
        return fail(value.named(name), example, value.describe());
      }
      for (std::size_t i = 0; i < value.items().size(); ++i) {
        if (Status read = one(value.items()[i], joined(name, std::to_string(i)), inner, ""); !read)
          return read;
      }
      for (const toml::Entry& item : value.entries()) {
        if (Status read = one(item.value, joined(name, item.key), inner, item.key); !read) return read;
      }
      return {};
    }
    const bool above = std::any_of(schema_.begin(), schema_.end(), [&](const Section& inner) {
      return std::string(inner.path).starts_with(name + ".");
    });
    if (!above) return unknown(value, name, parent, section);
    if (!value.is_table()) return fail(value.named(name), "a table", value.describe());
    return table(value, name, nullptr, nullptr);
  }

  Status one(const Value& value, const std::string& name, const Section& section, const std::string& id) {
    const std::string shorthand = section.shorthand;
    if (!shorthand.empty() && value.is_string()) {
      const Key& key = *find_key(section, shorthand);
      return std::visit(Reader{key, value, name, folder_}, key.slot(section.add(root_, id)));
    }
    if (!value.is_table()) {
      return fail(value.named(name), shorthand.empty() ? "a table" : "a table, or a plugin's id",
                  value.describe());
    }
    if (section.repeat == Repeat::by_id && id.empty())
      return fail(value.named(name), "a name", "an empty one");
    return table(value, name, &section, section.add(root_, id));
  }

  // Names of this table first; if none is near, the full names of keys that are called so elsewhere.
  Status unknown(const Value& value, const std::string& name, const std::string& parent,
                 const Section* section) {
    const std::string word = name.substr(parent.empty() ? 0 : parent.size() + 1);
    std::vector<std::string> here, anywhere;
    if (section != nullptr) {
      for (const Key& key : section->keys) here.emplace_back(key.name);
    }
    for (const Section& other : schema_) {
      const std::string path = other.path;
      const std::string prefix = parent.empty() ? "" : parent + ".";
      if (path.size() > prefix.size() && path.starts_with(prefix)) {
        here.push_back(path.substr(prefix.size(), path.find('.', prefix.size()) - prefix.size()));
      }
      for (const Key& key : other.keys) {
        if (word == key.name && other.repeat == Repeat::once) anywhere.push_back(joined(path, word));
      }
    }
    here.erase(std::unique(here.begin(), here.end()), here.end());
    const bool elsewhere = nearest(word, here).empty() && !anywhere.empty();
    return fail(value.named("unknown key '" + name + "'"), "", "",
                elsewhere ? "did you mean '" + anywhere.front() + "'?" : did_you_mean(word, here));
  }

  static const Key* find_key(const Section& section, const std::string& name) {
    for (const Key& key : section.keys) {
      if (name == key.name) return &key;
    }
    return nullptr;
  }

  const Schema& schema_;
  void* root_;
  const std::string& folder_;
};

}  // namespace

Status fill(const Schema& schema, void* root, const Value& document, const std::string& folder) {
  const Section* top = nullptr;
  for (const Section& section : schema) {
    if (*section.path == '\0') top = &section;
  }
  return Walk(schema, root, folder).table(document, "", top, top == nullptr ? nullptr : top->add(root, ""));
}

}  // namespace serveloop::config
