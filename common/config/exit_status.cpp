#include "common/config/exit_status.hpp"

namespace retire::config {

Exit exit_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::Malformed:
    case ErrorCode::Invalid:
    case ErrorCode::TooLarge: return Exit::Usage;
    case ErrorCode::Configuration: return Exit::Configuration;
    case ErrorCode::Unreachable: return Exit::Unreachable;
    case ErrorCode::NotLetIn: return Exit::NotLetIn;
    case ErrorCode::NotFound: return Exit::NotFound;
    case ErrorCode::NotPermitted: return Exit::NotPermitted;
    case ErrorCode::TimedOut: return Exit::TimedOut;
    default: return Exit::Failed;
  }
}

}  // namespace retire::config
