// Whether the program runs under AddressSanitizer, several times slower: what does one thing very often does it less often
// there. Each thing is still done.
#pragma once

namespace serveloop::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kUnderAsan = true;
#else
inline constexpr bool kUnderAsan = false;
#endif

}  // namespace serveloop::test
