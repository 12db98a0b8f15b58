// The memory that an agent and one of its handler hosts share: who runs, who is to stop, what is told
// meanwhile, and the ring of results.
//
// It lives in a memfd. The agent creates it, the host maps it; each word has one writer. What the host writes may be
// garbage once a handler has run wild; the agent bounds whatever it reads from here.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/base/result.hpp"
#include "worker/host/live_area.hpp"

namespace retire::host {

constexpr std::size_t kRingBytes = std::size_t{512} << 10;

struct SharedPage {
  // The host's. `running` is written before each attempt begins, so that a death blames exactly one. It is followed by
  // a look at `take_back_until`, which the agent writes before it looks at `running`: so for each attempt at least one
  // side sees that the other was first, and none is both begun here and handed to another host.
  alignas(64) std::atomic<std::uint64_t> running{0};  // sequence; 0: nothing yet
  std::atomic<std::int64_t> started_ns{0};            // when, by CLOCK_MONOTONIC
  alignas(64) std::atomic<std::uint64_t> written{0};  // bytes ever written to the ring
  std::atomic<std::uint32_t> waits_for_room{0};
  std::atomic<std::uint32_t> retiring{0};  // not 0: to be given no more; it has grown, or cannot be cleaned

  // The agent's.
  alignas(64) std::atomic<std::uint64_t> cancel{0};  // sequence that is to end; compared with the one that runs
  std::atomic<std::uint32_t> cancel_wake{0};         // futex: changes with `cancel`
  std::atomic<std::uint64_t> take_back_until{0};     // nothing up to this sequence is to be begun any more
  alignas(64) std::atomic<std::uint64_t> read{0};    // bytes ever read from the ring
  std::atomic<std::uint32_t> room_wake{0};           // futex: changes when there is room again

  LiveArea live;

  alignas(64) char ring[kRingBytes];
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// A mapping of it.
class PageMapping {
 public:
  // A new one, zeroed, with its memfd. Errors: Io.
  static Result<PageMapping> create();
  // That of a descriptor, which is closed. Errors: Io.
  static Result<PageMapping> map(int descriptor);

  PageMapping(PageMapping&& other) noexcept;
  PageMapping& operator=(PageMapping&&) = delete;
  ~PageMapping();

  SharedPage& page() const { return *page_; }
  int descriptor() const { return descriptor_; }
  void close_descriptor();  // the mapping stays

 private:
  PageMapping(SharedPage* page, int descriptor) : page_(page), descriptor_(descriptor) {}
  SharedPage* page_;
  int descriptor_;
};

// Sleeps while `word` holds `value`, at most `timeout` (negative: no end); may wake for no reason.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t value, std::chrono::nanoseconds timeout);
void futex_wake(const std::atomic<std::uint32_t>& word);

std::int64_t monotonic_ns();

}  // namespace retire::host
