#include "text/jinja/unicode.hpp"

#include <algorithm>

#include "text/jinja/unicode_data.hpp"

namespace serveloop::text::jinja::unicode {

namespace {

bool within(const Range* table, std::size_t count, std::uint32_t code) {
  const Range* after = std::upper_bound(table, table + count, code,
                                        [](std::uint32_t c, const Range& r) { return c < r.first; });
  return after != table && code <= after[-1].last;
}

const char* special(const CaseSpecial* table, std::size_t count, std::uint32_t code) {
  const CaseSpecial* found = std::lower_bound(
      table, table + count, code, [](const CaseSpecial& s, std::uint32_t c) { return s.code < c; });
  return found != table + count && found->code == code ? found->utf8 : nullptr;
}

std::uint32_t mapped(const CaseRun* table, std::size_t count, std::uint32_t code) {
  const CaseRun* after = std::upper_bound(table, table + count, code,
                                          [](std::uint32_t c, const CaseRun& r) { return c < r.first; });
  if (after == table) return code;
  const CaseRun& run = after[-1];
  if (code <= run.last && (code - run.first) % run.step == 0)
    return static_cast<std::uint32_t>(static_cast<std::int64_t>(code) + run.delta);
  return code;
}

bool is_cased(std::uint32_t code) {
  if (code < 0x80) return (code | 0x20) >= 'a' && (code | 0x20) <= 'z';
  return is_lower(code) || is_upper(code) || special(kTitleSpecial, kTitleSpecialCount, code) != nullptr;
}

enum class Case : std::uint8_t { lower, upper, title };

void append_cased(std::string& out, std::string_view text, std::size_t offset, Character c, Case to) {
  if (c.code == kInvalid) {
    out += text[offset];
    return;
  }
  if (c.code < 0x80) {
    const auto letter = static_cast<char>(c.code | 0x20);
    const bool is_letter = letter >= 'a' && letter <= 'z';
    out += static_cast<char>(!is_letter ? c.code : to == Case::lower ? c.code | 0x20 : c.code & ~0x20u);
    return;
  }
  const char* found = nullptr;
  if (to == Case::title) found = special(kTitleSpecial, kTitleSpecialCount, c.code);
  if (found == nullptr && to != Case::lower) found = special(kUpperSpecial, kUpperSpecialCount, c.code);
  if (to == Case::lower) found = special(kLowerSpecial, kLowerSpecialCount, c.code);
  if (found != nullptr) {
    out += found;
  } else {
    append(out, to == Case::lower ? mapped(kToLower, kToLowerCount, c.code)
                                  : mapped(kToUpper, kToUpperCount, c.code));
  }
}

constexpr std::uint32_t kSigma = 0x3a3, kFinalSigma = 0x3c2;

// Whether a capital sigma is written in its final form: a cased letter before, none after.
bool ends_word(std::string_view text, std::size_t offset, bool cased_before) {
  const std::size_t next = offset + at(text, offset).bytes;
  return cased_before && (next >= text.size() || !is_cased(at(text, next).code));
}

std::string change(std::string_view text, Case first, Case others, bool each_word) {
  std::string out;
  out.reserve(text.size());
  bool cased_before = false, start = true;
  for (std::size_t offset = 0; offset < text.size();) {
    const Character c = at(text, offset);
    const Case to = (each_word ? !cased_before : start) ? first : others;
    if (to == Case::lower && c.code == kSigma && ends_word(text, offset, cased_before)) {
      append(out, kFinalSigma);
    } else {
      append_cased(out, text, offset, c, to);
    }
    cased_before = is_cased(c.code);
    start = false;
    offset += c.bytes;
  }
  return out;
}

template <class Drop>
std::string_view without_left(std::string_view text, Drop drop) {
  while (!text.empty()) {
    const Character c = at(text, 0);
    if (!drop(text.substr(0, c.bytes), c.code)) break;
    text.remove_prefix(c.bytes);
  }
  return text;
}

template <class Drop>
std::string_view without_right(std::string_view text, Drop drop) {
  while (!text.empty()) {
    std::size_t start = text.size() - 1;
    for (int back = 0; back < 3 && start > 0 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80;
         ++back)
      --start;
    Character c = at(text, start);
    if (start + c.bytes != text.size()) {
      start = text.size() - 1;
      c = {};
      c.code = kInvalid;
    }
    if (!drop(text.substr(start), c.code)) break;
    text = text.substr(0, start);
  }
  return text;
}

}  // namespace

Character at(std::string_view text, std::size_t offset) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[offset + i]));
  };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::uint32_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - offset < bytes) return {kInvalid, 1};
  std::uint32_t code = lead & (0x7fu >> bytes);
  for (std::uint32_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {kInvalid, 1};
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool too_long = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  if (too_long || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {kInvalid, 1};
  return {code, bytes};
}

void append(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

bool ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::size_t length(std::string_view text) {
  if (ascii(text)) return text.size();
  std::size_t count = 0;
  for (std::size_t offset = 0; offset < text.size(); ++count) offset += at(text, offset).bytes;
  return count;
}

std::size_t offset_of(std::string_view text, std::size_t character) {
  std::size_t offset = 0;
  for (; character > 0 && offset < text.size(); --character) offset += at(text, offset).bytes;
  return offset;
}

bool is_space(std::uint32_t code) {
  if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13) || (code >= 0x1c && code <= 0x1f);
  return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
         code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

bool is_printable(std::uint32_t code) {
  if (code < 0x7f) return code >= 0x20;
  return within(kPrintable, kPrintableCount, code);
}
bool is_alpha(std::uint32_t code) { return within(kAlpha, kAlphaCount, code); }
bool is_digit(std::uint32_t code) { return within(kDigit, kDigitCount, code); }
bool is_numeric(std::uint32_t code) { return is_digit(code) || within(kNumeric, kNumericCount, code); }
bool is_lower(std::uint32_t code) { return within(kLower, kLowerCount, code); }
bool is_upper(std::uint32_t code) { return within(kUpper, kUpperCount, code); }

std::string lower(std::string_view text) { return change(text, Case::lower, Case::lower, false); }
std::string upper(std::string_view text) { return change(text, Case::upper, Case::upper, false); }
std::string capitalize(std::string_view text) { return change(text, Case::title, Case::lower, false); }
std::string title(std::string_view text) { return change(text, Case::title, Case::lower, true); }

std::string_view strip_left(std::string_view text) {
  return without_left(text, [](std::string_view, std::uint32_t code) { return is_space(code); });
}
std::string_view strip_right(std::string_view text) {
  return without_right(text, [](std::string_view, std::uint32_t code) { return is_space(code); });
}
std::string_view strip_left(std::string_view text, std::string_view drop) {
  return without_left(text, [&](std::string_view c, std::uint32_t) { return drop.find(c) != drop.npos; });
}
std::string_view strip_right(std::string_view text, std::string_view drop) {
  return without_right(text, [&](std::string_view c, std::uint32_t) { return drop.find(c) != drop.npos; });
}

std::size_t line_break(std::string_view text, std::size_t offset) {
  const Character c = at(text, offset);
  if (c.code == '\r') return offset + 1 < text.size() && text[offset + 1] == '\n' ? 2 : 1;
  const bool breaks = (c.code >= 10 && c.code <= 12) || (c.code >= 0x1c && c.code <= 0x1e) ||
                      c.code == 0x85 || c.code == 0x2028 || c.code == 0x2029;
  return breaks ? c.bytes : 0;
}

}  // namespace serveloop::text::jinja::unicode
