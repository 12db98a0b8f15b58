// Between the core's outbox and its file: what is saved, under which number it is known here, and what is said of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "worker/core/core.hpp"
#include "worker/outbox/outbox_file.hpp"
#include "worker/service/outgoing.hpp"

namespace retire::worker {

class KeptResults {
 public:
  // `file` empty: results are kept in memory only. So they are, with a warning, if the file cannot be used.
  explicit KeptResults(const std::filesystem::path& file);

  // What a former process left, once: the messages go to `outgoing` as batches 1, 2, 3, …, and what is in them is
  // returned in that order. At most `attempts_max` attempts.
  std::vector<KeptBatch> restore(OutgoingMessages& outgoing, std::size_t attempts_max);
  // All of these batches, or none: then false. The first failure in a row is logged.
  bool save(const std::vector<std::uint64_t>& batches, OutgoingMessages& outgoing);
  void forget(std::uint64_t batch);

 private:
  std::optional<OutboxFile> file_;
  OutboxFile::Found found_;
  std::map<std::uint64_t, std::uint64_t> records_;  // by batch: its record's ID
  bool told_failure_ = false;
};

}  // namespace retire::worker
