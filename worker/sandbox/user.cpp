#include "worker/sandbox/user.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace retire::sandbox {
namespace {

Error failed(const std::string& what) { return {ErrorCode::Io, what + ": " + std::strerror(errno)}; }

}  // namespace

Status drop_privileges(const Policy& policy) {
  if (policy.user != kNoUser) {
    const std::string name = "user " + std::to_string(policy.user);
    if (setgroups(0, nullptr) != 0) return failed(name + ": groups cannot be given up");
    if (setresgid(policy.group, policy.group, policy.group) != 0) return failed(name + ": group cannot be changed");
    if (setresuid(policy.user, policy.user, policy.user) != 0) return failed(name + " cannot be become");
    if (setresuid(0, 0, 0) == 0) return Error{ErrorCode::Internal, name + ": root can be had back"};
  }
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    prctl(PR_CAPBSET_DROP, capability);  // fails where there is none to drop it with, and then none to be had either
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capset, &header, none) != 0) return failed("capabilities cannot be given up");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("no_new_privs");
  return ok_status();
}

}  // namespace retire::sandbox
