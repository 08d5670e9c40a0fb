// Streaming: what comes out in portions is whole characters, and together what decode() makes of all tokens.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "text/detokenizer.hpp"
#include "vocabularies.hpp"

namespace serveloop::text::test {

namespace {

// Replacement by its definition (Unicode 15, table 3-7 and section 3.9), a character at a time.
std::string repaired(std::string_view bytes) {
  struct Row {
    int lead_low, lead_high, second_low, second_high, length;
  };
  constexpr Row kRows[] = {
      {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
      {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
      {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
  std::string out;
  for (std::size_t i = 0; i < bytes.size();) {
    const auto at = [&](std::size_t k) {
      return i + k < bytes.size() ? static_cast<std::uint8_t>(bytes[i + k]) : -1;
    };
    const Row* row = std::ranges::find_if(
        kRows, [&](const Row& r) { return at(0) >= r.lead_low && at(0) <= r.lead_high; });
    std::size_t taken = 1;
    bool whole = row != std::end(kRows) && row->length == 1;
    if (row != std::end(kRows) && row->length > 1 && at(1) >= row->second_low && at(1) <= row->second_high) {
      taken = 2;
      while (taken < static_cast<std::size_t>(row->length) && at(taken) >= 0x80 && at(taken) <= 0xbf) ++taken;
      whole = taken == static_cast<std::size_t>(row->length);
    }
    out += whole ? std::string(bytes.substr(i, taken)) : std::string(kReplacement);
    i += taken;
  }
  return out;
}

std::string random_bytes(std::mt19937_64& random, std::size_t count) {
  // Bytes at which something changes, more often than others.
  constexpr std::uint8_t kEdges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                     0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                     0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
  std::string bytes;
  while (bytes.size() < count) {
    if (random() % 4 == 0)
      bytes += utf8(static_cast<std::uint32_t>(random() % 0xd800));
    else
      bytes += static_cast<char>(random() % 3 == 0 ? random() : kEdges[random() % std::size(kEdges)]);
  }
  return bytes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(streaming)

BOOST_AUTO_TEST_CASE(every_pair_of_bytes_and_random_ones_are_repaired_as_unicode_says) {
  const auto check = [](const std::string& bytes) {
    const std::string expected = repaired(bytes);
    for (std::size_t split = 0; split <= std::min<std::size_t>(bytes.size(), 40); ++split) {
      Utf8Stream stream;
      std::string out;
      stream.push(std::string_view(bytes).substr(0, split), out);
      BOOST_TEST_REQUIRE(valid_prefix(out) == out.size());
      stream.push(std::string_view(bytes).substr(split), out);
      stream.finish(out);
      BOOST_TEST_REQUIRE(out == expected);
    }
    BOOST_TEST_REQUIRE((valid_prefix(bytes) == bytes.size()) == (expected == bytes));
  };
  for (int first = 0; first < 256; ++first)
    for (int second = 0; second < 256; ++second) check({static_cast<char>(first), static_cast<char>(second)});
  std::mt19937_64 random(3);
  for (int i = 0; i < 20000; ++i) check(random_bytes(random, random() % 24));
}

BOOST_AUTO_TEST_CASE(every_character_passes_whole) {
  Utf8Stream stream;
  for (std::uint32_t code = 0; code < 0x110000; ++code) {
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    const std::string text = utf8(code);
    if ((valid_prefix(text) == text.size()) == surrogate) BOOST_ERROR("code point " << code);
    if (surrogate) continue;
    std::string out;
    for (const char byte : text) {
      if (!out.empty()) BOOST_ERROR("a part of code point " << code);
      stream.push({&byte, 1}, out);
    }
    if (out != text) BOOST_ERROR("code point " << code);
  }
}

// Texts of many scripts as single bytes and as tokens: at every token only whole characters, and no more than 3
// bytes are held back.
BOOST_AUTO_TEST_CASE(tokens_stream_as_decode_says) {
  const Tokenizer& tokenizer = smollm2_tokenizer();
  std::mt19937_64 random(5);
  const std::string text = "Grüße, 世界! \U0001f469\u200d\U0001f680 नमस्ते \U00020000 ok";
  std::vector<Token> tokens = encode(tokenizer, text);
  for (int round = 0; round < 3000; ++round) {
    for (const bool skip_special : {true, false}) {
      Detokenizer detokenizer(tokenizer, skip_special);
      std::string all, bytes;
      for (const Token token : tokens) {
        std::string out;
        detokenizer.push(token, out);
        BOOST_TEST_REQUIRE(valid_prefix(out) == out.size());
        all += out;
        if (!skip_special || !tokenizer.special(token)) bytes += tokenizer.bytes(token);
        if (round == 0) BOOST_TEST_REQUIRE(all == bytes.substr(0, valid_prefix(bytes)));
      }
      detokenizer.finish(all);
      BOOST_TEST_REQUIRE(all == tokenizer.decode(tokens, skip_special).value());
      BOOST_TEST_REQUIRE(all == repaired(bytes));
      if (round == 0) BOOST_TEST(all == text);
    }
    tokens.clear();
    for (std::size_t left = random() % 30; left > 0; --left)
      tokens.push_back(
          static_cast<Token>(random() % 3 == 0 ? random() % tokenizer.size() : 17 + random() % 235));
  }
}

BOOST_AUTO_TEST_CASE(half_a_character_is_held_back_and_flushed_once) {
  const auto tokenizer = make(small({}));
  Detokenizer detokenizer(*tokenizer);
  std::string out;
  for (const Token token : {0xf0u, 0x9fu, 0x98u}) detokenizer.push(token, out);
  BOOST_TEST(out.empty());
  BOOST_TEST(detokenizer.holds());
  Detokenizer fork = detokenizer;  // a sequence may be forked in the middle of a character
  fork.push(0x80, out);
  BOOST_TEST(out == "\U0001f600");
  out.clear();
  detokenizer.push(999999, out);  // rows of the weights without a token
  detokenizer.finish(out);
  BOOST_TEST(out == kReplacement);
  detokenizer.finish(out);
  BOOST_TEST(out == kReplacement);
  BOOST_TEST(sizeof(Detokenizer) <= 16u);
}

// Nothing of a tokenizer changes: threads share it without locks (ThreadSanitizer sees it here).
BOOST_AUTO_TEST_CASE(one_tokenizer_serves_threads_at_once) {
  const Tokenizer& tokenizer = smollm2_tokenizer();
  const std::string text = "It's 1999: naïve <|im_end|> café, 世界\n\n" + std::string(100, 'x');
  const std::vector<Token> expected = encode(tokenizer, text, {Recognise::all, true});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        const Result<Encoded> found = tokenizer.encode(text, {Recognise::all, true});
        if (!found || found->tokens != expected || tokenizer.decode(found->tokens, false) != text) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::text::test
