// The limits of docs/protocol.md. Reaching one is answered, never absorbed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace retire {

constexpr std::size_t kMessageBytesMax = std::size_t{32} << 20;
constexpr std::size_t kPayloadBytesMax = std::size_t{16} << 20;
constexpr std::size_t kResultBytesMax = std::size_t{16} << 20;
constexpr std::size_t kMetadataBytesMax = 65'536;
constexpr std::size_t kLogBytesMax = std::size_t{1} << 20;
constexpr std::size_t kLogLinesMax = 10'000;
constexpr std::size_t kLogLineBytesMax = 8'192;
constexpr std::size_t kProgressTextBytesMax = 256;
constexpr std::size_t kCheckpointBytesMax = std::size_t{1} << 20;
constexpr int kNestingMax = 16;
constexpr std::size_t kBatchItemsMax = 10'000;
constexpr std::size_t kHeldAttemptsMax = 65'536;
constexpr std::size_t kTaskTypeBytesMax = 64;
constexpr std::size_t kDeviceIdBytesMax = 128;
constexpr std::size_t kGroupBytesMax = 128;
constexpr std::size_t kWordBytesMax = 64;
constexpr std::size_t kProgramBytesMax = 128;
constexpr std::size_t kTagsMax = 1'024;
constexpr std::size_t kResourcesMax = 64;
constexpr std::size_t kRefusedPluginsMax = 64;
constexpr std::size_t kPluginsListedMax = 256;
constexpr std::size_t kPluginIdentityBytesMax = 256;
constexpr std::size_t kPauseReasonBytesMax = 256;
constexpr std::size_t kErrorMessageBytesMax = 8'192;
constexpr std::size_t kTracebackBytesMax = 65'536;
constexpr std::size_t kListLimitMax = 1'000;
constexpr std::uint32_t kSlotsMax = 4'096;
constexpr std::uint32_t kRetriesMax = 1'000;
constexpr std::uint32_t kCpuCoresMax = 1'000'000;
constexpr double kQuantityMax = 1e9;
constexpr double kTimeoutSecondsMin = 0.001;
constexpr double kTimeoutSecondsMax = 31'536'000;
constexpr std::uint32_t kProtocolVersion = 1;

// How much is gathered into one message of a batch before the next is begun: large enough that framing and system
// calls vanish beside the items, small enough that no peer waits long for the first.
constexpr std::size_t kBatchItemsTarget = 512;
constexpr std::size_t kBatchBytesTarget = std::size_t{256} << 10;

}  // namespace retire
