// The parts of the embedded engine, each with the thread it belongs to.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "broker/store/disk.hpp"
#include "broker/store/embedded_store.hpp"
#include "broker/store/id_filter.hpp"

namespace retire::store {

// Becomes readable when somebody rang. Any thread rings; one listens.
class Bell {
 public:
  Bell();
  ~Bell();
  Bell(const Bell&) = delete;
  void ring();
  void clear();
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
  std::atomic<bool> rung_ = false;
};

// What all threads of the engine share.
struct Shared {
  std::unique_ptr<Disk> disk;
  Bell bell;  // for the loop

  std::mutex ledger_mutex;
  Ledger ledger;
  std::uint64_t durable_batch = 0;  // under ledger_mutex
  std::atomic<Position> durable{0};
  std::atomic<std::uint64_t> pushed_bytes{0};  // to the writer, since the start
  // The records of devices before this batch would soon keep what lies around them from being dropped, as they outlive
  // the tasks there: the loop appends them again. 0: none would.
  std::atomic<std::uint64_t> move_devices_before{0};

  // The first failure; it stays.
  void fail(const Error& error);
  bool failed() const { return failed_.load(); }
  Error failure() const;

 private:
  mutable std::mutex failure_mutex_;
  std::string failure_;
  std::atomic<bool> failed_ = false;
};

// Batches that wait to be made durable, in order, and the thread that does it.
class Writer {
 public:
  struct Work {
    BatchBuilder batch;
    bool loaded = false;  // with this batch the loop has said what it does not need of what was loaded
  };

  explicit Writer(Shared& shared) : shared_(shared) {}
  ~Writer() { stop(); }
  void start() {
    thread_ = std::thread([this] { run(); });
  }
  // All that was pushed is written, unless something fails.
  void stop();

  void push(std::unique_ptr<Work> work);
  bool idle();  // nothing waits for the writer
  std::unique_ptr<Work> spare();
  std::size_t backlog_bytes() const { return backlog_.load(); }

 private:
  void run();
  bool write(Work& work);

  Shared& shared_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Work>> queue_;
  std::vector<std::unique_ptr<Work>> spares_;
  bool stopping_ = false;
  std::atomic<std::size_t> backlog_ = 0;
  std::thread thread_;
};

// Reads: what is to be recovered, ahead of the loop and in bounded memory, and what the loop asks for.
class Reader {
 public:
  struct Chunk {
    std::shared_ptr<Segment> segment;  // nullptr: everything has been read
    bool history = false;              // of which only the records of tasks before the lowest unfinished one are meant
  };
  struct Answer {
    std::uint64_t token = 0;
    Position position = 0;
    std::shared_ptr<Segment> segment;
    std::string error;  // if there is no segment
  };

  explicit Reader(Shared& shared) : shared_(shared) {}
  ~Reader() { stop(); }
  void start(const Disk::Found& found);
  void stop();

  // The position of the first record of the first phase.
  Position border() const { return border_; }
  // Errors: StorageFailed. Nullopt: nothing is ready.
  Result<std::optional<Chunk>> next_chunk();
  void ask(Position position, std::uint64_t token);
  bool take(Answer& out);
  bool has_news() const { return pending_.load(); }

 private:
  void run();
  void load_step();
  void offer(Chunk chunk);
  Ledger::Found look(const Segment& segment, bool& has_history) const;
  void answer(Position position, std::uint64_t token);

  Shared& shared_;
  std::uint64_t last_ = 0;
  std::uint64_t lowest_ = 0;
  Position border_ = 0;

  // The reader's own.
  enum class Step { Queue, History, Again, Done };
  Step step_ = Step::Queue;
  Disk::Scan scan_;
  std::deque<std::uint64_t> again_;
  std::deque<std::shared_ptr<Segment>> cache_;  // neighbours are asked for together
  std::size_t cached_bytes_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::deque<Chunk> chunks_;
  std::size_t chunk_bytes_ = 0;
  std::string load_error_;
  std::deque<std::pair<Position, std::uint64_t>> asked_;
  std::deque<Answer> answers_;
  std::size_t answer_bytes_ = 0;
  std::atomic<bool> pending_ = false;
  std::thread thread_;
};

// Gives space back, watches the disk.
class Keeper {
 public:
  Keeper(Shared& shared, const EmbeddedOptions& options) : shared_(shared), options_(options) {}
  ~Keeper() { stop(); }
  void start();
  void stop();
  Space space() const;

 private:
  void run();
  void measure();
  Status round();
  Status tidy_run(const TidyRun& run);

  Shared& shared_;
  EmbeddedOptions options_;
  Bell wake_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> used_ = 0;
  std::atomic<std::uint64_t> free_;       // when it was measured last, and then:
  std::atomic<std::uint64_t> unflushed_;  // what lies in memory and in logs, and has to be written to data files
  std::atomic<std::uint64_t> pushed_;     // Shared::pushed_bytes
  std::uint64_t given_up_bytes_ = 0;
  std::uint64_t rounds_ = 0;
  struct {
    std::uint64_t bytes = 0;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  } to_reclaim_;
  std::thread thread_;
};

}  // namespace retire::store
