// DATA-DIR/epoch: the number of main's runs, one line of text. Attempts carry it, so no two runs may have the same one,
// nor a run of a restored backup one of the runs of the store it was taken from.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.hpp"

namespace retire::store {

// A backup is so many runs ahead of the store it is taken from, which may be started as often before both meet.
constexpr std::uint64_t kBackupEpochs = 1'024;

// 0 if there is none. Errors: Configuration.
Result<std::uint64_t> read_epoch(const std::string& data_dir);
// Durable when it returns; a power cut leaves the old number or the new one. Errors: Io, naming the file and the
// reason.
Status write_epoch(const std::string& data_dir, std::uint64_t epoch);

}  // namespace retire::store
