// The worker's own numbers: how it batches, how long it waits, how much it holds.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/time.hpp"

namespace retire::worker {

// Attempts of a type that runs shorter than this on average are handed over several at once, up to about as much work
// and as many bytes and attempts as said here; longer ones one at a time.
constexpr double kShortRunNs = 1e6;
constexpr double kBatchWorkNs = 4e6;
constexpr std::size_t kBatchBytesMax = std::size_t{256} << 10;
constexpr std::size_t kHandoverCountMax = 4'096;
// Work below this is not worth waking a second host for.
constexpr double kSpreadWorkNs = 3e5;

// A slot from which nothing has come for this long is looked into: what runs there is reported to main as started, and
// what waits behind it is taken back.
constexpr Duration kLookAfter = std::chrono::milliseconds(20);

// How often a running attempt is asked what it has told; all slots at the same moments, so that the worker wakes once.
constexpr Duration kListenEach = std::chrono::milliseconds(250);

// An unacknowledged batch is sent again after this.
constexpr Duration kResendAfter = std::chrono::seconds(10);
// A result that main has left unacknowledged for this long goes to the disk; one that could not be saved, because the
// disk is full, is tried again after the second.
constexpr Duration kSaveAfter = std::chrono::seconds(1);
constexpr Duration kSaveRetry = std::chrono::seconds(30);
// What could not be sent because main's end is full or away is tried again after this.
constexpr Duration kUnsentRetry = std::chrono::milliseconds(20);

// Reconnecting: doubling, with full jitter.
constexpr Duration kBackoffFirst = std::chrono::milliseconds(100);
constexpr Duration kBackoffMax = std::chrono::seconds(5);
constexpr Duration kHelloRetry = std::chrono::milliseconds(50);  // until there is a connection to send it on
// Before main has said how long its silence may last.
constexpr Duration kSilenceDefault = std::chrono::seconds(15);
constexpr Duration kHeartbeatDefault = std::chrono::seconds(5);
constexpr Duration kHeartbeatMin = std::chrono::milliseconds(20);  // whatever main asks for

// The correlation of every hello; batches of results count up from 1.
constexpr std::uint64_t kHelloCorrelation = UINT64_MAX;

constexpr std::string_view kLeaving = "the worker is leaving";
constexpr std::string_view kWithdrawn = "the worker does not offer this type any more";

// How long a leaving worker waits for its last results to be acknowledged.
constexpr Duration kFlushMax = std::chrono::seconds(5);

}  // namespace retire::worker
