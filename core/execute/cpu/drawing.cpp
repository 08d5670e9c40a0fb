#include "execute/cpu/drawing.hpp"

#include <algorithm>
#include <limits>

#include "kernels/random.hpp"
#include "kernels/token_weight.hpp"

namespace serveloop::execute::cpu {

namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

// A token that the cuts have left so far.
struct Candidate {
  std::uint64_t weight;
  float logit;
  std::int32_t id;
};

// What a worker needs again for each row; kept, since a vocabulary's size is allocated once this way.
struct Scratch {
  std::vector<std::int32_t> ids;
  std::vector<std::uint64_t> weights;  // of ids
  std::vector<Candidate> candidates;
  std::vector<std::uint32_t> counts;  // [vocabulary], of tokens in the output; zero between rows
  std::vector<float> logits;          // as they came
};
Scratch& scratch() {
  static thread_local Scratch mine;
  return mine;
}

// Logits are cleaned where they are read, here and in the kernels: what a change leaves may be infinite.
bool penalises(const Sampling& how) { return how.repetition != 1 || how.presence != 0 || how.frequency != 0; }

bool masks_stops(const SampleAt& at) {
  return !at.how->stop_ids.empty() && at.position - at.prompt_tokens < at.how->min_tokens;
}

// Each distinct token of prompt and output once; ids beyond the vocabulary cannot be penalised.
void penalise(const SampleAt& at, float* logits, int vocabulary) {
  constexpr std::uint32_t kSeen = 1u << 31;
  std::vector<std::uint32_t>& counts = scratch().counts;
  counts.resize(static_cast<std::size_t>(vocabulary));
  const auto known = [&](std::uint32_t id) { return id < static_cast<std::uint32_t>(vocabulary); };
  for (const std::uint32_t id : at.tokens.subspan(at.prompt_tokens))
    if (known(id)) ++counts[id];
  for (const std::uint32_t id : at.tokens) {
    if (!known(id) || (counts[id] & kSeen) != 0) continue;
    logits[id] = kernels::penalised_logit(kernels::clean_logit(logits[id]), at.how->repetition,
                                          at.how->presence, at.how->frequency, static_cast<int>(counts[id]));
    counts[id] |= kSeen;
  }
  for (const std::uint32_t id : at.tokens)
    if (known(id)) counts[id] = 0;
}

void shape(const SampleAt& at, float* logits, int vocabulary) {
  if (masks_stops(at))
    for (const std::uint32_t id : at.how->stop_ids)
      if (id < static_cast<std::uint32_t>(vocabulary)) logits[id] = kNone;
  for (const TokenBias& bias : at.how->bias)
    if (bias.token < static_cast<std::uint32_t>(vocabulary))
      logits[bias.token] = kernels::clean_logit(logits[bias.token]) + bias.bias;
  if (penalises(*at.how)) penalise(at, logits, vocabulary);
}

// By descending logit, then ascending id.
bool before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}
bool after(const Candidate& a, const Candidate& b) { return before(b, a); }

// The first k.
void cut_to(std::vector<Candidate>& candidates, std::uint32_t k) {
  if (candidates.size() <= k) return;
  std::nth_element(candidates.begin(), candidates.begin() + k, candidates.end(), before);
  candidates.resize(k);
}

// The shortest beginning that holds the share of their weight.
void cut_to_share(std::vector<Candidate>& candidates, float top_p) {
  std::uint64_t weight = 0;
  for (const Candidate& c : candidates) weight += c.weight;
  const auto share = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(static_cast<double>(top_p) * static_cast<double>(weight)));
  std::make_heap(candidates.begin(), candidates.end(), after);
  auto kept = candidates.end();
  for (std::uint64_t sum = 0; sum < share && kept != candidates.begin(); sum += kept->weight)
    std::pop_heap(candidates.begin(), kept--, after);
  candidates.erase(candidates.begin(), kept);
}

// The token at that place of the weight. ids ascend; there is one at least.
std::uint32_t draw_from(const std::int32_t* ids, const std::uint64_t* weights, std::size_t count,
                        std::uint64_t random) {
  std::uint64_t weight = 0;
  for (std::size_t i = 0; i < count; ++i) weight += weights[i];
  std::uint64_t left = kernels::scaled_random(random, weight);
  std::size_t i = 0;
  for (; i + 1 < count && left >= weights[i]; ++i) left -= weights[i];
  return static_cast<std::uint32_t>(ids[i]);
}

std::uint32_t draw(const kernels::cpu::Kernels& kernels, const SampleAt& at, const float* logits,
                   int vocabulary, std::uint32_t likeliest) {
  const float most = kernels::clean_logit(logits[likeliest]);
  if (!(most > kNone)) return likeliest;
  const Sampling& how = *at.how;
  const auto least = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(how.min_p * static_cast<float>(kernels::token_weight_one)));
  Scratch& s = scratch();
  s.ids.resize(static_cast<std::size_t>(vocabulary));
  s.weights.resize(static_cast<std::size_t>(vocabulary));
  const int count = kernels.token_weights(logits, vocabulary, most, kernels::token_scale(how.temperature),
                                          least, s.ids.data(), s.weights.data());
  const std::uint64_t random = kernels::token_random(how.seed, at.fork, at.position);
  const auto n = static_cast<std::size_t>(count);
  if (how.top_k == 0 && !(how.top_p < 1)) return draw_from(s.ids.data(), s.weights.data(), n, random);
  std::vector<Candidate>& candidates = s.candidates;
  candidates.clear();
  for (std::size_t i = 0; i < n; ++i)
    candidates.push_back({s.weights[i], kernels::clean_logit(logits[s.ids[i]]), s.ids[i]});
  if (how.top_k > 0) cut_to(candidates, how.top_k);
  if (how.top_p < 1) cut_to_share(candidates, how.top_p);
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    s.ids[i] = candidates[i].id;
    s.weights[i] = candidates[i].weight;
  }
  return draw_from(s.ids.data(), s.weights.data(), candidates.size(), random);
}

}  // namespace

std::uint32_t Drawing::sample(const SampleAt& at, float* logits, int vocabulary,
                              std::vector<TokenLogprob>& logprobs) const {
  const Sampling& how = *at.how;
  const bool shaped = !how.bias.empty() || penalises(how) || masks_stops(at);
  const float* came = logits;
  if (how.alternatives && shaped) {
    scratch().logits.assign(logits, logits + vocabulary);
    came = scratch().logits.data();
  }
  if (shaped) shape(at, logits, vocabulary);
  const auto likeliest = static_cast<std::uint32_t>(kernels_.argmax(logits, vocabulary));
  const std::uint32_t token =
      how.temperature > 0 ? draw(kernels_, at, logits, vocabulary, likeliest) : likeliest;
  if (!how.alternatives) return token;

  float most = 0, log_sum = 0;
  kernels_.log_sum_exp(came, vocabulary, &most, &log_sum);
  logprobs.push_back({token, kernels::clean_logit(came[token]) - log_sum});
  const int alternatives = std::min<int>(static_cast<int>(*how.alternatives), vocabulary);
  std::int32_t ids[kMaxAlternatives];
  float values[kMaxAlternatives];
  if (alternatives > 0) kernels_.top_k(came, vocabulary, alternatives, ids, values);
  for (int i = 0; i < alternatives; ++i)
    logprobs.push_back({static_cast<std::uint32_t>(ids[i]), values[i] - log_sum});
  return token;
}

}  // namespace serveloop::execute::cpu
