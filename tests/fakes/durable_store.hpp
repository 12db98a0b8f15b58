// A durable store without a disk. What is on the "disk" outlives the store; a crash is the end of the store without
// close(). The test decides when appended records become durable and when what was fetched comes. As unkind as the
// interface allows: a released record may still be there after a restart, fetched records come out of order, and
// recovery hands out little at a time, or nothing yet.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/store/store.hpp"
#include "common/base/rng.hpp"

namespace retire::testing {

// A record with bytes of its own.
struct OwnedRecord {
  explicit OwnedRecord(const store::Record& record);
  store::Record view() const;

  store::Record record;  // its views are not valid; view() gives valid ones
  std::optional<TaskSpec> spec;
  std::optional<std::string> payload;
  std::optional<std::string> data;
  std::vector<AttemptError> errors;
  std::string metadata, reason, device_id, error_message, traceback, logs, device;
};

// What survives a crash: records by position, up to the durable one.
struct FakeDisk {
  std::map<store::Position, OwnedRecord> records;
  std::set<store::Position> released;  // durably: whether they are still there is up to chance
  store::Position last = 0;            // the highest ever used
  bool clean = true;
  bool used = false;
};

class FakeStore final : public store::Store {
 public:
  // Opens what is on the disk. `seed` decides what chance may.
  FakeStore(FakeDisk& disk, std::uint64_t seed);

  // --- the test's side ---
  void commit();  // everything appended is durable
  bool has_uncommitted() const { return !appended_.empty() || !releases_.empty(); }
  void answer_fetches() { answering_ = true; }  // those asked for so far come at the next fetched()
  bool has_fetches() const { return !fetches_.empty(); }
  void fail(const std::string& why) { failure_ = why; }  // from now on, for good
  void set_space(const store::Space& space) { space_ = space; }
  void set_backlog(std::size_t bytes) { backlog_ = bytes; }
  void set_recover_max(std::size_t max) { recover_max_ = max; }  // in one call, whatever is asked for
  void hold_recovery(bool hold) { hold_recovery_ = hold; }       // nothing is ready
  bool closed() const { return closed_; }

  store::Position append(const store::Record& record) override;
  void submit() override {}
  Result<store::Position> durable() override;
  int readable() const override { return -1; }
  bool is_durable() const override { return true; }
  std::size_t backlog_bytes() const override { return backlog_; }
  void release(store::Position position) override;
  bool fetch(store::Position position, std::uint64_t token) override;
  std::size_t fetched(std::size_t max, const Fetched& visit) override;
  Loading loading() const override;
  Result<std::size_t> recover(std::size_t max, const Visit& visit) override;
  bool may_know(const TaskId& id) const override { return known_.contains(id); }
  store::Opened opened() const override { return opened_; }
  std::string settings() const override { return settings_; }
  store::Space space() const override { return space_; }
  Status close() override;

 private:
  void plan_recovery();

  FakeDisk& disk_;
  Rng rng_;
  store::Opened opened_;
  std::string settings_;
  std::map<store::Position, OwnedRecord> appended_;  // not durable
  std::vector<store::Position> releases_;            // not durable
  std::set<store::Position> gone_;                   // released in this run: not to be released again
  store::Position durable_ = 0;
  std::vector<std::pair<store::Position, std::uint64_t>> fetches_;
  bool answering_ = true;
  std::vector<store::Position> recovery_;  // in the order it is handed out
  std::size_t recovered_ = 0;
  std::size_t queue_part_ = 0;
  std::size_t recover_max_ = SIZE_MAX;
  bool hold_recovery_ = false;
  std::set<TaskId> known_;
  std::optional<std::string> failure_;
  store::Space space_{0, UINT64_MAX, false};
  std::size_t backlog_ = 0;
  bool closed_ = false;
};

}  // namespace retire::testing
