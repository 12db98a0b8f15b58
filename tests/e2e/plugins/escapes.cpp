// A plugin that tries to get out of its sandbox. Payload: {"agent": PID, "data": FILE of the worker, "plugin": FILE,
// "socket": name of an abstract socket, "port": number of a listening port}. Result: {NAME: what came of it}, where
// that is "open" or "refused: ERRNO text", for each way out.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <retire_cluster/plugin.hpp>
#include <string>
#include <utility>
#include <vector>

namespace rc = retire_cluster;

// Each way out is tried in a process of its own.
RC_PLUGIN_MANIFEST(R"({"needs": {"subprocess": true}})");

namespace {

struct Target {
  pid_t agent = 0;
  std::string data;
  std::string plugin;
  std::string socket;
  int port = 0;
};

// True when it worked; else false, with errno.
using Attempt = std::function<bool()>;

bool opens(const std::string& path, int flags) {
  const int file = open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (file >= 0) close(file);
  return file >= 0;
}
// What was made by mistake is taken away again.
bool makes(const std::string& path) {
  if (!opens(path, O_CREAT | O_EXCL | O_WRONLY)) return false;
  unlink(path.c_str());
  return true;
}
bool calls(long result) { return result >= 0; }

bool raises(int resource, rlim_t to) {
  const auto which = static_cast<__rlimit_resource_t>(resource);
  rlimit limit{to, to};
  return setrlimit(which, &limit) == 0;
}
bool has_socket(int family, int type, int protocol) {
  const int made = socket(family, type, protocol);
  if (made >= 0) close(made);
  return made >= 0;
}
bool reaches(int family, const sockaddr* address, socklen_t size) {
  const int from = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (from < 0) return false;
  const bool connected = connect(from, address, size) == 0;
  const int error = errno;
  close(from);
  errno = error;
  return connected;
}
bool reaches_abstract(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  return reaches(AF_UNIX, reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size()));
}
bool reaches_port(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return reaches(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}
bool reads_memory_of(pid_t pid) {
  char byte = 0;
  const iovec local{&byte, 1};
  const iovec remote{reinterpret_cast<void*>(0x400000), 1};
  const bool read = process_vm_readv(pid, &local, 1, &remote, 1, 0) >= 0;
  return read || errno == EFAULT;  // it may, and there is nothing at that place
}
bool sets_clock() {
  timeval now{};
  gettimeofday(&now, nullptr);
  return settimeofday(&now, nullptr) == 0;
}
bool joins_namespace() {
  const int file = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
  return file >= 0 && setns(file, 0) == 0;
}
bool marks_suid() {
  const std::string name = "suid-file";
  if (!opens(name, O_CREAT | O_WRONLY)) return false;
  return chmod(name.c_str(), 04755) == 0;
}
bool measures_kernel() {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  return calls(syscall(SYS_perf_event_open, &attributes, -1, 0, -1, 0));
}

// A file of the control group of this process, or of the top of them.
std::string group_file(const std::string& name, bool of_top) {
  const std::string unified = "/sys/fs/cgroup/unified";
  std::string at = access(unified.c_str(), F_OK) == 0 ? unified : "/sys/fs/cgroup";
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; !of_top && std::getline(groups, line);) {
    if (line.starts_with("0::")) at += line.substr(3);
  }
  return at + "/" + name;
}
bool leaves_group() {
  const int file = open(group_file("cgroup.procs", true).c_str(), O_WRONLY | O_CLOEXEC);
  return file >= 0 && write(file, "0", 1) == 1;
}
bool loosens_group() {
  for (const char* name : {"memory.max", "pids.max", "cgroup.max.descendants"}) {
    const std::string file = group_file(name, false);
    if (opens(file, O_WRONLY) || chmod(file.c_str(), 0666) == 0) return true;
    if (errno != ENOENT) return false;
  }
  return false;
}

std::vector<std::pair<std::string, Attempt>> ways(const Target& at) {
  const std::string agent = "/proc/" + std::to_string(at.agent);
  const std::string plugins = at.plugin.substr(0, at.plugin.rfind('/'));
  return {
      {"trace_agent", [=] { return calls(ptrace(PTRACE_SEIZE, at.agent, nullptr, nullptr)); }},
      {"trace_supervisor", [=] { return calls(ptrace(PTRACE_SEIZE, getppid(), nullptr, nullptr)); }},
      {"read_agent_memory", [=] { return reads_memory_of(at.agent); }},
      {"open_agent_memory", [=] { return opens(agent + "/mem", O_RDONLY); }},
      {"read_agent_environment", [=] { return opens(agent + "/environ", O_RDONLY); }},
      {"signal_agent", [=] { return kill(at.agent, 0) == 0; }},
      {"limit_agent",
       [=] {
         rlimit now{};
         return prlimit(at.agent, RLIMIT_CORE, nullptr, &now) == 0 &&
                prlimit(at.agent, RLIMIT_CORE, &now, nullptr) == 0;
       }},
      {"see_agent", [=] { return opens(agent + "/cmdline", O_RDONLY); }},
      {"inherit_token", [] { return errno = EACCES, std::getenv("RETIRE_CLUSTER_TOKEN") != nullptr; }},
      {"read_worker_data", [=] { return opens(at.data, O_RDONLY); }},
      {"write_worker_data", [=] { return opens(at.data, O_WRONLY); }},
      {"chmod_worker_data", [=] { return chmod(at.data.c_str(), 0600) == 0; }},
      {"write_plugin", [=] { return opens(at.plugin, O_WRONLY); }},
      {"add_plugin", [=] { return makes(plugins + "/added.so"); }},
      {"write_etc", [] { return makes("/etc/retire-cluster-escape"); }},
      {"write_usr", [] { return makes("/usr/retire-cluster-escape"); }},
      {"write_var", [] { return makes("/var/retire-cluster-escape"); }},
      {"list_root", [] { return opens("/", O_RDONLY | O_DIRECTORY); }},
      {"read_root_home", [] { return opens("/root", O_RDONLY | O_DIRECTORY) && opens("/root/.bashrc", O_RDONLY); }},
      {"read_shadow", [] { return opens("/etc/shadow", O_RDONLY); }},
      {"read_passwd", [] { return opens("/etc/passwd", O_RDONLY); }},
      {"open_kernel_memory", [] { return opens("/dev/mem", O_RDONLY); }},
      {"open_kernel_log", [] { return opens("/dev/kmsg", O_RDONLY); }},
      {"open_sysrq", [] { return opens("/proc/sysrq-trigger", O_WRONLY); }},
      {"set_core_pattern", [] { return opens("/proc/sys/kernel/core_pattern", O_WRONLY); }},
      {"escape_oom_killer", [] { return opens("/proc/self/oom_score_adj", O_WRONLY); }},
      {"make_cgroup", [] { return mkdir(group_file("escape", false).c_str(), 0700) == 0; }},
      {"leave_cgroup", leaves_group},
      {"loosen_cgroup", loosens_group},
      {"mount", [] { return mount("none", ".", "tmpfs", 0, nullptr) == 0; }},
      {"unmount", [] { return umount2("/proc/sys/fs/binfmt_misc", MNT_EXPIRE) == 0; }},
      {"chroot", [] { return chroot(".") == 0; }},
      {"pivot_root", [] { return calls(syscall(SYS_pivot_root, ".", ".")); }},
      {"unshare_user", [] { return unshare(CLONE_NEWUSER) == 0; }},
      {"unshare_mounts", [] { return unshare(CLONE_NEWNS) == 0; }},
      {"clone_user_namespace",
       [] {
         const long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
         if (child == 0) _exit(0);
         return child > 0;
       }},
      {"join_namespace", joins_namespace},
      {"load_module", [] { return calls(syscall(SYS_finit_module, 0, "", 0)); }},
      {"load_kernel", [] { return calls(syscall(SYS_kexec_load, 0, 0, nullptr, 0)); }},
      {"bpf", [] { return calls(syscall(SYS_bpf, 5, nullptr, 0)); }},
      {"measure_kernel", measures_kernel},
      {"userfaultfd", [] { return calls(syscall(SYS_userfaultfd, 0)); }},
      {"io_uring",
       [] {
         char parameters[256] = {};
         return calls(syscall(SYS_io_uring_setup, 4, parameters));
       }},
      {"add_key", [] { return calls(syscall(SYS_add_key, "user", "rc", "x", 1, -3)); }},
      {"read_keys", [] { return calls(syscall(SYS_keyctl, 0, -3, 1, 0, 0)); }},
      {"kernel_log", [] { return calls(syscall(SYS_syslog, 10, nullptr, 0)); }},
      {"reboot",
       [] { return calls(syscall(SYS_reboot, 0, 0, 0, nullptr)) || errno == EINVAL; }},  // with a wrong magic number
      {"set_clock", sets_clock},
      {"set_hostname", [] { return sethostname("x", 1) == 0; }},
      {"swap", [] { return swapoff("/nonexistent") == 0 || errno == ENOENT; }},
      {"accounting", [] { return acct("/nonexistent") == 0 || errno == ENOENT; }},
      {"open_by_handle", [] { return calls(syscall(SYS_open_by_handle_at, -1, nullptr, 0)) || errno == EFAULT; }},
      {"become_root", [] { return setuid(0) == 0; }},
      {"become_group_root", [] { return setgid(0) == 0; }},
      {"make_suid_file", marks_suid},
      {"make_device", [] { return mknod("disk", S_IFBLK | 0600, 0x0800) == 0; }},
      {"raise_open_files", [] { return raises(RLIMIT_NOFILE, 100'000); }},
      {"raise_memory", [] { return raises(RLIMIT_DATA, RLIM_INFINITY); }},
      {"raise_processes", [] { return raises(RLIMIT_NPROC, RLIM_INFINITY); }},
      {"dump_core", [] { return raises(RLIMIT_CORE, RLIM_INFINITY); }},
      {"gather_orphans", [] { return prctl(PR_SET_CHILD_SUBREAPER, 1) == 0; }},
      {"type_into_terminal",
       [] {
         char letter = 'x';
         return ioctl(STDIN_FILENO, TIOCSTI, &letter) == 0 || errno == ENOTTY;
       }},
      {"packet_socket", [] { return has_socket(AF_PACKET, SOCK_RAW, 0); }},
      {"raw_socket", [] { return has_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }},
      {"crypto_socket", [] { return has_socket(AF_ALG, SOCK_SEQPACKET, 0); }},
      {"vm_socket", [] { return has_socket(AF_VSOCK, SOCK_STREAM, 0); }},
      {"abstract_socket", [=] { return reaches_abstract(at.socket); }},
      {"local_network", [=] { return reaches_port(at.port); }},
  };
}

// Each in a process of its own, so that what one changes is not there for the next.
std::string outcome_of(const Attempt& attempt) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    errno = 0;
    const int result = attempt() ? 0 : errno;
    _exit(write(ends[1], &result, sizeof result) == sizeof result ? 0 : 1);
  }
  close(ends[1]);
  int result = -1;
  const bool told = read(ends[0], &result, sizeof result) == sizeof result;
  close(ends[0]);
  waitpid(child, nullptr, 0);
  if (!told) return "died";
  const char* name = strerrorname_np(result);
  return result == 0 ? "open" : "refused: " + std::string(name == nullptr ? "?" : name);
}

std::map<std::string, std::string> try_all(const msgpack::object& payload) {
  std::map<std::string, msgpack::object> told;
  payload.convert(told);
  const Target at{told.at("agent").as<pid_t>(), told.at("data").as<std::string>(), told.at("plugin").as<std::string>(),
                  told.at("socket").as<std::string>(), told.at("port").as<int>()};
  std::map<std::string, std::string> out;
  for (const auto& [name, attempt] : ways(at)) out[name] = outcome_of(attempt);
  return out;
}

}  // namespace

RC_PLUGIN("escapes", "1", rc::handler("escape", "Tries to get out", [](const msgpack::object& payload, rc::Context&) {
            return try_all(payload);
          }));
