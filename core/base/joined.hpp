// Words in one line of text.
#pragma once

#include <string>
#include <vector>

namespace serveloop {

// "a, b"; `none` where there are no words. Not fmt::join(): with it GCC 12 at -O3 warns falsely of an overflow inside fmt 9.
inline std::string joined(const std::vector<std::string>& words, const char* none = "") {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return words.empty() ? none : out;
}

}  // namespace serveloop
