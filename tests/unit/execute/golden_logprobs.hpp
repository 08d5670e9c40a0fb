// Reads tests/golden/logprobs; README.md there has the form. Throws on a file that is not of it.
#pragma once

#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace serveloop::execute::cpu::test {

struct GoldenToken {
  std::uint32_t id;
  double logprob;
};

struct GoldenText {
  std::string name;
  std::vector<std::uint32_t> ids;
  std::vector<double> next;                     // [ids - 1]: of the text's next token
  std::vector<std::array<GoldenToken, 4>> top;  // [ids]: the most likely ones
};

class GoldenLogprobs {
 public:
  static std::vector<GoldenText> read(const std::string& path) {
    GoldenLogprobs file(path);
    std::vector<GoldenText> texts(file.number());
    for (GoldenText& text : texts) file.read(text);
    if (file.at_ != file.bytes_.size()) throw std::runtime_error(path + ": more than its texts");
    return texts;
  }

 private:
  explicit GoldenLogprobs(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    if (bytes_.empty()) throw std::runtime_error("cannot read " + path);
  }
  void read(GoldenText& text) {
    text.name.resize(number());
    for (char& c : text.name) c = bytes_.at(at_++);
    text.ids.resize(number());
    for (std::uint32_t& id : text.ids) id = number();
    for (std::size_t i = 0; i < text.ids.size(); ++i) {
      if (i + 1 < text.ids.size()) text.next.push_back(logprob());
      text.top.emplace_back();
      for (GoldenToken& token : text.top.back()) {
        token.id = number();
        token.logprob = logprob();
      }
    }
  }
  std::uint32_t number() {
    std::uint32_t value = 0;
    for (int shift = 0; shift < 32; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(bytes_.at(at_++));
      value |= std::uint32_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    throw std::runtime_error("golden log-probabilities: a number of more than 32 bits");
  }
  double logprob() { return -static_cast<double>(number()) / 65536; }

  std::string bytes_;
  std::size_t at_ = 0;
};

}  // namespace serveloop::execute::cpu::test
