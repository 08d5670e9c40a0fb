// The only door to PCRE2. Each pattern matches at every place of every text, so the pieces are the text.
//
// White space is written out, as \s of PCRE2 also takes U+180E, which Unicode and the tokenizers that models
// were trained with do not. Quantifiers are possessive where nothing behind them could want a character back,
// so long pieces need no backtracking.
#include "text/pieces.hpp"

#include <array>
#include <new>
#include <utility>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace serveloop::text {
namespace {

struct Named {
  std::string_view name;
  std::string_view pattern;
  bool whole_tokens_first;
};

#define SPACE "\\t-\\r\\x{85}\\p{Z}"
#define OTHER "[^" SPACE "\\p{L}\\p{N}]"
#define TAIL " ?" OTHER "++[\\r\\n]*+|[" SPACE "]*[\\r\\n]++|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]++"
#define WORDS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|"

constexpr std::array<Named, 4> kNamed = {{
    // Radford et al. (2019).
    {"gpt-2",
     "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?" OTHER "++|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]++",
     false},
    // Dubey et al. (2024): Llama 3; digits by threes.
    {"llama-bpe", WORDS "\\p{N}{1,3}+|" TAIL, true},
    // Bai et al. (2023): digits alone.
    {"qwen2", WORDS "\\p{N}|" TAIL, false},
    // Ben Allal et al. (2025): digits are cut out first, then GPT-2's pattern on what is between them, so that
    // a text ends before each digit.
    {"smollm",
     "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++|\\p{N}| ?" OTHER "++|[" SPACE "]+(?![^" SPACE "\\p{N}])|[" SPACE "]++",
     false},
}};

#undef WORDS
#undef TAIL
#undef OTHER
#undef SPACE

constexpr std::uint32_t kMatchLimit = 1u << 26;  // steps of one match: 4 for each byte of the longest text
constexpr std::uint32_t kHeapLimitKib = 256u << 10;  // of the interpreter, where there is no JIT

}  // namespace

struct PreTokenizer::Code {
  const Named* named;
  pcre2_code* pattern = nullptr;
  ~Code() { pcre2_code_free(pattern); }
};

PreTokenizer::PreTokenizer(std::unique_ptr<Code> code) : code_(std::move(code)) {}
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Result<PreTokenizer> PreTokenizer::create(std::string_view name) {
  auto code = std::make_unique<Code>();
  std::string known;
  for (const Named& named : kNamed) {
    known += (known.empty() ? "" : ", ") + std::string(named.name);
    if (named.name != name) continue;
    code->named = &named;
    int error = 0;
    PCRE2_SIZE at = 0;
    code->pattern = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(named.pattern.data()), named.pattern.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &at, nullptr);
    if (code->pattern == nullptr)
      return fail("pre-tokenizer '" + std::string(name) + "'", "a PCRE2 that has Unicode",
                  "PCRE2 error " + std::to_string(error) + " at " + std::to_string(at));
    pcre2_jit_compile(code->pattern, PCRE2_JIT_COMPLETE);  // without it matching is slower, not different
    return PreTokenizer(std::move(code));
  }
  return fail("pre-tokenizer", "one of " + known, "'" + std::string(name.substr(0, 64)) + "'");
}

bool PreTokenizer::whole_tokens_first() const { return code_->named->whole_tokens_first; }

struct PreTokenizer::Walk::Match {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  ~Match() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
};

PreTokenizer::Walk::Walk(const PreTokenizer& pre, std::string_view text)
    : pre_(pre), text_(text), match_(std::make_unique<Match>()) {
  if (match_->data == nullptr || match_->context == nullptr) throw std::bad_alloc();
  pcre2_set_match_limit(match_->context, kMatchLimit);
  pcre2_set_heap_limit(match_->context, kHeapLimitKib);
}

PreTokenizer::Walk::~Walk() = default;

std::string_view PreTokenizer::Walk::next() {
  if (at_ == text_.size()) return {};
  const int found = pcre2_match(pre_.code_->pattern, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(),
                                at_, PCRE2_NO_UTF_CHECK, match_->data, match_->context);
  const std::size_t end = found > 0 ? pcre2_get_ovector_pointer(match_->data)[1] : at_;
  if (end == at_) {
    error_ = "PCRE2 error " + std::to_string(found);
    return {};
  }
  const std::string_view piece = text_.substr(at_, end - at_);
  at_ = end;
  return piece;
}

}  // namespace serveloop::text
