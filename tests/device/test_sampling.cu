// sample() against a reference that sorts, token for token: host and device share the weights and the random
// numbers, so nothing has to be tolerated but the logarithm of the log-probabilities. `quick`: for a slow tool.
#include <cstring>

#include "sampling_case.cuh"

using namespace device_test;

namespace {

// Known answers of Random123 1.14.
constexpr bool known(PhiloxWords counter, std::uint32_t key_0, std::uint32_t key_1, PhiloxWords expected) {
  const PhiloxWords words = philox(counter, key_0, key_1);
  return words.at[0] == expected.at[0] && words.at[1] == expected.at[1] && words.at[2] == expected.at[2] &&
         words.at[3] == expected.at[3];
}
static_assert(known({{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}}));
static_assert(known({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u,
                    {{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}}));
static_assert(known({{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}}, 0xa4093822u, 0x299f31d0u,
                    {{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}}));
static_assert(scaled_random(~std::uint64_t{0}, 1000) == 999 &&
              scaled_random(std::uint64_t{1} << 63, 1000) == 500);

// A request whose parameters are drawn from `seed`.
SamplingRow some_request(std::uint64_t seed, int vocabulary) {
  const auto pick = [&](int what, int of) { return static_cast<int>(mix(seed * 31 + what) % of); };
  SamplingRow row;
  row.seed = mix(seed);
  row.fork = static_cast<std::uint32_t>(pick(1, 3));
  const float temperatures[] = {0.0f, 0.2f, 0.7f, 1.0f, 1.7f, 1e-7f};
  row.temperature = temperatures[pick(2, 6)];
  const int ks[] = {0, 1, 2, 40, 50, 1000, vocabulary, vocabulary + 5};
  row.top_k = ks[pick(3, 8)];
  const float ps[] = {1.0f, 0.9f, 0.5f, 0.95f, 0.0f, 0.999f};
  row.top_p = ps[pick(4, 6)];
  const float mins[] = {0.0f, 0.0f, 0.05f, 0.3f, 1.0f};
  row.min_p = mins[pick(5, 5)];
  row.alternatives = pick(6, 3) == 0 ? -1 : pick(7, 21);
  return row;
}

// kind: 0 normal, 1 with a peak, 2 few values (many equal), 3 with what is no number, 4 all the same
SamplingCase make(int rows, int vocabulary, bool wide, int kind, std::uint64_t seed) {
  SamplingCase c;
  c.vocabulary = vocabulary;
  c.wide = wide;
  c.logits.resize(static_cast<std::size_t>(rows) * vocabulary);
  for (std::size_t i = 0; i < c.logits.size(); ++i) {
    float x = random_value(seed, i) * 3.0f;
    if (kind == 1 && mix(i + seed) % 97 == 0) x += 12.0f;
    if (kind == 2) x = std::round(x);
    if (kind == 3 && mix(i + seed) % 11 == 0) x = mix(i) % 2 == 0 ? NAN : -INFINITY;
    if (kind == 3 && mix(i + seed) % 1003 == 0) x = INFINITY;
    if (kind == 4) x = -2.5f;
    c.logits[i] = x;
  }
  for (int r = 0; r < rows; ++r) {
    c.row.push_back(some_request(seed * 1000 + r, vocabulary));
    c.position.push_back(static_cast<int>(mix(seed + r) % 100000));
  }
  return c;
}

// Masks, biases and histories for some of the rows.
void add_changes(SamplingCase& c, std::uint64_t seed) {
  const std::size_t words = (static_cast<std::size_t>(c.vocabulary) + 31) / 32;
  for (int r = 0; r < c.rows(); ++r) {
    SamplingRow& row = c.row[r];
    if (r % 3 == 0) {
      row.mask = static_cast<int>(c.mask.size() / words);
      for (std::size_t i = 0; i < words; ++i)
        c.mask.push_back(static_cast<std::uint32_t>(mix(seed + r * 7 + i)));
    }
    if (r % 2 == 0) {
      row.bias_begin = static_cast<int>(c.bias.size());
      row.bias_count = std::min(c.vocabulary, 40);
      const int step = c.vocabulary / row.bias_count;
      for (int i = 0; i < row.bias_count; ++i)
        c.bias.push_back({i * step, i % 5 == 0 ? -INFINITY : random_value(seed, i) * 5.0f});
    }
    if (r % 4 != 1) {
      row.history = static_cast<int>(c.history.size());
      row.repetition = r % 3 == 0 ? 1.3f : r % 3 == 1 ? 1.0f : 0.8f;
      row.presence = r % 5 == 0 ? 0.0f : 0.6f;
      row.frequency = r % 2 == 0 ? 0.25f : 0.0f;
      std::vector<TokenCount> seen;
      const int size = std::min(c.vocabulary, 100);
      for (int i = 0; i < size; ++i)
        seen.push_back(
            {(i * 37 + r) % c.vocabulary, (i % 3 == 0 ? token_in_prompt : 0) + static_cast<unsigned>(i % 4)});
      std::sort(seen.begin(), seen.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
      seen.erase(
          std::unique(seen.begin(), seen.end(), [](const auto& a, const auto& b) { return a.id == b.id; }),
          seen.end());
      c.history.push_back(seen);
    }
  }
}

void check_logprobs(const SamplingCase& c, const Sampled& got, int index, const std::string& what) {
  const int wanted = std::min(c.row[index].alternatives, c.vocabulary);
  std::vector<float> z(c.vocabulary);
  for (int id = 0; id < c.vocabulary; ++id) z[id] = logit_of(c, index, id);
  const std::vector<int> order = in_order(z);
  double sum = 0.0;
  for (const float x : z) sum += std::exp(static_cast<double>(x) - z[order[0]]);
  const auto close = [&](float logprob, int id) {
    const double expected = z[id] - z[order[0]] - std::log(sum);
    return logprob == expected || std::fabs(logprob - expected) < 1e-5 * (1.0 + std::fabs(expected));
  };
  check(close(got.logprob[index], got.token[index]), what + ": log-probability of the token");
  for (int i = 0; i < wanted; ++i) {
    const std::size_t at = static_cast<std::size_t>(index) * sampling_max_alternatives + i;
    if (token_weight(z[order[i]], z[order[0]], token_scale(1.0f)) == 0) {
      check(got.alternative[at] == -1, what + ": an alternative of no weight");
      continue;
    }
    check(got.alternative[at] == order[i] && close(got.alternative_logprob[at], order[i]),
          what + ": alternative " + std::to_string(i));
  }
}

void check_case(SamplingCase c, int kind) {
  const int rows = c.rows();
  const int vocabulary = c.vocabulary;
  const SamplingCase before = c;
  const Sampled got = run_sampling(c);
  for (int r = 0; r < rows; ++r) {
    const std::string what = "row " + std::to_string(r) + " of " + std::to_string(rows) + ", vocabulary " +
                             std::to_string(vocabulary) + ", kind " + std::to_string(kind);
    if (before.position[r] < 0) {
      check(got.token[r] == -1, what + ": an unused row was written");
      continue;
    }
    const int expected = reference_token(before, r);
    check(got.token[r] == expected,
          what + ": token " + std::to_string(got.token[r]) + ", expected " + std::to_string(expected));
    if (before.row[r].alternatives >= 0 && kind != 3) check_logprobs(before, got, r, what);
    if (before.row[r].history >= 0) {
      std::vector<TokenCount> model = before.history[before.row[r].history];
      auto at =
          std::find_if(model.begin(), model.end(), [&](const TokenCount& t) { return t.id == expected; });
      if (at == model.end()) {
        model.push_back({expected, 1});
      } else {
        ++at->count;
      }
      const std::vector<TokenCount>& now = c.history[before.row[r].history];
      const bool same =
          std::equal(now.begin(), now.end(), model.begin(), model.end(),
                     [](const auto& a, const auto& b) { return a.id == b.id && a.count == b.count; });
      check(same, what + ": the history after the token");
    }
  }
}

void test_case(int rows, int vocabulary, bool wide, int kind, bool changes, std::uint64_t seed) {
  SamplingCase c = make(rows, vocabulary, wide, kind, seed);
  if (changes) add_changes(c, seed);
  if (rows > 2) c.position[2] = -1;
  check_case(c, kind);
}

// Greedy rows with one change each, or none: those are looked at without a copy.
void test_greedy(int vocabulary, int kind, std::uint64_t seed) {
  SamplingCase c = make(16, vocabulary, false, kind, seed);
  add_changes(c, seed);
  for (int r = 0; r < c.rows(); ++r) {
    SamplingRow& row = c.row[r];
    row.temperature = 0.0f;
    row.alternatives = -1;
    if (r % 4 != 1) row.mask = -1;
    if (r % 4 != 2) row.bias_count = 0;
    if (r % 4 != 3) row.history = -1;
  }
  check_case(c, kind);
}

// Alone a row has a cluster of blocks; among many it has one or two.
void test_places() {
  SamplingCase c = make(140, 33000, false, 0, 5);
  const Sampled all = run_sampling(c);
  for (const int r : {0, 3, 70, 71, 139}) {
    SamplingCase alone = c;
    alone.row = {c.row[r]};
    alone.position = {c.position[r]};
    alone.logits.assign(c.logits.begin() + static_cast<std::ptrdiff_t>(r) * c.vocabulary,
                        c.logits.begin() + static_cast<std::ptrdiff_t>(r + 1) * c.vocabulary);
    const Sampled one = run_sampling(alone);
    bool same = one.token[0] == all.token[r];
    if (c.row[r].alternatives >= 0) {
      same = same && one.logprob[0] == all.logprob[r];
      for (int i = 0; i < c.row[r].alternatives; ++i)
        same = same && one.alternative[i] == all.alternative[r * sampling_max_alternatives + i] &&
               one.alternative_logprob[i] == all.alternative_logprob[r * sampling_max_alternatives + i];
    }
    check(same, "row " + std::to_string(r) + " alone and among 140 differ");
  }
}

// 40,000 draws of ten tokens lie where their probabilities say (chi-square, 9 degrees: 40 has p < 1e-5).
void test_distribution() {
  const int rows = 40000;
  SamplingCase c;
  c.vocabulary = 10;
  c.wide = true;
  std::vector<double> p(10);
  double sum = 0.0;
  for (int i = 0; i < 10; ++i) sum += p[i] = std::exp(0.3 * i / 0.8);
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < 10; ++i) c.logits.push_back(0.3f * static_cast<float>(i));
    SamplingRow row;
    row.seed = 42;
    row.temperature = 0.8f;
    c.row.push_back(row);
    c.position.push_back(r);
  }
  const Sampled got = run_sampling(c);
  std::vector<double> count(10, 0.0);
  for (const std::int32_t token : got.token) ++count[token];
  double chi = 0.0;
  for (int i = 0; i < 10; ++i) {
    const double expected = rows * p[i] / sum;
    chi += (count[i] - expected) * (count[i] - expected) / expected;
  }
  check(chi < 40.0, "draws are not distributed as their weights: chi-square " + std::to_string(chi));
  int differ = 0;
  for (int r = 0; r < rows; ++r) c.row[r].fork = 1;
  const Sampled forked = run_sampling(c);
  for (int r = 0; r < rows; ++r) differ += forked.token[r] != got.token[r];
  check(differ > rows / 2, "another fork draws the same");
}

void test_full_history() {
  SamplingCase c = make(1, 100, true, 4, 3);
  c.row[0] = SamplingRow{};
  c.row[0].temperature = 0.0f;
  c.row[0].history = 0;
  c.history = {{{7, 1}, {9, token_in_prompt}}};
  run_sampling(c, 2);  // token 0 has no room
  check(c.history[0].size() == 2 && c.history[0][0].count == 1 && c.history[0][1].count == token_in_prompt,
        "a full history was changed");
}

void test_refusals() {
  SamplingJob job;
  check(!sample(job, nullptr).ok(), "a job of nothing was taken");
  const Buffer<float> logits(8);
  const Buffer<std::int32_t> numbers(8);
  const Buffer<SamplingRow> row(1);
  job.logits_f32 = logits.get();
  job.logits_stride = 8;
  job.vocabulary = 8;
  job.rows = 1;
  job.row = row.get();
  job.position = job.token = numbers.get();
  const auto refused = [&](auto change) {
    SamplingJob bad = job;
    change(bad);
    return !sample(bad, nullptr).ok();
  };
  check(refused([](SamplingJob& j) { j.rows = -1; }), "-1 rows were taken");
  check(refused([](SamplingJob& j) { j.vocabulary = 400000; }), "400,000 tokens were taken");
  check(refused([](SamplingJob& j) { j.logits_stride = 7; }), "a stride below the vocabulary was taken");
  check(refused([](SamplingJob& j) { j.logits_f32 = nullptr; }), "no logits were taken");
  check(refused([](SamplingJob& j) { j.token = nullptr; }), "no place for tokens was taken");
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  std::uint64_t seed = 1;
  if (quick) {
    for (const int kind : {0, 1, 2, 3, 4}) test_case(4, 300, kind % 2 == 0, kind, true, seed++);
    test_case(3, 2500, false, 4, false, seed++);
    test_greedy(72, 2, seed++);
    test_refusals();
    return report("sampling, quick");
  }
  for (const int vocabulary : {1, 2, 7, 33, 1000, 4097, 49152}) {
    for (const int kind : {0, 1, 2, 3, 4}) {
      for (const bool wide : {false, true}) {
        test_case(12, vocabulary, wide, kind, false, seed++);
        test_case(12, vocabulary, wide, kind, true, seed++);
      }
    }
  }
  for (const int vocabulary : {128256, 151936, 262144, 340000}) {
    for (const int kind : {0, 1, 2}) test_case(20, vocabulary, false, kind, kind == 1, seed++);
  }
  for (const int vocabulary : {8, 1000, 1001, 4096, 128256})
    for (const int kind : {0, 0, 2, 3, 4}) test_greedy(vocabulary, kind, seed++);
  test_case(150, 50257, false, 1, true, seed++);
  test_places();
  test_distribution();
  test_full_history();
  test_refusals();
  return report("sampling");
}
