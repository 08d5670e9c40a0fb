// Speed of the tokenizer on one thread: median over rounds. One line each; no verdict. Prose is the licence's English
// text; the mixture is the golden file's texts in many scripts, code and emoji.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>

#include "text/detokenizer.hpp"
#include "text/stops.hpp"
#include "vocabularies.hpp"

namespace serveloop::text::test {
namespace {

constexpr std::size_t kRounds = 21;

// Of this thread's processor time, so that other programs count less.
double now_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Median nanoseconds of a call.
template <class Work>
double median_ns(Work&& work) {
  std::vector<double> rounds;
  for (std::size_t i = 0; i < kRounds; ++i) {
    const double start = now_ns();
    work();
    rounds.push_back(now_ns() - start);
  }
  std::ranges::nth_element(rounds, rounds.begin() + kRounds / 2);
  return rounds[kRounds / 2];
}

std::string repeated(const std::string& text, std::size_t bytes) {
  std::string all;
  while (all.size() < bytes) all += text;
  return all;
}

std::string licence() {
  std::ifstream file(LICENCE_FILE);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string mixture() {
  GoldenFile file("smollm2.golden");
  file.number();
  file.string();
  file.number();
  std::string all;
  for (std::uint64_t left = file.number(); left != 0; --left) {
    all += file.string() + "\n";
    file.tokens();
  }
  return all;
}

void bench_encode(const Tokenizer& tokenizer, const char* name, const std::string& text) {
  std::size_t tokens = 0;
  const double ns = median_ns([&] { tokens = encode(tokenizer, text).size(); });
  fmt::print("encode {:<30} {:>8} bytes {:>7.1f} MB/s {:>7.0f} ns/token ({:.2f} bytes/token)\n", name,
             text.size(), static_cast<double>(text.size()) / ns * 1e3, ns / static_cast<double>(tokens),
             static_cast<double>(text.size()) / static_cast<double>(tokens));
}

// As the loop does: 1,024 sequences take turns, a token each.
void bench_stream(const Tokenizer& tokenizer, const char* name, const std::string& text) {
  constexpr std::size_t kSequences = 1024, kSteps = 200;
  const std::vector<Token> tokens = encode(tokenizer, text);
  const StopSet stops = StopSet::create({"\n\nUser:", "<|im_end|>", "###"}).value();
  std::vector<Detokenizer> detokenizers(kSequences, Detokenizer(tokenizer));
  std::vector<StopMatcher> matchers(kSequences, StopMatcher(stops));
  std::vector<std::string> outs(kSequences);
  std::string scratch;
  const auto token_of = [&](std::size_t sequence, std::size_t step) {
    return tokens[(sequence * 7919 + step) % tokens.size()];
  };
  const double plain = median_ns([&] {
    for (std::size_t step = 0; step < kSteps; ++step)
      for (std::size_t i = 0; i < kSequences; ++i) {
        outs[i].clear();
        detokenizers[i].push(token_of(i, step), outs[i]);
      }
  });
  const double stopped = median_ns([&] {
    for (std::size_t step = 0; step < kSteps; ++step)
      for (std::size_t i = 0; i < kSequences; ++i) {
        outs[i].clear();
        scratch.clear();
        detokenizers[i].push(token_of(i, step), scratch);
        if (matchers[i].push(scratch, outs[i])) matchers[i] = StopMatcher(stops);
      }
  });
  fmt::print(
      "stream {:<30} {:>6.1f} ns/token, with 3 stop strings {:.1f} ns/token (1024 sequences in turn)\n", name,
      plain / kSteps / kSequences, stopped / kSteps / kSequences);
  const double whole = median_ns([&] { tokenizer.decode(tokens).value(); });
  fmt::print("decode {:<30} {:>6.1f} ns/token\n", name, whole / static_cast<double>(tokens.size()));
}

}  // namespace
}  // namespace serveloop::text::test

int main() {
  using namespace serveloop::text::test;
  const auto vocabulary = smollm2();
  fmt::print("create SmolLM2 {:>29.1f} ms\n", median_ns([&] { make(vocabulary); }) / 1e6);
  for (const char* pre : {"smollm", "llama-bpe"}) {
    const auto tokenizer = make(smollm2(pre));
    const std::string name = pre;
    bench_encode(*tokenizer, (name + ", prose").c_str(), repeated(licence(), 1 << 20));
    bench_encode(*tokenizer, (name + ", prose, short").c_str(), licence().substr(0, 1000));
    bench_encode(*tokenizer, (name + ", mixture").c_str(), mixture());
    bench_encode(*tokenizer, (name + ", one word").c_str(), repeated("thequickbrownfox", 1 << 20));
    bench_encode(*tokenizer, (name + ", blanks").c_str(), std::string(1 << 20, ' '));
  }
  bench_stream(smollm2_tokenizer(), "prose", licence());
  bench_stream(smollm2_tokenizer(), "mixture", mixture());
}
