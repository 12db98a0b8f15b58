#include "worker/sandbox/syscall_filter.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "worker/sandbox/descriptors.hpp"

namespace retire::sandbox {
namespace {

// By name, as not every library knows each: what this one does not know, it cannot refuse.
constexpr const char* kRefused[] = {
    // looking into and steering other processes
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp", "perf_event_open",
    // the tree of files
    "mount", "umount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    "pivot_root", "chroot", "swapon", "swapoff", "quotactl", "quotactl_fd", "open_by_handle_at", "name_to_handle_at",
    "fanotify_init", "acct",
    // namespaces
    "unshare", "setns",
    // the kernel itself
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "bpf",
    "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "add_key", "request_key", "keyctl",
    "syslog", "lookup_dcookie", "vmsplice", "iopl", "ioperm", "modify_ldt", "uselib", "nfsservctl", "_sysctl", "sysfs",
    // the machine
    "reboot", "settimeofday", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex",
    "stime", "sethostname", "setdomainname", "vhangup", "mbind", "migrate_pages", "move_pages", "set_mempolicy"};

// With these a process makes another, or becomes another program.
constexpr const char* kStarting[] = {"execve", "execveat", "fork", "vfork"};

// Kinds of sockets with much kernel behind them and no use for a handler. Unix, IP and netlink (which getaddrinfo() and
// getifaddrs() need) stay.
constexpr int kFamiliesRefused[] = {AF_PACKET, AF_ALG,  AF_VSOCK, AF_BLUETOOTH, AF_CAN,   AF_TIPC,   AF_KCM, AF_RDS,
                                    AF_NFC,    AF_X25,  AF_AX25,  AF_ATMPVC,    AF_IPX,   AF_KEY,    AF_XDP, AF_QIPCRTR,
                                    AF_IB,     AF_IUCV, AF_LLC,   AF_APPLETALK, AF_PPPOX, AF_WANPIPE};

constexpr std::uint64_t kNamespaces[] = {CLONE_NEWNS,  CLONE_NEWUSER, CLONE_NEWPID,   CLONE_NEWNET,
                                         CLONE_NEWIPC, CLONE_NEWUTS,  CLONE_NEWCGROUP};

struct Filter {
  scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
  int error = 0;
  Filter() = default;
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;
  ~Filter() {
    if (context != nullptr) seccomp_release(context);
  }

  void refuse(const char* name, std::initializer_list<scmp_arg_cmp> when = {}, int with = EPERM) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || error != 0) return;
    const int result =
        seccomp_rule_add_array(context, SCMP_ACT_ERRNO(static_cast<unsigned>(with)), number,
                               static_cast<unsigned>(when.size()), when.size() == 0 ? nullptr : when.begin());
    // -EDOM, -EEXIST: this architecture has no such call, or it is refused already.
    if (result != 0 && result != -EDOM && result != -EEXIST) error = -result;
  }
};

scmp_arg_cmp has_bits(unsigned argument, std::uint64_t bits) { return {argument, SCMP_CMP_MASKED_EQ, bits, bits}; }
scmp_arg_cmp lacks_bits(unsigned argument, std::uint64_t bits) { return {argument, SCMP_CMP_MASKED_EQ, bits, 0}; }
// The lower half only: the kernel does not look at the upper one of these.
scmp_arg_cmp is(unsigned argument, std::uint64_t value) { return {argument, SCMP_CMP_MASKED_EQ, 0xffffffff, value}; }

}  // namespace

Status filter_syscalls(Subprocesses subprocesses) {
  Filter filter;
  if (filter.context == nullptr) return Error{ErrorCode::Io, "seccomp: no filter can be made"};
  for (const char* name : kRefused) filter.refuse(name);
  for (const std::uint64_t flag : kNamespaces) filter.refuse("clone", {has_bits(0, flag)});
  filter.refuse("clone3", {}, ENOSYS);
  if (subprocesses == Subprocesses::Refused) {
    for (const char* name : kStarting) filter.refuse(name);
    filter.refuse("clone", {lacks_bits(0, CLONE_THREAD)});
  }
  for (const int family : kFamiliesRefused) filter.refuse("socket", {is(0, static_cast<std::uint64_t>(family))});
  // Typing into a terminal on behalf of who owns it.
  filter.refuse("ioctl", {is(1, TIOCSTI)});
  filter.refuse("ioctl", {is(1, TIOCLINUX)});
  // Files that make whoever runs them this user.
  for (const std::uint64_t bit : {std::uint64_t{S_ISUID}, std::uint64_t{S_ISGID}}) {
    filter.refuse("chmod", {has_bits(1, bit)});
    filter.refuse("fchmod", {has_bits(1, bit)});
    filter.refuse("fchmodat", {has_bits(2, bit)});
    filter.refuse("mknod", {has_bits(1, bit)});
    filter.refuse("mknodat", {has_bits(2, bit)});
    filter.refuse("creat", {has_bits(1, bit)});
    filter.refuse("open", {has_bits(1, O_CREAT), has_bits(2, bit)});
    filter.refuse("openat", {has_bits(2, O_CREAT), has_bits(3, bit)});
  }
  if (!can_refuse_descriptors()) filter.refuse("setsockopt", {is(1, SOL_SOCKET), is(2, SO_LINGER)});
  filter.refuse("openat2", {}, ENOSYS);  // its mode lies in memory
  filter.refuse("fchmodat2", {}, ENOSYS);
  // Limits of other processes of this user, which are the worker's own where it is not root. Reading them is nobody's
  // harm.
  filter.refuse("prlimit64", {{0, SCMP_CMP_NE, 0, 0}, {2, SCMP_CMP_NE, 0, 0}});
  // Orphans come to the host, which ends them; nobody else is to gather them.
  filter.refuse("prctl", {is(0, PR_SET_CHILD_SUBREAPER)});

  if (filter.error == 0)
    filter.error = -seccomp_attr_set(filter.context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
  if (filter.error == 0) filter.error = -seccomp_attr_set(filter.context, SCMP_FLTATR_CTL_SSB, 1);  // no slower memory
  if (filter.error == 0) seccomp_attr_set(filter.context, SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree; 1 where it is old
  if (filter.error == 0) filter.error = -seccomp_load(filter.context);
  if (filter.error != 0) return Error{ErrorCode::Io, std::string("seccomp: ") + std::strerror(filter.error)};
  return ok_status();
}

}  // namespace retire::sandbox
