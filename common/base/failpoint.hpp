// Places where a test may have the process end as by kill -9, at moments that chance would seldom hit. They are always
// compiled in, so that what is tested is what is shipped; one that is not armed costs a relaxed load.
//
// Threads: any may pass; armed once, before there is more than one.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "common/base/result.hpp"

namespace retire {

enum class Failpoint : std::uint8_t {
  None,
#define RC_FAILPOINT(name, wire) name,
#include "common/base/failpoints.def"
#undef RC_FAILPOINT
};

// `text`: NAME=kill@N, the name as in failpoints.def: the process ends by SIGKILL when it passes there for the Nth
// time, from 1. Only the last one that was armed counts. Errors: Configuration, naming what is wrong.
Status arm_failpoint(std::string_view text);

namespace detail {
extern std::atomic<Failpoint> armed_failpoint;
void pass_failpoint();
}  // namespace detail

inline void failpoint(Failpoint point) {
  if (detail::armed_failpoint.load(std::memory_order_relaxed) == point) [[unlikely]]
    detail::pass_failpoint();
}

}  // namespace retire
