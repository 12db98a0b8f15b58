#include "common/base/failpoint.hpp"

#include <charconv>
#include <csignal>
#include <string>

namespace retire {
namespace {

struct Named {
  Failpoint point;
  std::string_view name;
};
constexpr Named kFailpoints[] = {
#define RC_FAILPOINT(name, wire) {Failpoint::name, wire},
#include "common/base/failpoints.def"
#undef RC_FAILPOINT
};

std::atomic<std::uint64_t> passes_left = 0;

}  // namespace

namespace detail {

std::atomic<Failpoint> armed_failpoint = Failpoint::None;

void pass_failpoint() {
  if (passes_left.fetch_sub(1) == 1) std::raise(SIGKILL);
}

}  // namespace detail

Status arm_failpoint(std::string_view text) {
  const auto refuse = [&](const std::string& why) {
    return Error{ErrorCode::Configuration, "the failpoint \"" + std::string(text) + "\" " + why};
  };
  constexpr std::string_view kAction = "=kill@";
  const std::size_t action = text.find(kAction);
  if (action == std::string_view::npos) return refuse("is not of the form NAME=kill@N");
  const std::string_view name = text.substr(0, action);
  const std::string_view count = text.substr(action + kAction.size());
  std::uint64_t passes = 0;
  const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), passes);
  if (error != std::errc() || end != count.data() + count.size() || passes == 0) {
    return refuse("must end with a number from 1");
  }
  std::string known;
  for (const Named& one : kFailpoints) {
    if (one.name == name) {
      passes_left = passes;
      detail::armed_failpoint = one.point;
      return ok_status();
    }
    known += (known.empty() ? "" : ", ") + std::string(one.name);
  }
  return refuse("names none of " + known);
}

}  // namespace retire
