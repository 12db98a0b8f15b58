#include "handlers/support/syscall_filter.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <utility>

namespace retire::handlers {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_AARCH64;
#elif defined(__i386__)
constexpr std::uint32_t kArch = AUDIT_ARCH_I386;
#elif defined(__arm__)
constexpr std::uint32_t kArch = AUDIT_ARCH_ARM;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr std::uint32_t kArch = AUDIT_ARCH_RISCV64;
#else
constexpr std::uint32_t kArch = 0;
#endif

// Not every processor has every call, nor every kernel's headers every name.
constexpr int kDenied[] = {
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept4,
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_clone,
    SYS_execveat,
    SYS_kill,
    SYS_tkill,
    SYS_tgkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_unlinkat,
    SYS_mkdirat,
    SYS_mknodat,
    SYS_linkat,
    SYS_symlinkat,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_truncate,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_utimensat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_setns,
    SYS_unshare,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_userfaultfd,
    SYS_memfd_create,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_acct,
    SYS_quotactl,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_shmget,
    SYS_msgget,
    SYS_semget,
    SYS_mq_open,
    SYS_mq_unlink,
#ifdef SYS_shmat
    SYS_shmat,
    SYS_shmctl,
    SYS_msgsnd,
    SYS_msgrcv,
    SYS_msgctl,
    SYS_semctl,
#endif
#ifdef SYS_semop
    SYS_semop,
#endif
#ifdef SYS_semtimedop
    SYS_semtimedop,
#endif
    SYS_personality,
    SYS_inotify_init1,
    SYS_fanotify_init,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_prctl,
    SYS_setpriority,
    SYS_ioprio_set,
    SYS_sched_setaffinity,
    SYS_sched_setattr,
    SYS_sched_setparam,
    SYS_sched_setscheduler,
    SYS_sync,
    SYS_syncfs,
    SYS_pipe2,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef SYS_renameat2
    SYS_renameat2,
#endif
#ifdef SYS_socketcall
    SYS_socketcall,
#endif
#ifdef SYS_ipc
    SYS_ipc,
#endif
#ifdef SYS_truncate64
    SYS_truncate64,
    SYS_ftruncate64,
#endif
#ifdef SYS_accept
    SYS_accept,
#endif
#ifdef SYS_fork
    SYS_fork,
#endif
#ifdef SYS_vfork
    SYS_vfork,
#endif
#ifdef SYS_creat
    SYS_creat,
#endif
#ifdef SYS_unlink
    SYS_unlink,
#endif
#ifdef SYS_rename
    SYS_rename,
#endif
#ifdef SYS_mkdir
    SYS_mkdir,
#endif
#ifdef SYS_rmdir
    SYS_rmdir,
#endif
#ifdef SYS_mknod
    SYS_mknod,
#endif
#ifdef SYS_link
    SYS_link,
#endif
#ifdef SYS_symlink
    SYS_symlink,
#endif
#ifdef SYS_chmod
    SYS_chmod,
#endif
#ifdef SYS_chown
    SYS_chown,
#endif
#ifdef SYS_lchown
    SYS_lchown,
#endif
#ifdef SYS_utime
    SYS_utime,
#endif
#ifdef SYS_utimes
    SYS_utimes,
#endif
#ifdef SYS_futimesat
    SYS_futimesat,
#endif
#ifdef SYS_pipe
    SYS_pipe,
#endif
#ifdef SYS_ioperm
    SYS_ioperm,
    SYS_iopl,
    SYS_modify_ldt,
#endif
#ifdef SYS_utimensat_time64
    SYS_utimensat_time64,
#endif
};

// From here on every processor has the same numbers, and the kernel may have calls that this file does not know: of
// these only what is named is let through. The C library does without them if the kernel has them not.
constexpr std::uint32_t kFirstOfNewCalls = 424;
constexpr std::uint32_t kPrivateCalls = 0x0f0000;              // of ARM, where thread-local storage is set up
constexpr std::uint32_t kNewAllowed[] = {436, 439, 441, 449};  // close_range, faccessat2, epoll_pwait2, futex_waitv

// Signals to whomever, sent by the kernel in our name when a pipe has something to say; and leases on files.
constexpr std::uint32_t kFcntlDenied[] = {F_SETOWN, F_SETSIG, 15 /* F_SETOWN_EX */, 1024 /* F_SETLEASE */};

constexpr std::uint32_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC;  // O_TMPFILE asks for write access too

class Filter {
 public:
  void load(std::size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
  void load_number() { load(offsetof(seccomp_data, nr)); }
  void load_argument(std::size_t index, bool high) {
    constexpr bool kLittle = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    load(offsetof(seccomp_data, args) + index * 8 + (high == kLittle ? 4 : 0));
  }
  void refuse(int error) { add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)); }
  void allow() { add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW); }
  // Goes on if equal; else skips so many instructions.
  void unless_equal_skip(std::uint32_t value, std::uint8_t skip) { add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip); }
  void skip_unless_any(std::uint32_t bits, std::uint8_t skip) { add(BPF_JMP | BPF_JSET | BPF_K, bits, 0, skip); }
  std::vector<sock_filter> take() { return std::move(code_); }

  void deny(int number, int error) {
    unless_equal_skip(static_cast<std::uint32_t>(number), 1);
    refuse(error);
  }
  void deny_writing(int number, std::size_t flags) {
    unless_equal_skip(static_cast<std::uint32_t>(number), 4);
    load_argument(flags, false);
    skip_unless_any(kWriting, 1);
    refuse(EPERM);
    allow();
  }
  void deny_argument(int number, std::size_t index, std::span<const std::uint32_t> values) {
    const auto count = static_cast<std::uint8_t>(values.size());
    unless_equal_skip(static_cast<std::uint32_t>(number), static_cast<std::uint8_t>(count + 3));
    load_argument(index, false);
    for (std::uint8_t i = 0; i < count; ++i) {
      add(BPF_JMP | BPF_JEQ | BPF_K, values[i], static_cast<std::uint8_t>(count - i), 0);
    }
    allow();
    refuse(EPERM);
  }
  void allow_only_own(int number) {  // a call whose first argument is a process: 0 is the one that calls
    unless_equal_skip(static_cast<std::uint32_t>(number), 4);
    load_argument(0, false);
    unless_equal_skip(0, 1);
    allow();
    refuse(EPERM);
  }
  void allow_only_path(int number, const char* path) {
    const auto place = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(path));
    unless_equal_skip(static_cast<std::uint32_t>(number), 6);
    load_argument(0, false);
    unless_equal_skip(static_cast<std::uint32_t>(place), 3);
    load_argument(0, true);
    unless_equal_skip(static_cast<std::uint32_t>(place >> 32), 1);
    allow();
    refuse(EPERM);
  }

  void add(int code, std::uint32_t k, std::uint8_t jump_true = 0, std::uint8_t jump_false = 0) {
    code_.push_back({static_cast<std::uint16_t>(code), jump_true, jump_false, k});
  }

 private:
  std::vector<sock_filter> code_;
};

}  // namespace

std::vector<sock_filter> computing_only(const char* program) {
  if (kArch == 0) return {};
  Filter filter;
  filter.load(offsetof(seccomp_data, arch));
  filter.add(BPF_JMP | BPF_JEQ | BPF_K, kArch, 1, 0);
  filter.refuse(EPERM);  // a call of another ABI, with numbers of its own
  filter.load_number();
#if defined(__x86_64__)
  filter.add(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);  // x32
  filter.refuse(EPERM);
#endif
  for (const int number : kDenied) filter.deny(number, EPERM);
  filter.add(BPF_JMP | BPF_JGE | BPF_K, kPrivateCalls, static_cast<std::uint8_t>(2 * std::size(kNewAllowed) + 2), 0);
  filter.add(BPF_JMP | BPF_JGE | BPF_K, kFirstOfNewCalls, 0, static_cast<std::uint8_t>(2 * std::size(kNewAllowed) + 1));
  for (const std::uint32_t number : kNewAllowed) {
    filter.unless_equal_skip(number, 1);
    filter.allow();
  }
  filter.refuse(ENOSYS);
  filter.deny(SYS_ioctl, ENOTTY);  // "no terminal", which is what programs ask
  filter.allow_only_own(SYS_prlimit64);
  filter.deny_argument(SYS_fcntl, 1, kFcntlDenied);
#ifdef SYS_fcntl64
  filter.deny_argument(SYS_fcntl64, 1, kFcntlDenied);
#endif
#ifdef SYS_open
  filter.deny_writing(SYS_open, 1);
#endif
  filter.deny_writing(SYS_openat, 2);
  filter.allow_only_path(SYS_execve, program);
  filter.allow();
  return filter.take();
}

}  // namespace retire::handlers
