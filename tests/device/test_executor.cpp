// The CUDA executor beside the CPU's, law 1 in small, and batches that cannot be. `quick`: one model, for a slow tool.
#include <cstring>

#include "executor_player.hpp"

namespace executor_test {
namespace {

// Log-probabilities of the likeliest tokens at some positions of a text that is given, whatever is likely.
class Reader {
 public:
  Reader(Executor& executor, std::uint32_t block_tokens) : executor_(executor), block_tokens_(block_tokens) {
    sampling_.alternatives = kMaxAlternatives;
  }

  // `chunk` tokens at a time up to `from`, then `each` at a time, each with a sample at its end.
  std::map<std::size_t, std::vector<TokenLogprob>> read(const std::vector<std::uint32_t>& text,
                                                        std::size_t chunk, std::size_t from,
                                                        std::size_t each) {
    std::map<std::size_t, std::vector<TokenLogprob>> out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t tokens = std::min(at < from ? std::min(chunk, from - at) : each, text.size() - at);
      const Begin begin{0, 0, &sampling_, 1, 1, std::span(text).first(at + tokens), {}};
      std::vector<TableChange> changes;
      for (std::uint32_t i = 0; i * block_tokens_ < at + tokens; ++i) changes.push_back({0, i, i});
      const bool decode = tokens == 1 && at > 0;
      const BatchRow row{0, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(tokens), true, decode};
      executor_.submit(
          {step_++, 0, decode ? 1u : 0u, decode ? 0u : row.tokens, {&begin, 1}, changes, {}, {&row, 1}});
      const Collected done = executor_.collect();
      if (done.failed) std::printf("STOPPED  %s\n", done.why.c_str()), std::exit(1);
      at += tokens;
      out[at] = done.logprobs[0];
      out[at].erase(out[at].begin());  // the token's own: greedy, so the first alternative's
    }
    return out;
  }

 private:
  Executor& executor_;
  std::uint32_t block_tokens_;
  Sampling sampling_;
  std::uint64_t step_ = 0;
};
using Read = std::map<std::size_t, std::vector<TokenLogprob>>;

struct Distance {
  double mean = 0, most = 0;
  int positions = 0, other_argmax = 0;
  double widest_margin = 0;  // of the first's top two where the argmax is another
};

Distance between(const Read& one, const Read& other) {
  Distance d;
  double sum = 0;
  int count = 0;
  for (const auto& [position, tokens] : one) {
    const auto found = other.find(position);
    if (found == other.end()) continue;
    ++d.positions;
    for (const TokenLogprob& a : tokens)
      for (const TokenLogprob& b : found->second)
        if (a.token == b.token) {
          const double difference = std::fabs(static_cast<double>(a.logprob) - b.logprob);
          sum += difference;
          d.most = std::max(d.most, difference);
          ++count;
        }
    if (tokens[0].token == found->second[0].token) continue;
    ++d.other_argmax;
    d.widest_margin = std::max(d.widest_margin, static_cast<double>(tokens[0].logprob - tokens[1].logprob));
  }
  d.mean = count > 0 ? sum / count : NAN;
  return d;
}

bool equal(const Read& one, const Read& other) {
  int both = 0;
  for (const auto& [position, tokens] : one) {
    const auto found = other.find(position);
    if (found == other.end()) continue;
    ++both;
    if (!(Said{0, tokens} == Said{0, found->second})) return false;
  }
  return both > 0;
}

Read read_on_cpu(const model::Architecture& a, const std::vector<std::uint32_t>& text, std::uint8_t dtype) {
  SteadyClock clock;
  execute::cpu::CpuOptions options;
  options.threads = 4;
  options.max_sequences = 2;
  options.token_budget = 320;
  options.blocks = 64;
  auto executor = require(execute::cpu::CpuExecutor::create(clock, random(a), options), "CPU executor");
  require(executor->apply(0, plans_of(executor->op_keys(), dtype)), "plan");
  return Reader(*executor, 16).read(text, 320, 590, 1);
}

// Twice the noise between BF16 and F32 on the CPU, which rounds less often, is the room that the mean has; the argmax is
// the CPU's wherever its margin is more than the largest difference seen twice over.
void test_against_cpu(const model::Architecture& a) {
  SteadyClock clock;
  const std::vector<std::uint32_t> text = random_tokens(700, a.vocabulary, 5);
  auto executor = cuda_executor(clock, random(a), cuda_options(0, 2, 320, 64));
  Reader reader(*executor, 16);
  const Read decoded = reader.read(text, 320, 590, 1), chunked = reader.read(text, 37, 590, 5);
  const Read other_blocks = reader.read(text, 301, 602, 1);
  check(equal(decoded, chunked), a.family + ": chunks differ from decodes");
  check(equal(decoded, other_blocks), a.family + ": decodes differ after other chunks");
  const Read f32 = read_on_cpu(a, text, SL_F32), bf16 = read_on_cpu(a, text, SL_BF16);
  const Distance noise = between(f32, bf16), cuda = between(f32, decoded);
  std::printf(
      "%-8s %3d positions: mean |dlogprob| CUDA %.5f, CPU in BF16 %.5f; most %.4f, %.4f; other argmax %d, "
      "%d, widest margin there %.4f\n",
      a.family.c_str(), cuda.positions, cuda.mean, noise.mean, cuda.most, noise.most, cuda.other_argmax,
      noise.other_argmax, cuda.widest_margin);
  check(cuda.positions > 100, a.family + ": nothing compared");
  check(cuda.mean <= 4 * noise.mean, a.family + ": mean difference to the CPU");
  check(cuda.widest_margin <= 2 * cuda.most, a.family + ": another argmax than the CPU's");
}

// What a sequence asked for shows in its tokens, so that equal mistakes do not pass for law 1.
void check_sampling(const std::vector<Story>& all, const Trace& trace) {
  std::map<std::size_t, std::vector<std::uint32_t>> said;
  for (const auto& [at, token] : trace) said[at.first].push_back(token.token);
  for (const auto& [number, tokens] : said) {
    const Sampling& how = all[number].sampling;
    std::vector<std::uint32_t> sorted = tokens;
    std::sort(sorted.begin(), sorted.end());
    if (how.presence > 0)
      check(std::unique(sorted.begin(), sorted.end()) == sorted.end(),
            "a token that penalties keep from coming twice");
    for (std::size_t i = 0; i < tokens.size() && how.min_tokens > 0; ++i)
      check((tokens[i] == 5) == (i >= how.min_tokens),
            "a stop token, likeliest by far, comes after min_tokens");
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto found = trace.find({number, static_cast<std::uint32_t>(all[number].prompt.size() + i)});
      const std::size_t listed = how.alternatives ? 1 + *how.alternatives : 0;
      check(found != trace.end() && found->second.logprobs.size() == listed,
            "log-probabilities as asked for");
    }
  }
}

void test_law1(const model::Architecture& a, std::uint32_t budget, std::uint32_t block_tokens) {
  SteadyClock clock;
  const std::vector<Story> all = stories(40, a.vocabulary, 700);
  Stage stage;
  stage.token_budget = budget;
  stage.block_tokens = block_tokens;
  Trace alone;
  // Nineteen short ones, whose decodes have no graph of their own number.
  std::vector<Story> few(all.begin(), all.begin() + 19);
  for (Story& story : few) {
    story.prompt.resize(4, 3);
    story.generate = 24;
  }
  Trace few_alone;
  for (const std::uint32_t lag : {0u, 1u}) {
    auto options = cuda_options(lag, stage.rows, budget, stage.blocks, block_tokens);
    options.graphs = lag == 1;
    auto executor = cuda_executor(clock, random(a), options);
    stage.lag = lag;
    if (lag == 0) alone = Player(*executor, stage).alone(all);
    if (lag == 0) check(alone.size() > 300, a.family + ": too little said");
    if (lag == 0) check_sampling(all, alone);
    if (lag == 0) few_alone = Player(*executor, stage).alone(few);
    Player crowd(*executor, stage);
    check(crowd.together(few) == few_alone && crowd.same,
          a.family + ": nineteen together differ from each alone");
    check(crowd.filled_up > 0, a.family + ": no step was filled up");
    for (const std::uint32_t seed : {1u, 2u}) {
      Player player(*executor, stage);
      const Trace mixed = player.mixed(all, seed);
      int differ = 0;
      for (const auto& [at, said] : alone) {
        const auto found = mixed.find(at);
        differ += found == mixed.end() || !(found->second == said) ? 1 : 0;
      }
      check(differ == 0 && mixed.size() == alone.size(),
            a.family + ", lag " + std::to_string(lag) + ", seed " + std::to_string(seed) + ": " +
                std::to_string(differ) + " of " + std::to_string(alone.size()) + " tokens differ");
      check(player.same, a.family + ": a second life differs from the first");
      check(player.mixed_steps > 10 && player.lives_begun_anew > 2, a.family + ": nothing was mixed");
      std::printf("%-8s lag %u seed %u: %zu tokens in %llu steps, %llu mixed, %llu lives begun anew\n",
                  a.family.c_str(), lag, seed, mixed.size(), (unsigned long long)player.steps,
                  (unsigned long long)player.mixed_steps, (unsigned long long)player.lives_begun_anew);
    }
  }
}

// Steps over few keys do rotary positions and attention in one launch, over many in two: sequences that are on one side
// alone are on the other together, and cross as some of them end.
void test_many_keys() {
  SteadyClock clock;
  model::Architecture a = qwen3();
  a.max_positions = 8192;
  std::vector<Story> all = stories(9, a.vocabulary, 60);
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i].prompt = random_tokens(4500 + 37 * i, a.vocabulary, static_cast<unsigned>(i));
  Stage stage;
  stage.block_tokens = 64;
  stage.token_budget = 1024;
  stage.blocks = 700;
  auto executor =
      cuda_executor(clock, random(a), cuda_options(1, stage.rows, stage.token_budget, stage.blocks, 64));
  const Trace alone = Player(*executor, stage).alone(all);
  check(alone.size() > 50, "many keys: too little said");
  check(Player(*executor, stage).together(all) == alone, "many keys together differ from each alone");
}

// An executor of two rows and eight blocks of sixteen tokens.
struct Small {
  explicit Small(std::uint32_t lag, model::Model model = random(qwen2()), std::uint32_t host_blocks = 0,
                 std::uint32_t block_tokens = 16) {
    execute::cuda::CudaOptions options = cuda_options(lag, 2, 96, 8, block_tokens);
    options.host_blocks = host_blocks;
    executor = cuda_executor(clock, std::move(model), options);
  }
  void begin(std::uint32_t row, const std::vector<std::uint32_t>& prompt, std::vector<std::uint32_t> blocks) {
    kept.push_back(prompt);
    begins.push_back({row, 0, &sampling, static_cast<std::uint32_t>(prompt.size()), 9, kept.back(), {}});
    for (std::uint32_t i = 0; i < blocks.size(); ++i) changes.push_back({row, i, blocks[i]});
  }
  Collected run(std::vector<BatchRow> rows) {
    Batch batch{step++, mode, 0, 0, begins, changes, copies, rows};
    for (const BatchRow& row : rows) (row.decode ? batch.decodes : batch.prefill_tokens) += row.tokens;
    executor->submit(batch);
    begins.clear();
    changes.clear();
    copies.clear();
    return executor->collect();
  }
  SteadyClock clock;
  std::unique_ptr<execute::cuda::CudaExecutor> executor;
  std::deque<std::vector<std::uint32_t>> kept;  // prompts, until they are submitted
  Sampling sampling;
  std::vector<Begin> begins;
  std::vector<TableChange> changes;
  std::vector<execute::BlockCopy> copies;
  std::uint64_t step = 0;
  std::uint32_t mode = 0;
};

void check_failed(const Collected& done, const std::string& part) {
  check(done.failed && done.why.find(part) != std::string::npos,
        "expected a failure with '" + part + "', found '" + done.why + "'");
}

void test_bad_batches() {
  const std::vector<std::uint32_t> prompt = random_tokens(20, 1003, 8);
  for (const std::uint32_t lag : {0u, 1u}) {
    Small s(lag);
    s.begin(0, prompt, {3, 1});
    const std::uint32_t good = s.run({{0, 0, 20, true, false}}).tokens[0];
    s.begin(0, prompt, {3});
    check_failed(s.run({{0, 0, 20, true, false}}), "blocks for all positions");
    s.begin(0, prompt, {3, 8});  // no such block
    check_failed(s.run({{0, 0, 20, true, false}}), "1 missing");
    s.begin(0, {5, 1003}, {3});  // no such token
    check_failed(s.run({{0, 0, 2, true, false}}), "ids below 1003");
    s.begin(0, prompt, {3, 1});
    check_failed(s.run({{0, 0, 21, true, false}}), "20 known");
    s.begin(0, prompt, {3, 1});
    check_failed(s.run({{0, 0, 19, true, false}}), "a sample behind the prompt and all known tokens");
    s.begin(0, std::vector<std::uint32_t>(97, 1), {0, 1, 2, 3, 4, 5, 6});
    check_failed(s.run({{0, 0, 97, true, false}}), "at most 96 tokens");
    s.mode = 3;
    check_failed(s.run({{0, 0, 1, false, false}}), "precision mode 3");
    s.mode = 0;
    check_failed(s.run({{2, 0, 1, true, false}}), "row: expected below 2, found 2");
    s.begin(2, prompt, {});
    check_failed(s.run({}), "row: expected below 2, found 2");
    for (const std::uint32_t index : {8u, UINT32_MAX}) {
      s.changes = {{0, index, 1}};
      check_failed(s.run({}), "block table of row 0: expected entries below 8");
    }
    s.begin(1, prompt, {0, 7});
    const Collected again = s.run({{1, 0, 20, true, false}});
    check(!again.failed && again.tokens[0] == good, "a good batch after bad ones: " + again.why);
  }
}

// Log-probabilities too: a likeliest token may stay what it was over a wrong block.
Said said(const Collected& done, std::size_t row) {
  if (done.failed) return {};
  return {done.tokens[row], done.logprobs[row]};
}

void test_blocks() {
  Small s(0);
  s.sampling.alternatives = 5;
  const std::vector<std::uint32_t> prompt = random_tokens(40, 1003, 9);
  s.begin(0, prompt, {3, 1, 2});
  const Said first = said(s.run({{0, 0, 40, true, false}}), 0);
  check(first.logprobs.size() == 6, "log-probabilities of a prompt's end");
  Collected done;
  // A block that is filled is hit in the same step, by a chunk of one token too.
  std::vector<std::uint32_t> shorter(prompt.begin(), prompt.begin() + 33);
  s.begin(0, shorter, {4, 5, 6});
  const Said alone = said(s.run({{0, 0, 33, true, false}}), 0);
  for (const std::uint32_t order : {0u, 1u}) {
    s.begin(0, prompt, {0, 1, 2});
    s.begin(1, shorter, {0, 1, 7});
    std::vector<BatchRow> rows = {{0, 0, 40, true, false}, {1, 32, 1, true, false}};
    if (order == 1) std::swap(rows[0], rows[1]);
    done = s.run(rows);
    check(said(done, order) == first && said(done, 1 - order) == alone,
          "a block that is hit while it is filled: " + done.why);
  }
}

// Out to host memory, overwritten on the device meanwhile, and back into other blocks.
void test_copies() {
  const std::vector<std::uint32_t> prompt = random_tokens(40, 1003, 9), other = random_tokens(40, 1003, 10);
  for (const std::uint32_t lag : {0u, 1u}) {
    Small s(lag, random(qwen2()), 3);
    s.sampling.alternatives = 5;
    s.begin(0, prompt, {3, 1, 2});
    const Said first = said(s.run({{0, 0, 40, true, false}}), 0);
    s.copies = {{3, 2, SL_TIER_DEVICE, SL_TIER_HOST}, {1, 0, SL_TIER_DEVICE, SL_TIER_HOST}};
    Collected done = s.run({});  // without rows it waits for the copies
    check(done.copies_ended == 2 && done.copies_failed.empty() && !done.failed, "copies out: " + done.why);
    s.begin(1, other, {3, 1, 2});
    check(!(said(s.run({{1, 0, 40, true, false}}), 0) == first), "another prompt says something else");
    s.copies = {{2, 5, SL_TIER_HOST, SL_TIER_DEVICE}, {0, 6, SL_TIER_HOST, SL_TIER_DEVICE}};
    done = s.run({});
    check(done.copies_ended == 4 && done.copies_failed.empty(), "copies in");
    s.begin(1, prompt, {5, 6, 7});
    done = s.run({{1, 32, 8, true, false}});
    check(said(done, 0) == first, "a block that was in host memory holds the same: " + done.why);
  }
}

// What names a block that is not there fails alone, and touches nothing.
void test_bad_copies() {
  const std::vector<std::uint32_t> prompt = random_tokens(40, 1003, 9);
  Small s(1, random(qwen2()), 2);
  s.sampling.alternatives = 5;
  s.begin(0, prompt, {3, 1, 2});
  const Said first = said(s.run({{0, 0, 40, true, false}}), 0);
  s.copies = {{3, 0, SL_TIER_DEVICE, SL_TIER_HOST},
              {3, 2, SL_TIER_DEVICE, SL_TIER_HOST},
              {8, 1, SL_TIER_DEVICE, SL_TIER_HOST},
              {0, 3, SL_TIER_HOST, SL_TIER_NONE},
              {0, 3, SL_TIER_DEVICE, SL_TIER_DEVICE}};
  const Collected done = s.run({});
  const std::vector<std::uint64_t> failed(done.copies_failed.begin(), done.copies_failed.end());
  check(done.copies_ended == 5 && failed == std::vector<std::uint64_t>{1, 2, 3, 4} && !done.failed,
        "copies of no block fail, the one before them ends");
  s.begin(1, prompt, {3, 1, 2});
  check(said(s.run({{1, 32, 8, true, false}}), 0) == first, "failed copies touch nothing");
}

// A step does not wait for all copies that were handed over before it, its log-probabilities neither.
void test_copies_beside_steps() {
  constexpr std::uint32_t kCopies = 2000;
  Small s(1, random(qwen2()), 8, 1024);
  s.sampling.alternatives = 5;
  const std::vector<std::uint32_t> prompt = random_tokens(40, 1003, 9);
  s.begin(0, prompt, {3});
  const Said first = said(s.run({{0, 0, 40, true, false}}), 0);
  for (std::uint32_t i = 0; i < kCopies; ++i)
    s.copies.push_back({i % 3, i % 8, SL_TIER_DEVICE, SL_TIER_HOST});
  s.begin(1, prompt, {5});
  Collected done = s.run({{1, 0, 40, true, false}});
  check(said(done, 0) == first, "a step beside copies: " + done.why);
  check(done.copies_ended < kCopies, "a step waited for copies");
  std::size_t failed = done.copies_failed.size();
  for (std::uint32_t i = 0; i < kCopies && done.copies_ended < kCopies; ++i) {
    done = s.run({});
    failed += done.copies_failed.size();
  }
  check(done.copies_ended == kCopies && failed == 0, "copies beside steps end");
}

void test_no_number() {
  model::Model model = random(qwen2());
  auto* row = reinterpret_cast<std::uint16_t*>(const_cast<std::byte*>(model.weights.embedding.row(7)));
  std::fill(row, row + model.architecture.hidden, std::uint16_t{0x7fc0});
  model.architecture.tied_embeddings = true;
  Small s(0, std::move(model));
  s.begin(0, {5, 6, 9}, {3});
  s.begin(1, {5, 7, 9}, {4});
  check_failed(s.run({{0, 0, 3, true, false}, {1, 0, 3, true, false}}),
               "logits of row 1 at position 2: expected a number above minus infinity, found none");
  s.begin(0, {5, 6, 9}, {3});
  Collected done = s.run({{0, 0, 3, true, false}});
  check(!done.failed, "a good row after one without a number: " + done.why);
  // Its blocks are used again, by a shorter sequence.
  std::vector<std::uint32_t> prompt = random_tokens(20, 1003, 10);
  std::replace(prompt.begin(), prompt.end(), 7u, 8u);
  s.begin(0, prompt, {1, 2});
  const std::uint32_t alone = s.run({{0, 0, 20, true, false}}).tokens[0];
  s.begin(1, std::vector<std::uint32_t>(32, 7), {5, 6});
  check_failed(s.run({{1, 0, 32, true, false}}), "above minus infinity");
  s.begin(0, prompt, {5, 6});
  done = s.run({{0, 0, 20, true, false}});
  check(!done.failed && done.tokens[0] == alone, "blocks that held no numbers, used again: " + done.why);
}

void test_refusals() {
  SteadyClock clock;
  const auto refused = [&](model::Architecture a, execute::cuda::CudaOptions o, const std::string& what) {
    const auto made = execute::cuda::CudaExecutor::create(clock, random(a), o);
    check(!made && made.error().what == what, "expected to be refused: " + what);
  };
  refused(qwen2(), cuda_options(2, 2, 96, 8), "engine.lag");
  refused(qwen2(), cuda_options(0, 2, 96, 8, 8), "engine.block_tokens");
  model::Architecture a = qwen2();
  a.head_dim = 96;
  refused(a, cuda_options(0, 2, 96, 8), "head size");
  a = qwen2();
  a.logit_soft_cap = 30;
  refused(a, cuda_options(0, 2, 96, 8), "logit soft cap");
  Small s(0);
  check(!s.executor->apply(1, plans_of(s.executor->op_keys(), SL_F32)), "a plan in F32 was taken");
  check(s.executor->effective(0).size() == s.executor->op_keys().size(), "effective plans");
  auto unsized = require(
      execute::cuda::CudaExecutor::create(clock, random(qwen2()), cuda_options(0, 2, 96, 0)), "executor");
  const auto plans = plans_of(unsized->op_keys(), SL_BF16);
  const auto none = unsized->apply(0, plans);
  check(!none && none.error().what == "engine.kv_blocks", "a pool without blocks");
  check(unsized->block_bytes(plans).value() == 16u * 3 * 2 * 2 * 64 * 2, "bytes of a block");
  unsized->set_blocks(1u << 30, 0);
  const auto large = unsized->apply(0, plans);
  check(!large && large.error().message().find("memory on the device") != std::string::npos,
        "a pool larger than the device");
  unsized->set_blocks(8, 0);
  check(unsized->apply(0, plans).has_value(), "a pool after one that was too large");
}

}  // namespace
}  // namespace executor_test

int main(int argc, char** argv) {
  using namespace executor_test;
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  test_bad_batches();
  test_blocks();
  test_copies();
  test_bad_copies();
  test_copies_beside_steps();
  test_no_number();
  if (!quick) test_refusals();
  if (!quick) test_many_keys();
  for (const model::Architecture& a : {llama(), mistral(), qwen2(), qwen3(), gemma3()}) {
    if (quick && a.family != "qwen3") continue;
    if (!quick) test_against_cpu(a);
    test_law1(a, a.family == "llama" ? 320 : 96, a.family == "qwen3" ? 64 : 16);
  }
  std::printf("executor: %d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
