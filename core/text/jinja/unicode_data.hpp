// Tables of Unicode properties and case, as Python has them. Threads: constants.
#pragma once

#include <cstddef>
#include <cstdint>

namespace serveloop::text::jinja::unicode {

struct Range {
  std::uint32_t first, last;
};
struct CaseRun {  // first, first + step, ... last map to themselves + delta
  std::uint32_t first, last, step;
  std::int32_t delta;
};
struct CaseSpecial {  // maps to other than one character, or otherwise than the usual table says
  std::uint32_t code;
  const char* utf8;
};

// NOLINTBEGIN(readability-identifier-naming): constants, defined elsewhere
extern const Range kPrintable[], kAlpha[], kDigit[], kNumeric[], kLower[], kUpper[];
extern const std::size_t kPrintableCount, kAlphaCount, kDigitCount, kNumericCount, kLowerCount, kUpperCount;
extern const CaseRun kToLower[], kToUpper[];
extern const std::size_t kToLowerCount, kToUpperCount;
extern const CaseSpecial kLowerSpecial[], kUpperSpecial[], kTitleSpecial[];
extern const std::size_t kLowerSpecialCount, kUpperSpecialCount, kTitleSpecialCount;
// NOLINTEND(readability-identifier-naming)

}  // namespace serveloop::text::jinja::unicode
