// How a program ends: the numbers that scripts rely on.
#pragma once

#include "common/base/result.hpp"

namespace retire::config {

enum class Exit : int {
  Ok = 0,
  Failed = 1,         // the task waited for did not end in success, or anything not below
  Usage = 2,          // wrong flags or arguments, or a payload that is not JSON
  Configuration = 3,  // a wrong configuration file or environment variable
  Unreachable = 4,    // main not reached within --connect-timeout
  NotLetIn = 5,       // no credential, or a wrong one
  NotFound = 6,       // no such task or device
  NotPermitted = 7,   // not for this role
  TimedOut = 8        // the time given for waiting is over
};

// The status with which a program ends that gives up because of `code`.
Exit exit_status(ErrorCode code);

}  // namespace retire::config
