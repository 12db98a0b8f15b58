// RC_ASSERT: a mistake of ours, never of a peer or a user. Checked in release builds too: a broker that has lost track
// of its own state must stop before it promises anything more.
#pragma once

namespace retire {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;
}

#define RC_ASSERT(expression) \
  (static_cast<bool>(expression) ? void(0) : ::retire::assertion_failed(#expression, __FILE__, __LINE__))
