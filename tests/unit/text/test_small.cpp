// Small vocabularies by hand: what merges do, how pieces are cut, which tokens are recognised.
#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "text/byte_alphabet.hpp"
#include "vocabularies.hpp"

namespace serveloop::text::test {

using Tokens = std::vector<Token>;

namespace {

// The tokens' bytes, with bars between them.
std::string shown(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  std::string all;
  for (const Token token : encode(tokenizer, text, options))
    all += (all.empty() ? "" : "|") + std::string(tokenizer.bytes(token));
  return all;
}

// Merging by its definition: quadratic, with strings.
std::vector<std::string> merged(std::string_view piece, const std::vector<std::string>& merges) {
  std::vector<std::string> parts;
  for (const char byte : piece) parts.emplace_back(1, byte);
  for (;;) {
    std::size_t best = merges.size(), place = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const std::size_t rank = std::ranges::find(merges, parts[i] + "|" + parts[i + 1]) - merges.begin();
      if (rank < best) best = rank, place = i;
    }
    if (best == merges.size()) return parts;
    parts[place] += parts[place + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(small_vocabularies)

BOOST_AUTO_TEST_CASE(the_byte_alphabet_is_gpt_2s) {
  BOOST_TEST(letter_of('!') == 0x21u);
  BOOST_TEST(letter_of(0) == 0x100u);
  BOOST_TEST(letter_of('\n') == 0x10au);
  BOOST_TEST(letter_of(' ') == 0x120u);  // the well-known G with a dot
  BOOST_TEST(letter_of(0x7f) == 0x121u);
  BOOST_TEST(letter_of(0xad) == 0x143u);
  BOOST_TEST(letter_of(0xff) == 0xffu);
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  BOOST_TEST((bytes_of(letters(all)) == all));
  for (const char* wrong : {" ", "\u00ad", "\u0144", "\u2003", "a\xc4", "\xff", "\xc4z"})
    BOOST_TEST(!bytes_of(wrong).has_value(), wrong);
}

BOOST_AUTO_TEST_CASE(the_lowest_rank_is_merged_first_and_then_the_leftmost) {
  const auto tokenizer = make(small({"b|c", "a|b", "a|a", "bc|d", "aa|a", " |x"}));
  BOOST_TEST(shown(*tokenizer, "abc") == "a|bc");
  BOOST_TEST(shown(*tokenizer, "ab") == "ab");
  BOOST_TEST(shown(*tokenizer, "abcd") == "a|bcd");
  BOOST_TEST(shown(*tokenizer, "aaaaa") == "aa|aaa");  // aa aa a, then the second aa with the last a
  BOOST_TEST(shown(*tokenizer, "x x") == "x| x");
  BOOST_TEST(shown(*tokenizer, "").empty());
  BOOST_TEST(encode(*tokenizer, "").empty());
}

BOOST_AUTO_TEST_CASE(a_token_that_merges_do_not_lead_to_is_not_taken) {
  Vocabulary vocabulary = small({"a|b", "b|c"});
  add(vocabulary, "abc", TokenType::normal);
  BOOST_TEST(shown(*make(vocabulary), "abc") == "ab|c");
  vocabulary.pre = "llama-bpe";
  BOOST_TEST(shown(*make(vocabulary), "abc") == "abc");
  add(vocabulary, "cab", TokenType::user_defined);
  BOOST_TEST(shown(*make(vocabulary), "cab", {Recognise::none, true}) == "c|ab");
}

// Long pieces go through the heap, short ones do not: both against the definition.
BOOST_AUTO_TEST_CASE(random_merges_give_what_the_definition_gives) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::string> merges, made{"a", "b", "c"};
    while (merges.size() < 12) {
      const std::string left = made[random() % made.size()], right = made[random() % made.size()];
      if (std::ranges::find(made, left + right) != made.end() || left.size() + right.size() > 40) continue;
      merges.push_back(left + "|" + right);
      made.push_back(left + right);
    }
    const auto tokenizer = make(small(merges));
    for (int i = 0; i < 40; ++i) {
      std::string text;
      for (std::size_t left = random() % (2 * Merges::kShort); left > 0; --left)
        text += static_cast<char>('a' + random() % 3);
      std::string expected;
      for (const std::string& part : merged(text, merges)) expected += (expected.empty() ? "" : "|") + part;
      BOOST_TEST_REQUIRE(shown(*tokenizer, text) == expected);
    }
  }
}

// Quadratic merging of 1 MiB would take many minutes, quadratic matching too.
BOOST_AUTO_TEST_CASE(a_long_piece_costs_time_in_proportion) {
  const auto tokenizer = make(small({"a|a", "aa|aa", "aaaa|aaaa", " | "}));
  const std::string word(std::size_t{1} << 20, 'a');
  BOOST_TEST(encode(*tokenizer, word).size() == word.size() / 8);
  for (const char* pre : {"gpt-2", "smollm", "llama-bpe", "qwen2"}) {
    const auto blanks = make(small({" | "}, pre));
    const std::string text(std::size_t{1} << 20, ' ');
    BOOST_TEST(encode(*blanks, text).size() == text.size() / 2, pre);
    BOOST_TEST(blanks->decode(encode(*blanks, text + "x")).value() == text + "x");
  }
}

BOOST_AUTO_TEST_CASE(pieces_are_cut_as_each_pattern_says) {
  const auto cut = [](const char* name, std::string_view text) {
    const PreTokenizer pre = PreTokenizer::create(name).value();
    PreTokenizer::Walk walk(pre, text);
    std::string all;
    for (std::string_view piece = walk.next(); !piece.empty(); piece = walk.next())
      all += (all.empty() ? "" : "|") + std::string(piece);
    BOOST_TEST(walk.error().empty());
    return all;
  };
  BOOST_TEST(cut("gpt-2", "I'll  pay 1234, ok?\n x") == "I|'ll| | pay| 1234|,| ok|?|\n| x");
  BOOST_TEST(cut("smollm", "I'll  pay 1234, ok?\n x") == "I|'ll| | pay| |1|2|3|4|,| ok|?|\n| x");
  BOOST_TEST(cut("smollm", "a   1  b") == "a|   |1| | b");
  BOOST_TEST(cut("llama-bpe", "I'LL  pay 1234, ok?\n x") == "I|'LL| | pay| |123|4|,| ok|?\n| x");
  BOOST_TEST(cut("qwen2", "I'LL  pay 1234, ok?\n\n x") == "I|'LL| | pay| |1|2|3|4|,| ok|?\n\n| x");
  BOOST_TEST(cut("gpt-2", " \u180eb\u3000c") == " \u180e|b|\u3000|c");  // U+180E is no white space
  const auto unknown = PreTokenizer::create("smolm");
  BOOST_TEST_REQUIRE(!unknown.has_value());
  BOOST_TEST(unknown.error().message() ==
             "pre-tokenizer: expected one of gpt-2, llama-bpe, qwen2, smollm, found 'smolm'");
}

BOOST_AUTO_TEST_CASE(tokens_are_recognised_when_asked_the_longest_first) {
  Vocabulary vocabulary = small({});
  const Token end = add(vocabulary, "<end>", TokenType::control);
  const Token end_of = add(vocabulary, "<end><of>", TokenType::control);
  const Token of = add(vocabulary, "<of>", TokenType::control);
  const Token tool = add(vocabulary, "<tool>", TokenType::user_defined);
  const Token blanks = add(vocabulary, "  ", TokenType::user_defined);
  const Token unknown = add(vocabulary, "<?>", TokenType::unknown);
  add(vocabulary, "<pad>", TokenType::unused);
  const auto tokenizer = make(vocabulary);
  const auto all = [&](std::string_view text) { return shown(*tokenizer, text, {Recognise::all, true}); };
  BOOST_TEST(all("<end>") == "<end>");
  BOOST_TEST(all("x<end><of>y<end><off") == "x|<end><of>|y|<end>|<|o|f|f");
  BOOST_TEST(all("<<end>><of><of") == "<|<end>|>|<of>|<|o|f");
  BOOST_TEST((encode(*tokenizer, "<end><of><end><of>", {Recognise::all, true}) == Tokens{end_of, end_of}));
  BOOST_TEST((encode(*tokenizer, "<of><end><?>", {Recognise::all, true}) == Tokens{of, end, unknown}));
  BOOST_TEST((encode(*tokenizer, "<tool>   ", {Recognise::user_defined, true}) == Tokens{tool, blanks, ' '}));
  BOOST_TEST(shown(*tokenizer, "<end><tool>", {Recognise::user_defined, true}) == "<|e|n|d|>|<tool>");
  BOOST_TEST(shown(*tokenizer, "<tool>  ", {Recognise::none, true}) == "<|t|o|o|l|>| | ");
  BOOST_TEST(all("<pad>") == "<|p|a|d|>");
  BOOST_TEST((tokenizer->recognised("<end>") == end));
  BOOST_TEST((tokenizer->recognised("<tool>") == tool));
  for (const char* none : {"", "<en", "<end>x", "<pad>", "a"})
    BOOST_TEST(!tokenizer->recognised(none).has_value());

  BOOST_TEST(tokenizer->decode(Tokens{'a', end, tool, unknown, 'b'}).value() == "a<tool>b");
  BOOST_TEST(tokenizer->decode(Tokens{'a', end, tool, unknown, 'b'}, false).value() == "a<end><tool><?>b");
}

// A user-defined token's text is its own, also where it looks like the byte alphabet.
BOOST_AUTO_TEST_CASE(a_user_defined_token_is_its_own_text) {
  Vocabulary vocabulary = small({});
  const Token token = add(vocabulary, "\u0120x", TokenType::user_defined);
  const auto tokenizer = make(vocabulary);
  BOOST_TEST(tokenizer->bytes(token) == "\u0120x");
  BOOST_TEST((encode(*tokenizer, "\u0120x") == Tokens{token}));
  BOOST_TEST((encode(*tokenizer, " x") == Tokens{' ', 'x'}));
}

BOOST_AUTO_TEST_CASE(texts_are_enclosed_where_the_vocabulary_asks) {
  Vocabulary vocabulary = small({});
  vocabulary.bos = add(vocabulary, "<s>", TokenType::control);
  vocabulary.eos = add(vocabulary, "</s>", TokenType::control);
  BOOST_TEST((encode(*make(vocabulary), "x") == Tokens{'x'}));
  vocabulary.add_bos = true;
  const auto tokenizer = make(vocabulary);
  BOOST_TEST((encode(*tokenizer, "x") == Tokens{256, 'x'}));
  BOOST_TEST((encode(*tokenizer, "") == Tokens{256}));
  BOOST_TEST((encode(*tokenizer, "x", {Recognise::none, false}) == Tokens{'x'}));
  vocabulary.add_eos = true;
  BOOST_TEST((encode(*make(vocabulary), "x") == Tokens{256, 'x', 257}));
  BOOST_TEST((tokenizer->bos() == 256u));
  BOOST_TEST((tokenizer->eos() == 257u));
}

BOOST_AUTO_TEST_CASE(invalid_utf_8_is_refused_with_its_offset) {
  const auto tokenizer = make(small({}));
  for (const auto& [text, offset] : std::vector<std::pair<std::string, int>>{{"\xff", 0},
                                                                             {"abc\x80", 3},
                                                                             {"0123456789\xc3", 10},
                                                                             {"\xed\xa0\x80", 0},
                                                                             {"x\xc0\xaf", 1},
                                                                             {"\xf4\x90\x80\x80", 0},
                                                                             {"\xe0\x9f\xbf", 0},
                                                                             {"\u00e9\xf0\x9f\x98", 2}}) {
    const Result<Encoded> found = tokenizer->encode(text);
    BOOST_TEST_REQUIRE(!found.has_value());
    BOOST_TEST(found.error().message().ends_with("at offset " + std::to_string(offset)),
               found.error().message());
  }
  const Result<std::string> decoded = tokenizer->decode(Tokens{1, 256});
  BOOST_TEST_REQUIRE(!decoded.has_value());
  BOOST_TEST(decoded.error().message() == "tokens[1]: expected an id below 256, found 256");
  const Result<Encoded> long_text = tokenizer->encode(std::string(kMaxTextBytes + 1, 'a'));
  BOOST_TEST(!long_text.has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::text::test
