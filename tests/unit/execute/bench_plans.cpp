// What precision plans cost in quality: the Kullback-Leibler divergence of next-token distributions from those of plan f32,
// on a text, and the text's perplexity. Contexts of 512 tokens, each begun anew, every position counted.
//
//   KLD = sum p (log p - log q), p of f32 on the file's weights (or on BF16 ones), in nats: a mean over positions; its
//   standard error is that of the means of contexts, since neighbours in one are not independent. The later half is what
//   llama-perplexity --kl-divergence counts: positions 256 to 510 of each context.
//
// usage: bench_plans MODEL.gguf TEXT [threads] [tokens] [native]
// Prints a line of JSON for each comparison. BF16 weights are the file's, widened and rounded. native: this plan alone, and
// with K and V in F32.
#include <fmt/format.h>

#include <cstdlib>
#include <deque>
#include <exception>
#include <fstream>
#include <iterator>

#include "scorer.hpp"
#include "stored_as.hpp"
#include "text/tokenizer.hpp"

using namespace serveloop;
using execute::cpu::test::log_sum_exp;
using execute::cpu::test::need;
using execute::cpu::test::Scorer;

namespace {

constexpr std::uint32_t kContext = 512, kTogether = Scorer::kTogether;

std::vector<std::uint32_t> tokens_of(const model::Model& model, const std::string& path, std::size_t most) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty() || !model.vocabulary)
    throw std::runtime_error("no text in " + path + ", or a model without vocabulary");
  const model::Vocabulary& from = *model.vocabulary;
  text::Vocabulary vocabulary;
  vocabulary.tokens = from.tokens;
  vocabulary.merges = from.merges;
  vocabulary.pre = from.pre;
  for (const model::TokenType type : from.types)
    vocabulary.types.push_back(static_cast<text::TokenType>(type));
  std::vector<std::uint32_t> tokens = need(need(text::Tokenizer::create(vocabulary))->encode(text)).tokens;
  tokens.resize(std::min(tokens.size(), most) / kContext * kContext);
  if (tokens.empty()) throw std::runtime_error(fmt::format("{}: fewer than {} tokens", path, kContext));
  return tokens;
}

struct Mean {  // of contexts' means
  double sum = 0, squares = 0;
  std::uint32_t count = 0;
  void add(double value) { sum += value, squares += value * value, ++count; }
  double mean() const { return sum / count; }
  double error() const {
    return count < 2 ? 0 : std::sqrt(std::max(0.0, squares / count - mean() * mean()) / (count - 1));
  }
};

// A plan on a model, and its distributions at the positions at hand.
class System {
 public:
  System(std::string name, const model::Model& model, const char* plugin, unsigned threads)
      : name_(std::move(name)),
        vocabulary_(model.architecture.vocabulary),
        scorer_(model, plugin, threads, kContext),
        logits_(std::size_t{kTogether} * vocabulary_),
        probabilities_(logits_.size()),
        sums_(kTogether) {}

  void score(std::span<const std::uint32_t> ids, std::uint32_t start, std::uint32_t count) {
    scorer_.score(ids, start, count, [&](std::uint32_t position, std::span<float> logits) {
      const std::size_t i = position - start;
      sums_[i] = log_sum_exp(logits);
      std::copy(logits.begin(), logits.end(), &logits_[i * vocabulary_]);
      for (std::size_t t = 0; t < logits.size(); ++t)
        probabilities_[i * vocabulary_ + t] = static_cast<float>(std::exp(logits[t] - sums_[i]));
    });
    for (std::uint32_t i = 0; i < count && start + i + 1 < ids.size(); ++i)
      loss_ += sums_[i] - logits_[i * vocabulary_ + ids[start + i + 1]], ++losses_;
  }
  double divergence_of(const System& other, std::size_t i) const {  // KL(this || other)
    const float *l = &logits_[i * vocabulary_], *m = &other.logits_[i * vocabulary_],
                *p = &probabilities_[i * vocabulary_];
    double sum = other.sums_[i] - sums_[i];
    for (std::size_t t = 0; t < vocabulary_; ++t) sum += double{p[t]} * (double{l[t]} - double{m[t]});
    return sum;
  }
  bool agrees_with(const System& other, std::size_t i) const {
    const auto best = [&](const System& s) {
      const float* l = &s.logits_[i * vocabulary_];
      return std::max_element(l, l + vocabulary_) - l;
    };
    return best(*this) == best(other);
  }
  double perplexity() const { return std::exp(loss_ / losses_); }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::size_t vocabulary_;
  Scorer scorer_;
  std::vector<float> logits_, probabilities_;  // [kTogether, vocabulary]
  std::vector<double> sums_;                   // [kTogether]
  double loss_ = 0, losses_ = 0;
};

struct Comparison {
  const System *reference, *plan;
  Mean divergence = {}, later_half = {};
  double context = 0, later = 0, worst = 0, agree = 0;  // context, later: sums of the one at hand

  void add(std::uint32_t start, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      const double kld = reference->divergence_of(*plan, i);
      context += kld;
      if (start + i >= kContext / 2 && start + i + 1 < kContext) later += kld;
      worst = std::max(worst, kld);
      agree += reference->agrees_with(*plan, i) ? 1 : 0;
    }
  }
  void close_context() {
    divergence.add(std::exchange(context, 0) / kContext);
    later_half.add(std::exchange(later, 0) / (kContext / 2 - 1));
  }
};

void run(const std::string& path, const std::string& text, unsigned threads, std::size_t most,
         bool native_alone) {
  const model::Model file = need(model::load_gguf(path));
  const std::vector<std::uint32_t> ids = tokens_of(file, text, most);
  model::Model bf16;
  std::deque<System> systems;
  const auto& exact = systems.emplace_back("f32", file, "f32", threads);
  std::vector<Comparison> comparisons = {{&exact, &systems.emplace_back("native", file, "native", threads)}};
  if (native_alone) {
    comparisons.push_back({&exact, &systems.emplace_back("native, F32 KV", file, "native f32", threads)});
  } else {
    bf16 = execute::cpu::test::stored_as(file, {model::Type::bf16});
    const auto& rounded = systems.emplace_back("bf16", file, "bf16", threads);
    const auto& exact_bf16 = systems.emplace_back("f32, BF16 weights", bf16, "f32", threads);
    const auto& native_bf16 = systems.emplace_back("native, BF16 weights", bf16, "native", threads);
    for (const auto& [reference, plan] : {std::pair{&exact, &rounded},
                                          {&exact, &exact_bf16},
                                          {&exact, &native_bf16},
                                          {&exact_bf16, &native_bf16}})
      comparisons.push_back({reference, plan});
  }
  for (std::size_t first = 0; first < ids.size(); first += kContext) {
    for (std::uint32_t start = 0; start < kContext; start += kTogether) {
      for (System& system : systems) system.score(std::span(ids).subspan(first, kContext), start, kTogether);
      for (Comparison& one : comparisons) one.add(start, kTogether);
    }
    for (Comparison& one : comparisons) one.close_context();
  }
  for (const Comparison& one : comparisons)
    fmt::print(
        "{{\"plan\": \"{}\", \"reference\": \"{}\", \"tokens\": {}, \"kld\": {:.3e}, \"error\": {:.1e}, "
        "\"later_half\": {:.3e}, \"later_half_error\": {:.1e}, \"worst\": {:.2e}, \"same_best\": {:.4f}, "
        "\"perplexity\": {:.3f}, \"reference_perplexity\": "
        "{:.3f}}}\n",
        one.plan->name(), one.reference->name(), ids.size(), one.divergence.mean(), one.divergence.error(),
        one.later_half.mean(), one.later_half.error(), one.worst, one.agree / static_cast<double>(ids.size()),
        one.plan->perplexity(), one.reference->perplexity());
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    fmt::print(stderr, "usage: bench_plans MODEL.gguf TEXT [threads] [tokens] [native]\n");
    return 2;
  }
  try {
    run(arguments[1], arguments[2], count > 3 ? static_cast<unsigned>(std::atoi(arguments[3])) : 2,
        count > 4 ? static_cast<std::size_t>(std::atoll(arguments[4])) : 20480,
        count > 5 && std::string(arguments[5]) == "native");
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
