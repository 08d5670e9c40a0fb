// From tokens to text: what each receiver hears, with stop strings across tokens, half characters, and n choices.
#include <serveloop/events.h>
#include <serveloop/reasons.h>

#include <boost/test/unit_test.hpp>
#include <map>

#include "../text/vocabularies.hpp"
#include "service/outlet.hpp"

namespace serveloop::service::test {

namespace {

struct Heard final : Receiver {
  void piece(const Piece& piece) override {
    text[piece.choice] += piece.text;
    tokens[piece.choice].push_back(piece.token);
    alternatives += piece.logprobs.size();
  }
  void end(const End& end) override {
    text[end.choice] += end.text;
    BOOST_REQUIRE(ends.emplace(end.choice, end).second);  // once
    stop_string[end.choice] = end.stop_string;
  }
  std::map<std::uint32_t, std::string> text, stop_string;
  std::map<std::uint32_t, std::vector<text::Token>> tokens;
  std::map<std::uint32_t, End> ends;
  std::size_t alternatives = 0;
};

// Bytes are tokens; 256 is "the", and one control token ends a text.
struct Stage {
  Stage() {
    text::Vocabulary vocabulary = text::test::small({"t|h", "th|e"});
    eos = text::test::add(vocabulary, "<|end|>", text::TokenType::control);
    words.tokenizer = text::test::make(vocabulary);
    words.end_ids = {eos};
  }
  std::shared_ptr<Heard> open(std::uint64_t request, StreamOptions options,
                              std::vector<std::string> stops = {}) {
    if (!stops.empty())
      options.stops = std::make_shared<text::StopSet>(*text::StopSet::create(std::move(stops)));
    options.stop_ids = words.end_ids;
    auto heard = std::make_shared<Heard>();
    outlet.open(request, std::move(options), heard);
    return heard;
  }
  void say(std::uint64_t request, std::uint32_t fork, std::vector<text::Token> tokens) {
    std::vector<engine::Delivered> out;
    for (const text::Token token : tokens)
      out.push_back({request, fork, said[{request, fork}]++, token, 5, {}});
    outlet.tokens(out);
    last = tokens;
  }
  void say(std::uint64_t request, std::uint32_t fork, std::string_view bytes) {
    std::vector<text::Token> tokens;
    for (const char c : bytes) tokens.push_back(static_cast<unsigned char>(c));
    say(request, fork, tokens);
  }
  void finish(std::uint64_t request, std::uint32_t fork, std::uint32_t finish, std::uint16_t reason = 0) {
    engine::Finished end;
    end.request = request;
    end.fork = fork;
    end.finish = finish;
    end.reason = reason;
    outlet.finished(end, last);
  }
  Text words;
  text::Token eos = 0;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> stopped;
  Outlet outlet{&words,
                [this](std::uint64_t request, std::uint32_t fork) { stopped.emplace_back(request, fork); }};
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint32_t> said;
  std::vector<text::Token> last;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(outlet)

BOOST_AUTO_TEST_CASE(a_stop_string_across_tokens_ends_its_choice_alone) {
  Stage s;
  const auto heard = s.open(1, {.choices = 2}, {"stop", "xyz"});
  s.say(1, 0, "a st");
  BOOST_TEST(heard->text[0] == "a ");  // " st" may become a stop string from its "st" on
  s.say(1, 1, "hello st");
  s.say(1, 0, "op and more");
  BOOST_TEST(heard->text[0] == "a ");
  BOOST_TEST((s.stopped == std::vector<std::pair<std::uint64_t, std::uint32_t>>{{1, 0}}));
  BOOST_TEST(heard->tokens[0].size() == 6u);  // none behind the stop
  s.finish(1, 0, SL_FINISH_STOP);
  s.say(1, 1, "ay");
  s.finish(1, 1, SL_FINISH_LENGTH);
  BOOST_TEST(heard->text[1] == "hello stay");
  BOOST_TEST((heard->ends.at(0).finish == Finish::stop && heard->stop_string[0] == "stop"));
  BOOST_TEST((heard->ends.at(1).finish == Finish::length && heard->stop_string[1].empty()));
  BOOST_TEST(heard->ends.at(0).output_tokens == 6u);
  BOOST_TEST(s.outlet.open_requests() == 0u);
}

// The loop may end a sequence, by length, before it hears of the stop: to the client it stopped.
BOOST_AUTO_TEST_CASE(a_stop_in_the_last_token_is_a_stop) {
  Stage s;
  const auto heard = s.open(1, {}, {"cd"});
  s.say(1, 0, "abcd");
  s.finish(1, 0, SL_FINISH_LENGTH);
  BOOST_TEST(heard->text[0] == "ab");
  BOOST_TEST((heard->ends.at(0).finish == Finish::stop));
}

BOOST_AUTO_TEST_CASE(what_was_held_back_comes_at_the_end) {
  Stage s;
  const auto heard = s.open(1, {}, {"never"});
  s.say(1, 0, "is nev");
  BOOST_TEST(heard->text[0] == "is ");
  s.say(1, 0, std::string_view("\xe2\x82"));  // two thirds of a euro sign
  s.finish(1, 0, SL_FINISH_CANCELLED);
  BOOST_TEST(heard->text[0] == "is nev\xef\xbf\xbd");
  BOOST_TEST((heard->ends.at(0).finish == Finish::cancelled));
}

BOOST_AUTO_TEST_CASE(a_stop_token_has_no_text) {
  Stage s;
  text::Vocabulary plain = text::test::small({});
  const auto heard = s.open(1, {.skip_special = false});
  s.say(1, 0, {256, 257, s.eos});
  s.finish(1, 0, SL_FINISH_STOP);
  BOOST_TEST(heard->text[0] == s.words.tokenizer->decode(std::vector<text::Token>{256, 257}).value());
  BOOST_TEST(heard->ends.at(0).stop_token.value() == s.eos);
  BOOST_TEST(heard->ends.at(0).output_tokens == 3u);
}

BOOST_AUTO_TEST_CASE(stops_count_from_min_tokens_on) {
  Stage s;
  const auto heard = s.open(1, {.min_tokens = 4}, {"ab"});
  s.say(1, 0, "abab");
  BOOST_TEST(heard->text[0] == "abab");
  s.say(1, 0, "ab");
  BOOST_TEST(heard->text[0] == "abab");
  BOOST_TEST(s.stopped.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_request_without_a_slot_ends_whole) {
  Stage s;
  const auto heard = s.open(1, {.choices = 3});
  s.finish(1, 0, SL_FINISH_REJECTED, SL_REASON_QUEUE_FULL);
  BOOST_TEST(heard->ends.size() == 3u);
  BOOST_TEST(s.outlet.open_requests() == 0u);
}

BOOST_AUTO_TEST_CASE(a_loop_that_ends_leaves_nobody_waiting) {
  Stage s;
  const auto first = s.open(1, {.choices = 2}), second = s.open(2, {});
  s.say(1, 1, "x");
  s.outlet.abandon();
  BOOST_TEST((first->ends.size() == 2u && second->ends.size() == 1u));
  BOOST_TEST((first->ends.at(1).finish == Finish::error));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::service::test
