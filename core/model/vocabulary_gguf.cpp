// The keys tokenizer.* of a GGUF file. Lists have one entry a token, ids lie below the number of tokens; lengths are
// checked before lists are made.
#include <fmt/format.h>

#include "model/from_gguf.hpp"

namespace serveloop::model {
namespace {

constexpr std::int64_t kMostTokenType = static_cast<std::int64_t>(TokenType::byte);

class Reader {
 public:
  explicit Reader(const gguf::File& file) : file_(file) {}
  bool has(std::string_view key) const { return file_.find(key) != nullptr; }

  void read(std::string_view key, std::string& value) {
    if (has(key)) value = keep(file_.text(key));
  }
  void read(std::string_view key, gguf::Length length, std::vector<std::string>& values) {
    if (!has(key)) return;
    const std::vector<std::string_view> texts = keep(file_.texts(key, length));
    values.assign(texts.begin(), texts.end());
  }
  void read(std::string_view key, std::optional<bool>& value) {
    if (has(key)) value = keep(file_.flag(key));
  }
  void read_id(std::string_view key, std::size_t tokens, std::optional<std::uint32_t>& id) {
    if (has(key)) id = static_cast<std::uint32_t>(keep(file_.whole(key, 0, tokens - 1)));
  }
  void read(std::string_view key, gguf::Length length, std::vector<float>& values) {
    if (has(key)) values = keep(file_.numbers(key, length));
  }
  void read(std::string_view key, gguf::Length length, std::vector<TokenType>& types) {
    if (!has(key)) return;
    const std::vector<std::int64_t> numbers = keep(file_.wholes(key, length));
    types.reserve(numbers.size());
    for (const std::int64_t number : numbers) {
      if (number < 0 || number > kMostTokenType)
        return refuse(key, fmt::format("types of 0 to {}", kMostTokenType), std::to_string(number));
      types.push_back(static_cast<TokenType>(number));
    }
  }
  void refuse(std::string_view key, std::string expected, std::string found) {
    if (status_)
      status_ = fail(fmt::format("{}: key '{}'", file_.source(), key), std::move(expected), std::move(found));
  }
  const Status& status() const { return status_; }

 private:
  template <class T>
  T keep(Result<T> result) {
    if (result) return *std::move(result);
    if (status_) status_ = tl::unexpected(result.error());
    return T();
  }
  const gguf::File& file_;
  Status status_;
};

}  // namespace

Result<Vocabulary> vocabulary_from_gguf(const gguf::File& file, std::uint32_t most_tokens) {
  constexpr const char* kTokens = "tokenizer.ggml.tokens";
  Reader in(file);
  const gguf::Value* list = file.find(kTokens);
  if (list == nullptr)
    return fail(fmt::format("{}: key '{}'", file.source(), kTokens), "an array of strings", "no such key");
  if (list->count < 1 || list->count > most_tokens)
    return fail(fmt::format("{}: key '{}'", file.source(), kTokens),
                fmt::format("1 to {} tokens, as the embedding has rows", most_tokens),
                std::to_string(list->count));
  const std::uint64_t tokens = list->count;
  Vocabulary vocabulary;
  in.read("tokenizer.ggml.model", vocabulary.model);
  in.read("tokenizer.ggml.pre", vocabulary.pre);
  in.read(kTokens, {tokens, tokens}, vocabulary.tokens);
  in.read("tokenizer.ggml.token_type", {tokens, tokens}, vocabulary.types);
  in.read("tokenizer.ggml.scores", {tokens, tokens}, vocabulary.scores);
  in.read("tokenizer.ggml.merges", {0, kMostMerges}, vocabulary.merges);
  in.read("tokenizer.chat_template", vocabulary.chat_template);
  in.read("tokenizer.ggml.add_bos_token", vocabulary.add_bos);
  in.read("tokenizer.ggml.add_eos_token", vocabulary.add_eos);
  in.read("tokenizer.ggml.add_space_prefix", vocabulary.add_space_prefix);
  if (!in.status()) return tl::unexpected(in.status().error());
  in.read_id("tokenizer.ggml.bos_token_id", tokens, vocabulary.bos);
  in.read_id("tokenizer.ggml.eos_token_id", tokens, vocabulary.eos);
  in.read_id("tokenizer.ggml.eot_token_id", tokens, vocabulary.eot);
  in.read_id("tokenizer.ggml.eom_token_id", tokens, vocabulary.eom);
  in.read_id("tokenizer.ggml.unknown_token_id", tokens, vocabulary.unknown);
  in.read_id("tokenizer.ggml.padding_token_id", tokens, vocabulary.padding);
  if (!in.status()) return tl::unexpected(in.status().error());
  return vocabulary;
}

}  // namespace serveloop::model
