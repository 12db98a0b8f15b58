// Submits what a TaskSource gives, a bounded window at a time, and prints IDs or results in the order of the source.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

#include "client/cli/progress_bar.hpp"
#include "client/cli/task_source.hpp"
#include "client/cli/world.hpp"
#include "client/client.hpp"
#include "common/config/exit_status.hpp"

namespace retire::cli {

struct SubmissionOptions {
  std::string program;
  bool wait = false;                     // print results rather than IDs
  std::optional<Duration> wait_timeout;  // from the start of the submission
  bool json = false;
  bool many = false;  // --count or --file: one a line, in a list where it is one document
  bool progress = false;
};

class Submission final : private client::Events {
 public:
  Submission(const World& world, client::Client& client, TaskSource& source, SubmissionOptions options);
  config::Exit run();

 private:
  struct Entry {
    std::uint64_t line = 0;  // in the source; 0: it has none
    TaskId id;
    bool acknowledged = false;
    bool finished = false;  // a result, or lost
    std::string text;       // what to print
  };
  struct HashId {
    std::size_t operator()(const TaskId& id) const {
      return static_cast<std::size_t>(id.high() ^ (id.low() * 0x9e3779b97f4a7c15ull));
    }
  };

  void on_submitted(std::span<const TaskId> tasks) override;
  void on_refused(std::span<const TaskId> tasks, const Error& error, std::optional<std::uint64_t> index) override;
  void on_result(const ResultItem& item, std::string_view device) override;
  void on_lost(const TaskId& task) override;

  Entry& entry_of(std::uint64_t sequence) { return entries_.at(static_cast<std::size_t>(sequence - first_)); }
  bool has_room() const;
  void fill();
  bool is_done() const;
  bool time_is_over(TimePoint now) const;
  void print_ready();
  void print_one(const std::string& text);
  void finish_entries(const TaskId& task, const std::string& text);
  void complain(const std::string& line);
  config::Exit end();

  const World& world_;
  client::Client& client_;
  TaskSource& source_;
  SubmissionOptions options_;
  TimePoint started_;
  ProgressBar bar_;

  std::deque<Entry> entries_;  // in the order of the source: posted, and not printed yet
  std::uint64_t first_ = 0;    // sequence number of entries_.front()
  std::unordered_multimap<TaskId, std::uint64_t, HashId> by_id_;  // sequence numbers
  std::size_t text_bytes_ = 0;                                    // held in entries_
  std::uint64_t acknowledged_ = 0;
  std::uint64_t finished_ = 0;
  std::uint64_t printed_ = 0;
  std::uint64_t complaints_ = 0;
  bool source_ended_ = false;
  bool give_up_ = false;            // nothing more is submitted
  std::optional<Error> error_;      // why, and what it ends with
  std::uint64_t unsuccessful_ = 0;  // waited for, and did not end in success
};

}  // namespace retire::cli
