// Where the tasks of a submission come from, one at a time: the command line, or a file of JSON lines.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>

#include "common/base/result.hpp"
#include "common/json/task_json.hpp"

namespace retire::cli {

class TaskSource {
 public:
  virtual ~TaskSource() = default;
  // The next task, valid until the next call; nullptr at the end. Errors: Invalid or TooLarge, naming the line.
  virtual Result<const json::TaskObject*> next() = 0;
  // How an error names the task that next() gave last: a line number, or 0 if there are no lines.
  virtual std::uint64_t line() const = 0;
  // How much of the whole next() has given: 0 to 1; nullopt if nobody knows.
  virtual std::optional<double> progress() const = 0;
};

// The same task `count` times.
class RepeatedTask final : public TaskSource {
 public:
  RepeatedTask(json::TaskObject task, std::uint64_t count) : task_(std::move(task)), count_(count) {}
  Result<const json::TaskObject*> next() override {
    const json::TaskObject* none = nullptr;
    return given_ == count_ ? none : (++given_, &task_);
  }
  std::uint64_t line() const override { return 0; }
  std::optional<double> progress() const override { return static_cast<double>(given_) / static_cast<double>(count_); }

 private:
  json::TaskObject task_;
  std::uint64_t count_;
  std::uint64_t given_ = 0;
};

// A task a line, as for POST /tasks; empty lines are left out. A line has a limit, so memory does.
class TaskLines final : public TaskSource {
 public:
  // `size` in bytes, for the progress; 0: unknown. `in` must outlive this.
  TaskLines(std::istream& in, std::uint64_t size) : in_(in), size_(size) {}
  Result<const json::TaskObject*> next() override;
  std::uint64_t line() const override { return line_number_; }
  std::optional<double> progress() const override;

 private:
  enum class Read { Line, End, TooLong };
  Read read_line();

  std::istream& in_;
  std::uint64_t size_;
  std::uint64_t consumed_ = 0;
  std::uint64_t line_number_ = 0;
  std::string line_;
  json::TaskObject task_;
};

}  // namespace retire::cli
