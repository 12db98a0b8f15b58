#include "worker/host/shared_page.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace retire::host {
namespace {
// MFD_NOEXEC_SEAL, of Linux 6.3; some of the kernels since refuse a memfd without it where vm.memfd_noexec is 2.
constexpr unsigned kNeverExecuted = 8;

Error io_error(const char* what) { return {ErrorCode::Io, std::string(what) + ": " + std::strerror(errno)}; }
}  // namespace

Result<PageMapping> PageMapping::create() {
  int descriptor = memfd_create("retire-cluster-host", MFD_CLOEXEC | kNeverExecuted);
  if (descriptor < 0 && errno == EINVAL) descriptor = memfd_create("retire-cluster-host", MFD_CLOEXEC);
  if (descriptor < 0) return io_error("memfd_create");
  if (ftruncate(descriptor, sizeof(SharedPage)) != 0) {
    const Error error = io_error("shared memory for a handler process");
    close(descriptor);
    return error;
  }
  void* address = mmap(nullptr, sizeof(SharedPage), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED) {
    const Error error = io_error("shared memory for a handler process");
    close(descriptor);
    return error;
  }
  return PageMapping(new (address) SharedPage, descriptor);
}

Result<PageMapping> PageMapping::map(int descriptor) {
  void* address = mmap(nullptr, sizeof(SharedPage), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED) return io_error("the shared memory cannot be mapped");
  close(descriptor);
  return PageMapping(static_cast<SharedPage*>(address), -1);
}

PageMapping::PageMapping(PageMapping&& other) noexcept
    : page_(std::exchange(other.page_, nullptr)), descriptor_(std::exchange(other.descriptor_, -1)) {}

PageMapping::~PageMapping() {
  close_descriptor();
  if (page_ != nullptr) munmap(page_, sizeof(SharedPage));
}

void PageMapping::close_descriptor() {
  if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
}

void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t value, std::chrono::nanoseconds timeout) {
  const timespec relative{static_cast<time_t>(timeout.count() / 1'000'000'000),
                          static_cast<long>(timeout.count() % 1'000'000'000)};
  // Not FUTEX_PRIVATE_FLAG: the word is shared between processes.
  syscall(SYS_futex, &word, FUTEX_WAIT, value, timeout.count() < 0 ? nullptr : &relative, nullptr, 0);
}

void futex_wake(const std::atomic<std::uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace retire::host
