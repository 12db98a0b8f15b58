#include "worker/host/host_process.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <retire_cluster/msgpack_check.hpp>

#include "common/model/limits.hpp"
#include "common/protocol/codec.hpp"
#include "worker/host/wire.hpp"

namespace retire::host {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10;
constexpr std::size_t kOutputBefore = 1 << 20;  // more than a pipe holds
// One result at its largest, with its error and its log in msgpack.
constexpr std::size_t kRecordMax = kResultBytesMax + 2 * kLogBytesMax + kLogLinesMax * 16 + kTracebackBytesMax +
                                   kErrorMessageBytesMax + kCheckpointBytesMax + 4096;
// Of the socket in one turn.
constexpr int kReadsPerTurn = 16;
constexpr std::uint64_t kRunsLongNs = 1'000'000'000;
constexpr std::size_t kBufferKept = std::size_t{1} << 20;

template <class Header>
void append(std::string& out, const Header& header) {
  out.append(reinterpret_cast<const char*>(&header), sizeof header);
}

int group_of(sandbox::Seat& seat) { return seat.group() == nullptr ? -1 : seat.group()->descriptor(); }

}  // namespace

Result<std::unique_ptr<HostProcess>> HostProcess::start(const std::string& program, PluginPtr plugin,
                                                        const std::string& encoded_setup, sandbox::Seat seat,
                                                        std::size_t attempts_max) {
  Result<PageMapping> page = PageMapping::create();
  if (!page.ok()) return page.error();
  Result<Spawned> spawned =
      spawn_host(program, {"--run", plugin->image.file()},
                 {page.value().descriptor(), plugin->image.descriptor(), seat.lock(), group_of(seat)});
  if (!spawned.ok()) return spawned.error();
  page.value().close_descriptor();
  const std::string policy = sandbox::encode(seat.policy());
  std::unique_ptr<HostProcess> host(new HostProcess(std::move(spawned).value(), std::move(page).value(),
                                                    std::move(plugin), std::move(seat), attempts_max));
  append(host->out_, static_cast<std::uint32_t>(policy.size()));
  host->out_ += policy;
  append(host->out_, static_cast<std::uint32_t>(encoded_setup.size()));
  host->out_ += encoded_setup;
  return host;
}

HostProcess::HostProcess(Spawned spawned, PageMapping page, PluginPtr plugin, sandbox::Seat seat,
                         std::size_t attempts_max)
    : attempts_max_(attempts_max),
      plugin_(std::move(plugin)),
      pid_(spawned.pid),
      socket_(std::move(spawned.socket)),
      output_(std::move(spawned.output)),
      report_(std::move(spawned.report)),
      seat_(std::move(seat)),
      page_(std::move(page)),
      ring_(page_.page()),
      live_(page_.page().live) {}

HostProcess::~HostProcess() {
  if (!reaped_) {
    end_host(pid_);
    wait_for_end(pid_);
  }
}

void HostProcess::begin_runs(std::string_view handler, std::size_t count) {
  if (out_done_ == out_.size()) {
    out_.clear();
    out_done_ = 0;
    if (out_.capacity() > kBufferKept) out_ = {};
  }
  message_at_ = out_.size();
  append(out_, std::uint32_t{0});
  append(out_, RunsHeader{static_cast<std::uint32_t>(count), static_cast<std::uint32_t>(handler.size())});
  out_ += handler;
  if (unanswered_.size() == 0) {
    given_since_ns_ = monotonic_ns();
    // What those before have printed is nobody else's business. Not what the plugin printed when it was loaded.
    if (handed_ > 0) {
      read_output(kOutputBefore);
      tail_.clear();
    }
  }
  handed_ += count;
}

void HostProcess::add_run(const RunRequest& run) {
  RunHeader header;
  header.sequence = run.sequence;
  run.task.to_bytes(reinterpret_cast<char*>(header.task));
  header.timeout_us = static_cast<std::uint64_t>(run.timeout.count());
  header.number = run.number;
  header.payload_bytes = static_cast<std::uint32_t>(run.payload.size());
  header.checkpoint_bytes = static_cast<std::uint32_t>(run.checkpoint.size());
  append(out_, header);
  out_ += run.payload;
  out_ += run.checkpoint;
  last_sequence_ = run.sequence;
  unanswered_.add(run.sequence);
}

void HostProcess::end_runs() {
  const auto size = static_cast<std::uint32_t>(out_.size() - message_at_ - sizeof(std::uint32_t));
  std::memcpy(out_.data() + message_at_, &size, sizeof size);
}

bool HostProcess::flush() {
  while (out_done_ < out_.size()) {
    const ssize_t wrote =
        send(socket_.get(), out_.data() + out_done_, out_.size() - out_done_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    if (wrote < 0) {  // it is gone, and reap() will tell; or it listens no more
      closed_ = true;
      return false;
    }
    out_done_ += static_cast<std::size_t>(wrote);
  }
  return false;
}

void HostProcess::read_socket() {
  std::array<char, kReadBytes> buffer;
  for (int reads = 0; reads < kReadsPerTurn && !broken_; ++reads) {
    const ssize_t got = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      closed_ = true;
      return;
    }
    in_.append(buffer.data(), static_cast<std::size_t>(got));
    std::size_t at = 0;
    std::uint32_t size = 0;
    while (in_.size() - at >= sizeof size) {
      std::memcpy(&size, in_.data() + at, sizeof size);
      if (size > kRecordMax) {
        broken_ = true;
        return;
      }
      if (in_.size() - at - sizeof size < size) break;
      if (size > 0) {
        large_.emplace_back(in_, at + sizeof size, size);
      } else {
        ++bells_;
      }
      at += sizeof size + size;
    }
    in_.erase(0, at);
    if (large_.size() >= 4) return;  // taken first; the socket keeps the rest
    if (got < static_cast<ssize_t>(buffer.size())) return;
  }
}

bool HostProcess::read_output(std::size_t bytes_max) {
  std::array<char, kReadBytes> buffer;
  for (std::size_t total = 0; total < bytes_max;) {
    const ssize_t got = read(output_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return true;
    if (got == 0) return false;
    tail_.add({buffer.data(), static_cast<std::size_t>(got)});
    total += static_cast<std::size_t>(got);
  }
  return true;
}

const AttemptResult* HostProcess::next_result() {
  if (broken_) return nullptr;
  ResultHeader header;
  ResultParts parts;
  switch (ring_.next(header, parts)) {
    case RingReader::Next::Record: ++ring_records_; return checked(header, parts);
    case RingReader::Next::Garbage: broken_ = true; return nullptr;
    case RingReader::Next::Empty: break;
  }
  if (bells_ > ring_records_) {  // each is rung for something
    broken_ = true;
    return nullptr;
  }
  if (large_.empty()) return nullptr;
  const std::string& record = in_use_.emplace_back(std::move(large_.front()));
  large_.pop_front();
  if (!read_record(record.data(), record.size(), header, parts)) {
    broken_ = true;
    return nullptr;
  }
  return checked(header, parts);
}

const AttemptResult* HostProcess::checked(const ResultHeader& header, const ResultParts& parts) {
  result_ = {};
  result_.sequence = header.sequence;
  result_.skipped = header.skipped != 0;
  result_.spent = spent();
  // Nobody is answered for but those it was given, and once; and it may leave out only what was taken back.
  if ((result_.skipped && header.sequence > taken_back_) || !unanswered_.take(header.sequence)) {
    broken_ = true;
    return nullptr;
  }
  if (result_.skipped) return &result_;
  result_.run_ns = header.run_ns;
  if (header.run_ns > kRunsLongNs) {  // it cannot have run for longer than it was there
    const auto most = static_cast<std::uint64_t>(monotonic_ns() - given_since_ns_);
    result_.run_ns = std::min(header.run_ns, most);
  }
  result_.plugin = plugin_->identity;
  const bool known =
      header.outcome >= static_cast<int>(Outcome::Success) && header.outcome <= static_cast<int>(Outcome::Cancelled);
  const std::size_t data_bytes = parts.data ? parts.data->size() : 0;
  if (!known || data_bytes > kResultBytesMax) {
    broken_ = true;
    return nullptr;
  }
  result_.outcome = static_cast<Outcome>(header.outcome);
  result_.data = parts.data;
  if (parts.error_message.empty() && parts.traceback.empty() && parts.logs.empty() && parts.checkpoint.empty()) {
    return &result_;
  }

  // Main would refuse a whole message for one bad text in it. Copied first: the ring could change after the check.
  result_.error_message = in_use_.emplace_back(parts.error_message);
  result_.traceback = in_use_.emplace_back(parts.traceback);
  result_.logs = in_use_.emplace_back(parts.logs);
  result_.checkpoint = in_use_.emplace_back(parts.checkpoint);
  std::vector<LogLine> lines;
  if (result_.error_message.size() > kErrorMessageBytesMax || result_.checkpoint.size() > kCheckpointBytesMax ||
      result_.traceback.size() > kTracebackBytesMax || !retire_cluster::is_utf8(result_.error_message) ||
      !retire_cluster::is_utf8(result_.traceback) ||
      (!result_.logs.empty() && !protocol::decode_log_lines(result_.logs, lines).ok())) {
    broken_ = true;
    return nullptr;
  }
  return &result_;
}

void HostProcess::release() {
  ring_.release();
  in_use_.clear();
}

const AttemptTold* HostProcess::listen(std::uint64_t sequence, bool again) {
  told_ = live_.read(sequence, again);
  if (!told_.any()) return nullptr;
  told_logs_ = protocol::encode_log_lines(told_.lines);
  attempt_told_ = {};
  if (told_.has_progress) {
    attempt_told_.fraction = told_.fraction;
    attempt_told_.text = told_.text;
  }
  attempt_told_.first_line = told_.first_line;
  attempt_told_.logs = told_logs_;
  attempt_told_.checkpoint = told_.checkpoint;
  return &attempt_told_;
}

HostProcess::LastWords HostProcess::last_words() {
  LiveReader::Last last = live_.last(running());
  return {protocol::encode_log_lines(last.lines), std::move(last.checkpoint)};
}

TimePoint HostProcess::started() const {
  return TimePoint(Duration(page_.page().started_ns.load(std::memory_order_relaxed) / 1000));
}

void HostProcess::take_back() {
  taken_back_ = last_sequence_;
  page_.page().take_back_until.store(last_sequence_);
}

void HostProcess::cancel(std::uint64_t sequence) {
  page_.page().cancel.store(sequence);
  page_.page().cancel_wake.fetch_add(1);
  futex_wake(page_.page().cancel_wake);
}

void HostProcess::terminate() { ::kill(pid_, SIGUSR1); }

void HostProcess::kill() {
  killed_by_us_ = killed_by_us_ || !killed_;
  hung_up();
}

void HostProcess::hung_up() {
  killed_ = true;
  end_host(pid_);
}

bool HostProcess::spent() const { return retired_ || handed_ >= attempts_max_ || page_.page().retiring.load() != 0; }

bool HostProcess::reap() {
  if (reaped_) return true;
  int status = 0;
  if (!has_ended(pid_, status)) return false;
  reaped_ = true;
  HostReport report;
  const bool reported = read(report_.get(), &report, sizeof report) == static_cast<ssize_t>(sizeof report);
  unsupervised_ = !reported && WIFSIGNALED(status);
  cgroup::Use used;
  if (cgroup::Group* group = seat_.group()) {
    if (unsupervised_) group->end();
    used = group->use();
    met_ = describe_met(report.status, used);
  }
  if (broken_) {
    reason_ = "handler process wrote over its own memory and was killed";
  } else if (killed_by_us_ && reported && report.status == SIGKILL && !is_out_of_memory(report.status, used)) {
    reason_ = "handler process was killed by the worker (SIGKILL); " + describe_use(report.peak_bytes, used);
    if (!met_.empty()) reason_ += "; " + met_;
  } else {
    reason_ = "handler process died: ";
    reason_ += reported ? describe_death(report.status, report.peak_bytes, seat_.policy().limits, used)
                        : describe_exit(status);
  }
  return true;
}

}  // namespace retire::host
