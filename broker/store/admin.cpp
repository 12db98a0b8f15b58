#include "broker/store/admin.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace retire::store {
namespace {

constexpr char kName[] = "admin.sock";
constexpr std::size_t kLineBytesMax = 8'192;

// By way of the directory's descriptor: a socket's address may have 107 bytes only, a data directory's path more.
sockaddr_un address_in(int directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + kName;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Error failed(const std::string& directory, const std::string& what) {
  return {ErrorCode::Io, directory + "/" + kName + " " + what + ": " + std::strerror(errno)};
}

// A peer that does not write or read for this long is not waited for.
void set_timeout(int descriptor, int option, int seconds) {
  const timeval time{.tv_sec = seconds, .tv_usec = 0};
  ::setsockopt(descriptor, SOL_SOCKET, option, &time, sizeof time);
}

bool write_line(int descriptor, std::string line) {
  line += "\n";
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t n = ::send(descriptor, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool read_line(int descriptor, std::string& line) {
  line.clear();
  while (line.size() < kLineBytesMax) {
    char byte = 0;
    const ssize_t n = ::recv(descriptor, &byte, 1, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    if (byte == '\n') return true;
    line += byte;
  }
  return false;
}

}  // namespace

Result<std::unique_ptr<AdminSocket>> AdminSocket::listen(const std::string& directory) {
  const int at = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (at < 0) return failed(directory, "cannot be made");
  ::unlinkat(at, kName, 0);  // of a former main; the data directory's lock says that there is no other
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const sockaddr_un address = address_in(at);
  if (listener < 0 || ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 4) != 0) {
    const Error error = failed(directory, "cannot be made");
    if (listener >= 0) ::close(listener);
    ::close(at);
    return error;
  }
  return std::unique_ptr<AdminSocket>(new AdminSocket(at, listener));
}

AdminSocket::~AdminSocket() {
  ::unlinkat(directory_, kName, 0);
  ::close(listener_);
  ::close(directory_);
}

void AdminSocket::serve(const std::function<std::string(const std::string& request)>& answer) {
  const int peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (peer < 0) return;
  set_timeout(peer, SO_RCVTIMEO, 2);
  set_timeout(peer, SO_SNDTIMEO, 2);
  std::string line;
  if (read_line(peer, line)) write_line(peer, answer(line));
  ::close(peer);
}

Result<std::string> ask_main(const std::string& directory, const std::string& request) {
  const int at = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (at < 0) return failed(directory, "cannot be reached");
  const int peer = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_in(at);
  const bool reached = peer >= 0 && ::connect(peer, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  std::string line;
  if (!reached) {
    const Error error{ErrorCode::Unreachable, failed(directory, "is not answered by the main that runs").detail};
    if (peer >= 0) ::close(peer);
    ::close(at);
    return error;
  }
  ::close(at);
  set_timeout(peer, SO_RCVTIMEO, 3600);
  const bool answered = write_line(peer, request) && read_line(peer, line);
  ::close(peer);
  if (!answered) return Error{ErrorCode::Unreachable, "main has ended without an answer"};
  if (line.starts_with("ok ")) return line.substr(3);
  return Error{ErrorCode::Io, line.starts_with("error ") ? line.substr(6) : line};
}

}  // namespace retire::store
