#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "broker/store/engine.hpp"
#include "common/base/assert.hpp"
#include "common/base/failpoint.hpp"

namespace retire::store {
namespace {

constexpr std::size_t kSparesMax = 4;
constexpr std::size_t kSpareBytesMax = std::size_t{16} << 20;

}  // namespace

Bell::Bell() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { RC_ASSERT(descriptor_ >= 0); }
Bell::~Bell() { ::close(descriptor_); }

void Bell::ring() {
  if (rung_.exchange(true)) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(descriptor_, &one, sizeof one);
}

void Bell::clear() {
  if (!rung_.load()) return;
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(descriptor_, &count, sizeof count);
  rung_.store(false);
}

void Shared::fail(const Error& error) {
  {
    const std::lock_guard lock(failure_mutex_);
    if (!failed_.load()) failure_ = error.detail;
    failed_.store(true);
  }
  bell.ring();
}

Error Shared::failure() const {
  const std::lock_guard lock(failure_mutex_);
  return {ErrorCode::StorageFailed, failure_};
}

void Writer::push(std::unique_ptr<Work> work) {
  backlog_ += work->batch.bytes();
  shared_.pushed_bytes += work->batch.bytes();
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  wake_.notify_one();
}

bool Writer::idle() {
  const std::lock_guard lock(mutex_);
  return queue_.empty();
}

std::unique_ptr<Writer::Work> Writer::spare() {
  const std::lock_guard lock(mutex_);
  if (spares_.empty()) return std::make_unique<Work>();
  std::unique_ptr<Work> out = std::move(spares_.back());
  spares_.pop_back();
  return out;
}

void Writer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Writer::run() {
  while (true) {
    std::unique_ptr<Work> work;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    const std::size_t bytes = work->batch.bytes();
    if (!write(*work)) return;
    backlog_ -= bytes;
    shared_.bell.ring();
    const std::lock_guard lock(mutex_);
    if (spares_.size() < kSparesMax && bytes < kSpareBytesMax) spares_.push_back(std::move(work));
  }
}

bool Writer::write(Work& work) {
  BatchBuilder& batch = work.batch;
  const BatchEffects& effects = batch.effects();
  const std::uint64_t number = batch.number();
  if (shared_.failed()) return false;
  if (batch.records() > 0) {
    std::uint64_t lowest = number;
    {
      const std::lock_guard lock(shared_.ledger_mutex);
      lowest = shared_.ledger.lowest(number);
    }
    for (const Position of : effects.requeued) lowest = std::min(lowest, batch_of(of));
    batch.finish(shared_.disk->salt(), lowest);
    failpoint(Failpoint::BatchDue);
    if (const Status written = shared_.disk->write(number, batch.value(), batch.ids(), batch.settings());
        !written.ok()) {
      shared_.fail(written.error());
      return false;
    }
    failpoint(Failpoint::BatchDurable);
  }
  const std::lock_guard lock(shared_.ledger_mutex);
  if (batch.records() > 0) {
    shared_.ledger.apply(number, batch.bytes(), batch.records(), effects);
    shared_.durable_batch = number;
    shared_.durable.store(end_of(number));
  } else {
    shared_.ledger.apply_effects(effects);
  }
  if (work.loaded) shared_.ledger.loaded();
  return true;
}

}  // namespace retire::store
