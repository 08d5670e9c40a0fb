// Vocabularies that are wrong: refused with the place, what was expected and what was found.
#include <boost/test/unit_test.hpp>
#include <functional>

#include "vocabularies.hpp"

namespace serveloop::text::test {

namespace {

struct Case {
  const char* message;  // what the error begins with
  std::function<void(Vocabulary&)> spoil;
};

const std::vector<Case> kCases = {
    {"pre-tokenizer: expected one of gpt-2, llama-bpe, qwen2, smollm, found ''",
     [](Vocabulary& v) { v.pre = ""; }},
    {"tokens: expected 1 to 4194304 tokens, found 0", [](Vocabulary& v) { v.tokens.clear(); }},
    {"token types: expected 258, one for each token, found 257", [](Vocabulary& v) { v.types.pop_back(); }},
    {"type of tokens[3]: expected 1 (normal) to 5 (unused), found 0",
     [](Vocabulary& v) { v.types[3] = TokenType{0}; }},
    {"type of tokens[3]: expected 1 (normal) to 5 (unused), found 6",
     [](Vocabulary& v) { v.types[3] = TokenType::byte; }},
    {"type of tokens[257]: expected 1 (normal) to 5 (unused), found -2147483648",
     [](Vocabulary& v) { v.types[257] = TokenType{INT32_MIN}; }},
    {"tokens[5]: expected 1 to 4096 bytes, found 0", [](Vocabulary& v) { v.tokens[5].clear(); }},
    {"tokens[5]: expected 1 to 4096 bytes, found 4097", [](Vocabulary& v) { v.tokens[5].assign(4097, 'x'); }},
    {"tokens[5]: expected UTF-8", [](Vocabulary& v) { v.tokens[5] = "\xc3"; }},
    {"tokens[98]: expected a token that is not in the list yet, found 'a', which is tokens[97]",
     [](Vocabulary& v) { v.tokens[98] = "a"; }},
    {"tokens[258]: expected 1 to 256 bytes of a token to be recognised, found 257",
     [](Vocabulary& v) { add(v, std::string(257, '<'), TokenType::control); }},
    {"tokens: expected some that stand for a single byte, found none",
     [](Vocabulary& v) {
       v.tokens = {"\u2581a", "\u2581b"};  // SentencePiece's
       v.types = {};
     }},
    {"merges[0]: expected two tokens with a space between them, found ''",
     [](Vocabulary& v) { v.merges[0] = ""; }},
    {"merges[0]: expected two tokens with a space", [](Vocabulary& v) { v.merges[0] = "th"; }},
    {"merges[0]: expected two tokens with a space", [](Vocabulary& v) { v.merges[0] = " h"; }},
    {"merges[0]: expected two tokens with a space", [](Vocabulary& v) { v.merges[0] = "t "; }},
    {"merges[0]: expected two tokens with a space", [](Vocabulary& v) { v.merges[0] = "t h e"; }},
    {"merges[0]: expected two tokens with a space", [](Vocabulary& v) { v.merges[0] = "t  h"; }},
    {"merges[0]: expected two tokens with a space",
     [](Vocabulary& v) { v.merges[0] = "t " + std::string(9000, 'h'); }},
    {"merges[0]: expected tokens of the vocabulary, found 'tx'", [](Vocabulary& v) { v.merges[0] = "tx h"; }},
    {"merges[0]: expected tokens of the vocabulary, found '\u2003'",
     [](Vocabulary& v) { v.merges[0] = "t \u2003"; }},
    {"merges[0]: expected tokens of the vocabulary, found '\xff'",
     [](Vocabulary& v) { v.merges[0] = "t \xff"; }},
    {"merges[1]: expected a pair that makes a token of the vocabulary, found 'a b'",
     [](Vocabulary& v) { v.merges[1] = "a b"; }},
    {"merges[2]: expected a pair that has no merge yet, found the pair of merges[0]",
     [](Vocabulary& v) { v.merges.push_back("t h"); }},
    // Text that nobody marked must not become a control token.
    {"merges[0]: expected a pair that makes a token of the vocabulary, found 't h'",
     [](Vocabulary& v) { v.types[256] = TokenType::control; }},
    {"merges[0]: expected tokens of the vocabulary, found 'h'",
     [](Vocabulary& v) { v.types['h'] = TokenType::control; }},
    {"bos: expected an id below 258, found 258", [](Vocabulary& v) { v.bos = 258; }},
    {"eos: expected an id below 258, found 4294967295", [](Vocabulary& v) { v.eos = UINT32_MAX; }},
    {"bos: expected an id, as texts are to be enclosed in it, found none",
     [](Vocabulary& v) { v.add_bos = true; }},
    {"eos: expected an id, as texts are to be enclosed in it, found none",
     [](Vocabulary& v) { v.add_eos = true; }},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(hostile_vocabularies)

BOOST_AUTO_TEST_CASE(each_is_refused_with_what_is_wrong) {
  BOOST_TEST(Tokenizer::create(small({"t|h", "th|e"})).has_value());
  for (const Case& each : kCases) {
    Vocabulary vocabulary = small({"t|h", "th|e"});
    each.spoil(vocabulary);
    const auto made = Tokenizer::create(vocabulary);
    BOOST_TEST_REQUIRE(!made.has_value(), each.message);
    const std::string found = made.error().message();
    const std::string expected = Error{each.message, {}, {}, {}}.message();  // control characters as '?'
    BOOST_TEST(found.substr(0, expected.size()) == expected);
  }
}

BOOST_AUTO_TEST_CASE(too_many_merges_are_refused_before_memory_is_made_for_them) {
  Vocabulary vocabulary = small({});
  vocabulary.merges.resize(kMaxMerges + 1);
  const auto made = Tokenizer::create(vocabulary);
  BOOST_TEST_REQUIRE(!made.has_value());
  BOOST_TEST(made.error().message() == "merges: expected at most 4194304, found 4194305");
}

// Odd, but sound.
BOOST_AUTO_TEST_CASE(a_vocabulary_may_lack_types_merges_and_bytes) {
  Vocabulary vocabulary;
  vocabulary.tokens = {"a", "\u4e2d"};  // the second is not in the byte alphabet: its own text
  vocabulary.pre = "gpt-2";
  const auto tokenizer = make(vocabulary);
  const Result<Encoded> found = tokenizer->encode("aba\u4e2d");
  BOOST_TEST_REQUIRE(found.has_value());
  BOOST_TEST((found->tokens == std::vector<Token>{0, 0}));
  BOOST_TEST(found->missing_bytes == 4u);
  BOOST_TEST(tokenizer->decode(std::vector<Token>{1, 0}).value() == "\u4e2da");
}

// Many control tokens with long common beginnings cost a text no more than one of them.
BOOST_AUTO_TEST_CASE(a_text_costs_the_same_whatever_the_number_of_tokens_to_recognise) {
  Vocabulary vocabulary = small({});
  for (int i = 0; i < 20000; ++i)
    add(vocabulary, "<reserved_token_" + std::to_string(i) + ">", TokenType::control);
  const auto tokenizer = make(vocabulary);
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "<reserved_token_" + std::to_string(i * 7 % 30000) + "> ";
  const std::vector<Token> tokens = encode(*tokenizer, text, {Recognise::all, true});
  BOOST_TEST(tokenizer->decode(tokens, false).value() == text);
  BOOST_TEST(std::ranges::count_if(tokens, [&](Token token) { return tokenizer->special(token); }) == 14286);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::text::test
