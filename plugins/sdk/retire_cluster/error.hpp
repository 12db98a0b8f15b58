// What a handler throws. Any other exception is a failure too, one that is retried.
#pragma once

#include <stdexcept>
#include <string>

namespace retire_cluster {

// No other attempt can do better: the task fails at once, without a retry.
class PermanentError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The payload makes no sense to this handler; the message names the field.
class PayloadError : public PermanentError {
 public:
  using PermanentError::PermanentError;
};

// The handler gave up because the attempt was cancelled.
class Cancelled : public std::exception {
 public:
  const char* what() const noexcept override { return "cancelled"; }
};

}  // namespace retire_cluster
