// What the tokenizers library answers for SmolLM2's vocabulary (tests/golden), id for id; and back.
#include <boost/test/unit_test.hpp>

#include "text/detokenizer.hpp"
#include "vocabularies.hpp"

namespace serveloop::text::test {

BOOST_AUTO_TEST_SUITE(golden)

// One section: every text gives the stated ids, and they give the text.
void check_section(GoldenFile& file) {
  const std::string pre = file.string();
  const bool recognise = file.number() != 0;
  const std::uint64_t cases = file.number();
  const std::shared_ptr<const Tokenizer> tokenizer = make(smollm2(pre));
  std::size_t tokens = 0, wrong = 0;
  for (std::uint64_t i = 0; i < cases; ++i) {
    const std::string text = file.string();
    const std::vector<Token> expected = file.tokens();
    const Result<Encoded> found =
        tokenizer->encode(text, {recognise ? Recognise::all : Recognise::none, true});
    BOOST_TEST_REQUIRE(found.has_value());
    if (found->tokens != expected && ++wrong <= 5)
      BOOST_ERROR(pre << " case " << i << " '" << text << "': expected "
                      << tokenizer->decode(expected, false).value());
    BOOST_TEST(found->missing_bytes == 0u);
    BOOST_TEST((tokenizer->decode(found->tokens, false) == text), pre << " case " << i);
    tokens += expected.size();
  }
  BOOST_TEST(wrong == 0u);
  BOOST_TEST(cases >= 500u);
  BOOST_TEST_MESSAGE(pre << ": " << cases << " texts, " << tokens << " tokens");
}

BOOST_AUTO_TEST_CASE(texts_give_the_ids_of_the_tokenizers_library) {
  GoldenFile file("smollm2.golden");
  const std::uint64_t sections = file.number();
  BOOST_TEST(sections == 5u);
  for (std::uint64_t i = 0; i < sections; ++i) check_section(file);

  // Ids at random, many of single bytes, which need not make characters.
  const std::uint64_t cases = file.number();
  for (std::uint64_t i = 0; i < cases; ++i) {
    const std::vector<Token> tokens = file.tokens();
    const std::string text = file.string();
    BOOST_TEST((smollm2_tokenizer().decode(tokens) == text), "decoded case " << i);
  }
  BOOST_TEST(cases == 1000u);
  BOOST_TEST(file.at_end());
}

// As in the library: what is left of a piece becomes neighbours.
BOOST_AUTO_TEST_CASE(bytes_without_a_token_are_counted_and_left_out) {
  const Result<Encoded> found = smollm2_tokenizer().encode("!\x04! \U00040000x\x04");
  BOOST_TEST_REQUIRE(found.has_value());
  BOOST_TEST(found->missing_bytes == 3u);
  BOOST_TEST((found->tokens == std::vector<Token>{10095, 216, 218, 218, 218, 104}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::text::test
