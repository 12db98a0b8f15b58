// What "retire-cluster store VERB" does: through the main that runs, or on a store that nobody has open.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"

namespace retire::store {

class Disk;

// What a verb has to tell, by name.
//   backup: bytes, epoch; verify: records, batches (the last one's number), closed_in_order and dropped_batches (0 or
//   1; only of a store that is not in use); compact: bytes_before, bytes_after.
using Figures = std::vector<std::pair<std::string, std::uint64_t>>;
// " name=value name=value", and back. Errors: Malformed.
std::string to_text(const Figures& figures);
Result<Figures> parse_figures(const std::string& text);

// `data_dir`: main's; the store is in its folder "store". `running`: a main has it open, and is asked. Errors:
// Configuration: there is no store; Unreachable: the main that runs does not answer; StorageFailed: damaged, naming
// what; Io.
Result<Figures> backup_store(const std::string& data_dir, const std::string& target, bool running);
Result<Figures> verify_store(const std::string& data_dir, bool running);
Result<Figures> compact_store(const std::string& data_dir, bool running);

// The same on a disk that is open; `stop`: ends them early, with an error, when it becomes true; may be nullptr.
Result<Figures> backup_figures(Disk& disk, const std::string& data_dir, const std::string& target);
Result<Figures> verify_figures(Disk& disk, std::uint64_t last, const std::atomic<bool>* stop);
Result<Figures> compact_figures(Disk& disk, std::atomic<bool>* stop);

}  // namespace retire::store
