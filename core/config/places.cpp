#include "config/places.hpp"

#include <algorithm>

#include "config/schema.hpp"

namespace serveloop::config {
namespace {

using toml::Value;

// The key that a text opens with: "engine.lag" of "engine.lag: ..."; empty where it opens with something else.
std::string key_in_front(const std::string& text) {
  const auto in_key = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  std::string key(text.begin(), std::find_if_not(text.begin(), text.end(), in_key));
  const std::string first = key.substr(0, key.find('.'));
  const bool known = std::any_of(config_schema().begin(), config_schema().end(), [&](const Section& section) {
    const std::string path = section.path;
    return path.substr(0, path.find('.')) == first;
  });
  return known ? key : std::string();
}

std::string command_line_key_in(const Value& value, const std::string& key) {
  if (value.of_command_line()) return key;
  for (const toml::Entry& entry : value.entries())
    if (std::string below = command_line_key_in(entry.value, key + "." + entry.key); !below.empty())
      return below;
  return {};
}

}  // namespace

Places::Places(Value document, std::string folder)
    : document_(std::make_shared<const Value>(std::move(document))), folder_(std::move(folder)) {}

std::string Places::named(const std::string& key) const {
  if (document_ == nullptr) return key;
  for (std::string at = key; !at.empty(); at.resize(at.find('.') == std::string::npos ? 0 : at.rfind('.')))
    if (const Value* value = document_->at(at); value != nullptr && !value->source().empty())
      return value->named(key);
  return (document_->source().empty() ? "" : document_->source() + ": ") + key;
}

bool Places::states(const std::string& key) const {
  return document_ != nullptr && document_->at(key) != nullptr;
}

bool Places::of_command_line(const std::string& key) const {
  return states(key) && document_->at(key)->of_command_line();
}

std::string Places::command_line_key(const std::string& key) const {
  return states(key) ? command_line_key_in(*document_->at(key), key) : std::string();
}

std::string Places::hint(const std::string& key) const {
  if (!states(key)) return {};
  const Value& value = *document_->at(key);
  const Result<std::string> path = value.as_string();
  if (!path || path->starts_with("/") || path->starts_with("~/")) return {};
  if (value.of_command_line()) return "on the command line a relative path counts from the working directory";
  return "a relative path counts from the configuration's folder, " + folder_ +
         ": put the file there, or write where it is";
}

bool Places::has_place(const Error& error) const {
  if (error.what.starts_with("--")) return true;
  return document_ != nullptr && !document_->source().empty() &&
         error.what.starts_with(document_->source() + ":");
}

tl::unexpected<Error> Places::under(const std::string& key, Error error) const {
  return has_place(error) ? tl::unexpected<Error>(std::move(error)) : about(key, std::move(error));
}

Error Places::placed(Error error) const {
  if (document_ == nullptr || has_place(error)) return error;
  const std::string key = key_in_front(error.what);
  if (error.hint.empty() && error.found.starts_with("none at ")) error.hint = hint(key);
  const std::string& source = document_->source();
  if (!key.empty())
    error.what = named(key) + error.what.substr(key.size());
  else if (!source.empty())
    error.what = source + ": " + error.what;
  return error;
}

}  // namespace serveloop::config
