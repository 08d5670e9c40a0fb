// Wrong files: each kind of damage gives its line; no prefix and no flipped byte of a right file does harm.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <memory>

#include "model/dequantise.hpp"
#include "model/from_gguf.hpp"
#include "tiny.hpp"

using namespace serveloop::model;
using namespace serveloop::model::test;

namespace {

std::string parsed(const Bytes& bytes) {
  const auto read = gguf::File::parse(bytes, "x");
  return read ? "no error" : read.error().message();
}

// A file of two keys and three tensors, changed.
std::string changed(const std::function<void(GgufWriter&)>& change) {
  GgufWriter file;
  file.text("general.name", "n");
  file.u32("a.b", 3);
  add_vector(file, "v", 9);
  add_matrix(file, "m", 3, 64, 8);
  add_vector(file, "w", 2);
  change(file);
  return parsed(file.finish());
}

Bytes value(auto... parts) {
  Bytes out;
  (put(out, parts), ...);
  return out;
}

// Walks everything that a file offers; touches what it says is there.
void use(const gguf::File& file) {
  for (const gguf::Key& key : file.keys()) {
    BOOST_REQUIRE(file.find(key.name) == &key.value);
    (void)file.whole(key.name, 0, UINT64_MAX), (void)file.number(key.name), (void)file.flag(key.name);
    (void)file.text(key.name), (void)file.wholes(key.name), (void)file.numbers(key.name),
        (void)file.texts(key.name);
  }
  const auto architecture = architecture_from_gguf(file);
  if (!architecture) return;
  (void)vocabulary_from_gguf(file, architecture->vocabulary);
  const auto weights = weights_from_gguf(file, *architecture);
  if (!weights) return;
  std::vector<float> row;
  for (const Slot& slot : slots(*architecture)) {
    const Tensor& tensor = at(*weights, slot);
    row.resize(tensor.cols);
    dequantise_row(tensor, tensor.rows - 1, row.data());
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(damaged_gguf)

BOOST_AUTO_TEST_CASE(headers) {
  BOOST_TEST(changed([](GgufWriter&) {}) == "no error");
  BOOST_TEST(parsed({}) == "x: first bytes: expected 'GGUF', found something else; is it a GGUF file?");
  BOOST_TEST(changed([](GgufWriter& f) { f.version = 1; }) == "x: version: expected 2 or 3, found 1");
  BOOST_TEST(changed([](GgufWriter& f) { f.version = 4; }) == "x: version: expected 2 or 3, found 4");
  BOOST_TEST(changed([](GgufWriter& f) { f.version = 0x03000000; }) ==
             "x: byte order: expected little-endian, found big-endian");
  const std::string keys = changed([](GgufWriter& f) { f.key_count = UINT64_MAX; });
  BOOST_TEST(keys.starts_with("x: number of keys: expected at most "), keys);
  BOOST_TEST(keys.ends_with("found 18446744073709551615"), keys);
  BOOST_TEST(changed([](GgufWriter& f) { f.key_count = 3; }) != "no error");  // reads tensors as keys
  Bytes many;
  put(many, std::uint32_t{0x46554747}), put(many, std::uint32_t{3});
  put(many, std::uint64_t{1} << 60), put(many, std::uint64_t{0});
  BOOST_TEST(parsed(many) ==
             "x: number of tensors: expected at most 0 in 0 bytes, found 1152921504606846976");
}

BOOST_AUTO_TEST_CASE(keys) {
  BOOST_TEST(changed([](GgufWriter& f) { f.u32("a.b", 4); }) ==
             "x: key 'a.b': expected each key once, found it twice");
  BOOST_TEST(changed([](GgufWriter& f) { f.u32("", 4); }) ==
             "x: key 2: expected a name of 1 to 65535 bytes, found 0");
  BOOST_TEST(changed([](GgufWriter& f) { f.u32(std::string(65536, 'k'), 4); }) ==
             "x: key 2: expected a name of 1 to 65535 bytes, found 65536");
  BOOST_TEST(changed([](GgufWriter& f) { f.raw("c", 13, {}); }) ==
             "x: key 'c': expected a type of 0 to 12, found 13");
  BOOST_TEST(changed([](GgufWriter& f) { f.number("c", kBool, std::uint8_t{2}); }) ==
             "x: key 'c': expected 0 or 1 for a bool, found 2");
  BOOST_TEST(changed([](GgufWriter& f) {
               f.raw("c", kArray, value(std::uint32_t{kArray}, std::uint64_t{0}));
             }) == "x: key 'c': expected an array of plain values, found arrays in an array");
  for (const std::uint64_t count : {std::uint64_t{1} << 40, std::uint64_t{1} << 61, UINT64_MAX})
    for (const std::uint32_t type : {kU8, kU64, kString, kBool}) {
      const std::string line = changed([&](GgufWriter& f) { f.raw("c", kArray, value(type, count)); });
      BOOST_TEST(line.starts_with("x: key 'c': expected at most "), line);
      BOOST_TEST(line.ends_with("found " + std::to_string(count)), line);
    }
  for (const std::uint64_t length : {std::uint64_t{1} << 40, UINT64_MAX, UINT64_MAX - 7}) {
    const std::string line = changed([&](GgufWriter& f) { f.raw("c", kString, value(length)); });
    BOOST_TEST(line.starts_with("x: key 'c': expected " + std::to_string(length) + " bytes at byte "), line);
    const std::string inside = changed(
        [&](GgufWriter& f) { f.raw("c", kArray, value(std::uint32_t{kString}, std::uint64_t{1}, length)); });
    BOOST_TEST(inside.starts_with("x: key 'c': expected " + std::to_string(length) + " bytes at byte "),
               inside);
  }
}

BOOST_AUTO_TEST_CASE(alignments) {
  for (const std::uint32_t alignment : {0u, 4u, 1u << 21})
    BOOST_TEST(changed([&](GgufWriter& f) { f.u32("general.alignment", alignment); }) ==
               "x: key 'general.alignment': expected an integer from 8 to 1048576, found " +
                   std::to_string(alignment));
  BOOST_TEST(changed([](GgufWriter& f) { f.u32("general.alignment", 24); }) ==
             "x: key 'general.alignment': expected a power of two, found 24");
  BOOST_TEST(changed([](GgufWriter& f) { f.text("general.alignment", "32"); }) ==
             "x: key 'general.alignment': expected an integer from 8 to 1048576, found string");
}

BOOST_AUTO_TEST_CASE(tensors) {
  BOOST_TEST(changed([](GgufWriter& f) { f.tensors[2].name = "v"; }) ==
             "x: tensor 'v': expected each tensor once, found it twice");
  BOOST_TEST(changed([](GgufWriter& f) { f.tensors[2].sizes = {}; }) ==
             "x: tensor 'w': expected 1 to 4 dimensions, found 0");
  BOOST_TEST(changed([](GgufWriter& f) {
               f.tensors[2].sizes = {1, 1, 1, 1, 1};
             }) == "x: tensor 'w': expected 1 to 4 dimensions, found 5");
  BOOST_TEST(changed([](GgufWriter& f) {
               f.tensors[2].sizes = {2, 0};
             }) ==
             "x: tensor 'w': expected sizes from 1, with a product of at most 281474976710656, found 0 in "
             "dimension 1");
  BOOST_TEST(changed([](GgufWriter& f) {
               f.tensors[2].sizes = {2, UINT64_MAX};
             }) ==
             "x: tensor 'w': expected sizes from 1, with a product of at most 281474976710656, found "
             "18446744073709551615 in dimension 1");
  BOOST_TEST(changed([](GgufWriter& f) {
               f.tensors[2].sizes = {1u << 16, 1u << 16, 1u << 16, 1u << 16};
             }) ==
             "x: tensor 'w': expected sizes from 1, with a product of at most 281474976710656, found 65536 "
             "in dimension "
             "3");
  BOOST_TEST(changed([](GgufWriter& f) { f.tensors[2].type = 99; }) ==
             "x: tensor 'w': expected a known storage type, found type 99");
  BOOST_TEST(changed([](GgufWriter& f) { f.tensors[2].type = 4; }) ==
             "x: tensor 'w': expected a known storage type, found type 4");
  BOOST_TEST(changed([](GgufWriter& f) { f.tensors[2].type = 8; }) ==
             "x: tensor 'w': expected rows of a multiple of 32 values, as Q8_0 has, found 2");
  BOOST_TEST(changed([](GgufWriter& f) { f.tensors[2].offset += 4; }) ==
             "x: tensor 'w': expected an offset of a multiple of 32, found 292");
  BOOST_TEST(
      changed([](GgufWriter& f) { f.tensors[2].sizes = {3}; }) ==
      "x: tensor 'w': expected data within the file's 296 bytes of data, found 12 bytes at offset 288");
  BOOST_TEST(changed([](GgufWriter& f) {
               f.tensors[2].sizes = {1u << 24, 1u << 24};
             }) ==
             "x: tensor 'w': expected data within the file's 296 bytes of data, found 1125899906842624 bytes "
             "at offset "
             "288");
  for (const std::uint64_t offset : {std::uint64_t{1} << 40, UINT64_MAX - 31}) {
    const std::string line = changed([&](GgufWriter& f) { f.tensors[2].offset = offset; });
    BOOST_TEST(line.ends_with("found 8 bytes at offset " + std::to_string(offset)), line);
  }
  BOOST_TEST(changed([](GgufWriter& f) { f.tensors[2].offset = 256; }) ==
             "x: tensor 'w': expected data of its own, found an overlap with tensor 'm'");
  BOOST_TEST(changed([](GgufWriter& f) {
               f.tensors[0].offset = f.tensors[1].offset;
             }).ends_with("expected data of its own, found an overlap with tensor 'v'"));
}

// Wrong in their elements, too: that the length is named shows that it is held against what can be used first.
BOOST_AUTO_TEST_CASE(the_length_of_a_list_is_checked_before_the_list_is_made) {
  const auto line = [](const char* family, const std::function<void(GgufWriter&)>& add) {
    GgufWriter file = tiny(family, 2);
    add(file);
    const Bytes bytes = file.finish();
    const auto read = gguf::File::parse(bytes, "x");
    if (!read) return read.error().message();
    const auto architecture = architecture_from_gguf(*read);
    if (!architecture) return architecture.error().message();
    const auto vocabulary = vocabulary_from_gguf(*read, architecture->vocabulary);
    return vocabulary ? "no error" : vocabulary.error().message();
  };
  const auto replaced = [](GgufWriter& file, std::string key, auto&& write) {
    const Bytes name = [&] {
      Bytes out;
      put_text(out, key);
      return out;
    }();
    const auto at = std::search(file.keys.begin(), file.keys.end(), name.begin(), name.end());
    BOOST_REQUIRE(at != file.keys.end());
    at[8] = std::byte('X');  // the old one: nobody's key
    write(key);
  };
  const std::vector<std::uint8_t> many(1 << 20, 0);
  for (const char* size : {"feed_forward_length", "attention.head_count", "attention.head_count_kv"})
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{3}, many.size()}) {
      const std::string key = "llama." + std::string(size);
      BOOST_TEST(line("llama",
                      [&](GgufWriter& f) {
                        replaced(f, key, [&](const std::string& name) {
                          f.array(name, kU8, std::vector(many.begin(), many.begin() + std::ptrdiff_t(count)));
                        });
                      }) == "x: key '" + key + "': expected an array of integers of 2 elements, found " +
                                std::to_string(count));
    }
  BOOST_TEST(line("llama", [&](GgufWriter& f) {
               replaced(f, "llama.attention.head_count", [&](const std::string& name) {
                 f.array(name, kU8, std::vector<std::uint8_t>{3, 3});
               });
             }) == "no error");
  BOOST_TEST(
      line("gemma3", [&](GgufWriter& f) { f.array("gemma3.attention.sliding_window_pattern", kU8, many); }) ==
      "x: key 'gemma3.attention.sliding_window_pattern': expected an array of integers of 2 "
      "elements, found 1048576");

  const std::string tokens = std::to_string(kVocabulary - 2);
  BOOST_TEST(line("llama",
                  [&](GgufWriter& f) {
                    replaced(f, "tokenizer.ggml.token_type", [&](const std::string& name) {
                      f.array(name, kU8, std::vector<std::uint8_t>(1 << 20, 99));
                    });
                  }) == "x: key 'tokenizer.ggml.token_type': expected an array of integers of " + tokens +
                            " elements, found 1048576");
  BOOST_TEST(line("llama",
                  [&](GgufWriter& f) {
                    replaced(f, "tokenizer.ggml.scores", [&](const std::string& name) {
                      f.array(name, kF32, std::vector<float>(kVocabulary - 3));
                    });
                  }) == "x: key 'tokenizer.ggml.scores': expected an array of f32 of " + tokens +
                            " elements, found " + std::to_string(kVocabulary - 3));
  BOOST_TEST(line("llama",
                  [&](GgufWriter& f) {
                    replaced(f, "tokenizer.ggml.merges", [&](const std::string& name) {
                      Bytes empty = value(std::uint32_t{kString}, kMostMerges + 1);
                      empty.resize(empty.size() + (kMostMerges + 1) * 8);  // lengths of 0
                      f.raw(name, kArray, empty);
                    });
                  }) ==
             "x: key 'tokenizer.ggml.merges': expected an array of strings of 0 to 4194304 elements, "
             "found 4194305");
}

BOOST_AUTO_TEST_CASE(every_prefix_is_an_error_or_fine) {
  GgufWriter file = tiny("llama", 1);
  const Bytes whole = file.finish();
  std::size_t refused = 0, tried = 0;
  // Every byte of the header and of the end; in the data between them each is alike.
  for (std::size_t size = 0; size < whole.size();
       size += size < file.data_at + 64 || size + 2000 > whole.size() ? 1 : 997) {
    ++tried;
    // A copy of exactly that size, so that a sanitizer sees a byte too far.
    const auto copy = std::make_unique<std::byte[]>(size);
    std::memcpy(copy.get(), whole.data(), size);
    const auto read = gguf::File::parse({copy.get(), size}, "x");
    if (read)
      use(*read);
    else
      ++refused;
  }
  BOOST_TEST(refused == tried);  // the last tensor's last byte counts
  const auto read = gguf::File::parse(whole, "x");
  BOOST_REQUIRE(read.has_value());
  use(*read);
}

BOOST_AUTO_TEST_CASE(flipped_bytes_do_no_harm) {
  GgufWriter file = tiny("gemma3", 1);
  const Bytes whole = file.finish();
  Bytes bytes = whole;
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < file.data_at; ++i) {
    for (const unsigned flip : {0x01u, 0x80u, 0xffu}) {
      bytes[i] = whole[i] ^ std::byte(flip);
      if (const auto read = gguf::File::parse(bytes, "x"); read) use(*read), ++accepted;
    }
    bytes[i] = whole[i];
  }
  BOOST_TEST(accepted > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
