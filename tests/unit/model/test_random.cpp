// Random weights: the bits that tests/golden/random_weights.py makes on its own, and their moments.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "model/dequantise.hpp"
#include "model/from_config.hpp"
#include "model/model.hpp"
#include "model/random_weights.hpp"

using namespace serveloop::model;

namespace {

const std::map<std::string, Role> role_names = {{"embedding", Role::embedding},
                                                {"attention_norm", Role::attention_norm},
                                                {"q", Role::q},
                                                {"k", Role::k},
                                                {"v", Role::v},
                                                {"q_bias", Role::q_bias},
                                                {"k_bias", Role::k_bias},
                                                {"v_bias", Role::v_bias},
                                                {"q_norm", Role::q_norm},
                                                {"k_norm", Role::k_norm},
                                                {"o", Role::o},
                                                {"post_attention_norm", Role::post_attention_norm},
                                                {"ffn_norm", Role::ffn_norm},
                                                {"gate", Role::gate},
                                                {"up", Role::up},
                                                {"down", Role::down},
                                                {"post_ffn_norm", Role::post_ffn_norm},
                                                {"final_norm", Role::final_norm},
                                                {"lm_head", Role::lm_head}};

std::uint64_t fnv(const std::vector<std::uint16_t>& words) {
  std::uint64_t digest = 0xcbf29ce484222325u;
  for (const std::uint16_t word : words)
    for (const unsigned byte : {word & 255u, unsigned{word} >> 8}) digest = (digest ^ byte) * 0x100000001b3u;
  return digest;
}

// An embedding of more values than a thread takes at a time.
Architecture small() {
  Architecture a = load_config_json(CONFIG_FOLDER "/gemma3_transformers5.json").value();
  a.vocabulary = 23'003;
  return a;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(random_weights)

BOOST_AUTO_TEST_CASE(equal_the_scripts_bits) {
  std::ifstream golden(GOLDEN_FOLDER "/random_weights.txt");
  std::size_t lines = 0;
  for (std::string line; std::getline(golden, line); ++lines) {
    std::istringstream words(line);
    std::uint64_t seed = 0, first = 0, digest = 0;
    std::size_t count = 0, layers = 0;
    std::string name;
    Slot slot{};
    Architecture architecture;
    words >> seed >> name >> slot.layer >> first >> count >> slot.cols >> architecture.hidden >> layers >>
        std::hex >> digest;
    slot.role = role_names.at(name);
    architecture.layers.resize(layers);
    std::vector<std::uint16_t> out(count);
    fill_random(slot, architecture, seed, first, out);
    BOOST_TEST(fnv(out) == digest, line);
    // In two parts it is the same.
    std::vector<std::uint16_t> part(count - 17);
    fill_random(slot, architecture, seed, first + 17, part);
    BOOST_TEST(std::equal(part.begin(), part.end(), out.begin() + 17));
  }
  BOOST_TEST(lines == 20u);
}

BOOST_AUTO_TEST_CASE(scales_are_near_the_root) {
  for (std::uint64_t n = 1; n <= (std::uint64_t{1} << 40); n = n * 3 + 1) {
    const RandomScale scale = random_scale(n);
    BOOST_TEST((scale.multiplier >= 64 && scale.multiplier < 128));
    const double deviation = 65536 / std::sqrt(3.0) * std::ldexp(scale.multiplier, -int(scale.shift));
    BOOST_TEST(deviation * std::sqrt(double(n)) <= 1.0);
    BOOST_TEST(deviation * std::sqrt(double(n)) > 0.98);
  }
}

BOOST_AUTO_TEST_CASE(moments_are_those_of_the_page) {
  Architecture a;
  a.hidden = 4096;
  a.layers.resize(32);
  std::vector<std::uint16_t> bits(1 << 18);
  for (const auto& [role, cols, expected] : {std::tuple{Role::q, 4096u, 1 / 64.0},
                                             {Role::down, 14336u, 1 / std::sqrt(14336 * 64.0)},
                                             {Role::k_bias, 1024u, 1 / 64.0}}) {
    fill_random({role, 5, 1u << 18, cols}, a, 99, 0, bits);
    double sum = 0, squares = 0, fourths = 0, most = 0;
    for (const std::uint16_t one : bits) {
      const double x = from_bf16(one) / expected;
      sum += x, squares += x * x, fourths += x * x * x * x, most = std::max(most, std::fabs(x));
    }
    const auto count = double(bits.size());
    BOOST_TEST(std::fabs(sum / count) < 0.01);
    BOOST_TEST(std::sqrt(squares / count) > 0.975);
    BOOST_TEST(std::sqrt(squares / count) < 1.01);
    BOOST_TEST(fourths / count / (squares * squares / count / count) == 2.7,
               boost::test_tools::tolerance(0.02));
    BOOST_TEST(most < 3.47);  // 2 sqrt(3): four words cannot be farther off
    BOOST_TEST(most > 3.0);
  }
  fill_random({Role::ffn_norm, 5, 1, 4096}, a, 99, 0, std::span(bits).first(4096));
  double low = 2, high = 0;
  for (int i = 0; i < 4096; ++i)
    low = std::min<double>(low, from_bf16(bits[i])), high = std::max<double>(high, from_bf16(bits[i]));
  BOOST_TEST(low == 0.9375);
  BOOST_TEST(high == 1.0546875);
}

BOOST_AUTO_TEST_CASE(models_do_not_depend_on_threads) {
  const auto one = random_model(small(), 5, 1), three = random_model(small(), 5, 3),
             other = random_model(small(), 6, 1);
  BOOST_REQUIRE((one && three && other));
  for (const Slot& slot : slots(one->architecture)) {
    const Tensor& tensor = at(one->weights, slot);
    BOOST_REQUIRE_MESSAGE(tensor, gguf_name(slot));
    BOOST_TEST((tensor.type == Type::bf16));
    BOOST_TEST(tensor.rows == slot.rows);
    BOOST_TEST(tensor.cols == slot.cols);
    BOOST_TEST(std::memcmp(tensor.data, at(three->weights, slot).data, tensor.bytes()) == 0, gguf_name(slot));
    BOOST_TEST(std::memcmp(tensor.data, at(other->weights, slot).data, tensor.bytes()) != 0, gguf_name(slot));
    std::vector<std::uint16_t> whole(tensor.values());
    fill_random(slot, one->architecture, 5, 0, whole);
    BOOST_TEST(std::memcmp(tensor.data, whole.data(), tensor.bytes()) == 0, gguf_name(slot));
  }
  BOOST_TEST(one->weights.lm_head.data == one->weights.embedding.data);
}

BOOST_AUTO_TEST_CASE(too_large_a_model_is_an_error) {
  Architecture a = small();
  a.hidden = a.intermediate = kMostFeatures;
  a.vocabulary = kMostVocabulary;
  a.layers.resize(kMostLayers);
  const auto model = random_model(a, 1);
  BOOST_REQUIRE(!model.has_value());
  BOOST_TEST(model.error().message().starts_with("memory for random weights: expected "));
}

BOOST_AUTO_TEST_SUITE_END()
