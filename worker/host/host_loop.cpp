#include "worker/host/host_loop.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <retire_cluster/msgpack_check.hpp>

#include "common/model/limits.hpp"
#include "worker/host/declared.hpp"
#include "worker/host/hint.hpp"
#include "worker/host/text.hpp"

namespace retire::host {
namespace {

constexpr std::size_t kReadBytes = std::size_t{256} << 10;
constexpr std::size_t kMessageMax = std::size_t{64} << 20;
constexpr std::size_t kGatherBytes = std::size_t{64} << 10;
constexpr std::int64_t kGatherNs = 1'000'000;
constexpr int kExitAgentGone = 0;
constexpr int kExitBadMessage = 70;  // EX_SOFTWARE: the agent and this program do not fit together

Outcome outcome_of(int code) {
  switch (code) {
    case RC_OK: return Outcome::Success;
    case RC_FAILED_PERMANENTLY: return Outcome::FailedPermanently;
    case RC_CANCELLED: return Outcome::Cancelled;
    default: return Outcome::Failed;
  }
}

}  // namespace

HostLoop::HostLoop(int socket, SharedPage& page, std::string plugin_file, const sandbox::Policy& policy)
    : socket_(socket),
      page_(page),
      plugin_file_(std::move(plugin_file)),
      context_(page, [this] { return leftovers_.make_scratch(); }),
      ring_(page),
      policy_(policy),
      leftovers_(policy, page),
      in_(kReadBytes) {
  Result<LoadedPlugin> plugin = LoadedPlugin::open(plugin_file_, kPluginFdPath);
  Result<PluginManifest> declared =
      plugin.ok() ? read_declared(plugin.value(), kPluginFd) : Result<PluginManifest>(plugin.error());
  if (declared.ok()) {
    plugin_ = std::move(plugin).value();
    schemas_ = std::move(declared.value().schemas);
  } else {
    plugin_refusal_ = declared.error().detail;
  }
  close(kPluginFd);
}

int HostLoop::run() {
  for (;;) {
    std::uint32_t size = 0;
    while (in_end_ - in_begin_ < sizeof size) {
      if (!read_more()) return kExitAgentGone;
    }
    std::memcpy(&size, in_.data() + in_begin_, sizeof size);
    if (size > kMessageMax) return kExitBadMessage;
    while (in_end_ - in_begin_ < sizeof size + size) {
      if (in_begin_ + sizeof size + size > in_.size()) {
        // To the front; and room for all of it.
        std::memmove(in_.data(), in_.data() + in_begin_, in_end_ - in_begin_);
        in_end_ -= in_begin_;
        in_begin_ = 0;
        if (sizeof size + size > in_.size()) in_.resize(sizeof size + size);
      }
      if (!read_more()) return kExitAgentGone;
    }
    const std::string_view body(in_.data() + in_begin_ + sizeof size, size);
    if (!on_message(body)) return kExitBadMessage;
    in_begin_ += sizeof size + size;
    if (in_begin_ == in_end_) {
      in_begin_ = in_end_ = 0;
      if (in_.size() > kReadBytes) in_ = std::vector<char>(kReadBytes);
    }
  }
}

// Blocks, so the agent is told first of what lies ready. False at the end.
bool HostLoop::read_more() {
  if (in_end_ == in_.size()) {
    std::memmove(in_.data(), in_.data() + in_begin_, in_end_ - in_begin_);
    in_end_ -= in_begin_;
    in_begin_ = 0;
  }
  leftovers_.before_waiting(now_ns_);
  ring_doorbell();
  for (;;) {
    const ssize_t got = recv(socket_, in_.data() + in_end_, in_.size() - in_end_, 0);
    if (got > 0) {
      in_end_ += static_cast<std::size_t>(got);
      now_ns_ = monotonic_ns();
      return true;
    }
    if (got < 0 && errno == EINTR) continue;
    return false;
  }
}

bool HostLoop::on_message(std::string_view body) {
  if (has_setup_) return on_runs(body);
  has_setup_ = true;
  return decode_setup(body, setup_);
}

HostLoop::Handler& HostLoop::handler(std::string_view name) {
  const auto known = handlers_.find(name);
  if (known != handlers_.end()) return known->second;
  Handler& made = handlers_.emplace(std::string(name), Handler{}).first->second;
  made.name = name;
  if (!plugin_) {
    made.refusal = plugin_refusal_;
    return made;
  }
  rc_setup setup{};
  setup.size_bytes = sizeof setup;
  setup.device = {reinterpret_cast<const std::uint8_t*>(setup_.device.data()), setup_.device.size()};
  setup.settings = {reinterpret_cast<const std::uint8_t*>(setup_.settings.data()), setup_.settings.size()};
  Result<HandlerInstance> instance = plugin_->make(name, setup);
  if (instance.ok()) {
    made.instance.emplace(std::move(instance).value());
  } else {
    made.refusal = "handler " + made.name + " cannot be made here: " + with_hint(instance.error().detail, policy_);
  }
  if (const auto text = schemas_.find(made.name); text != schemas_.end()) {
    Result<PayloadSchema> schema = PayloadSchema::compile(text->second);
    if (!schema.ok()) {
      made.instance.reset();
      made.refusal = "handler " + made.name + ": " + schema.error().detail;
    } else if (!schema.value().accepts_everything()) {
      made.schema.emplace(std::move(schema).value());
    }
  }
  now_ns_ = monotonic_ns();  // making it is not part of the first attempt's time
  return made;
}

bool HostLoop::on_runs(std::string_view body) {
  RunsHeader runs;
  if (body.size() < sizeof runs) return false;
  std::memcpy(&runs, body.data(), sizeof runs);
  body.remove_prefix(sizeof runs);
  if (body.size() < runs.name_bytes) return false;
  Handler* with = nullptr;
  const std::string_view name = body.substr(0, runs.name_bytes);
  body.remove_prefix(runs.name_bytes);
  for (std::uint32_t i = 0; i < runs.count; ++i) {
    RunHeader header;
    if (body.size() < sizeof header) return false;
    std::memcpy(&header, body.data(), sizeof header);
    body.remove_prefix(sizeof header);
    if (body.size() < header.payload_bytes) return false;
    const rc_bytes payload{reinterpret_cast<const std::uint8_t*>(body.data()), header.payload_bytes};
    body.remove_prefix(header.payload_bytes);
    if (body.size() < header.checkpoint_bytes) return false;
    const std::string_view checkpoint = body.substr(0, header.checkpoint_bytes);
    body.remove_prefix(header.checkpoint_bytes);

    if (page_.take_back_until.load() >= header.sequence) {
      ResultHeader skipped;
      skipped.sequence = header.sequence;
      skipped.skipped = 1;
      answer(skipped, {});
      continue;
    }
    if (with == nullptr) with = &handler(name);
    run_one(*with, header, payload, checkpoint);
  }
  return body.empty();
}

void HostLoop::run_one(Handler& with, const RunHeader& run, rc_bytes payload, std::string_view checkpoint) {
  ResultHeader header;
  header.sequence = run.sequence;
  page_.started_ns.store(now_ns_, std::memory_order_relaxed);
  page_.running.store(run.sequence);  // see shared_page.hpp: in this order, and as strong as it is
  if (page_.take_back_until.load() >= run.sequence) {
    header.skipped = 1;
    answer(header, {});
    return;
  }
  const std::int64_t begun_ns = now_ns_;
  Outcome outcome = Outcome::Failed;
  ResultParts parts;
  std::string own_message;
  std::string logs;
  bool had_scratch = false;
  if (!with.instance) {
    parts.error_message = with.refusal;
  } else if (const auto fault = with.schema ? with.schema->check(retire_cluster::Bytes(payload.data, payload.size))
                                            : std::optional<PayloadFault>()) {
    outcome = Outcome::FailedPermanently;  // no attempt can do better
    own_message = clean_text(fault->text(), kErrorMessageBytesMax);
    parts.error_message = own_message;
  } else {
    context_.begin(run.sequence, TaskId::from_bytes(reinterpret_cast<const char*>(run.task)), with.name.c_str(),
                   run.number, run.timeout_us, checkpoint, begun_ns);
    outcome = outcome_of(with.instance->run(payload, context_.raw()));
    parts.error_message = context_.error_message();
    parts.traceback = context_.traceback();
    if (outcome == Outcome::Success) {
      parts = {};
      constexpr std::string_view kNil("\xc0", 1);
      parts.data = context_.result().value_or(kNil);
      if (context_.result_too_large()) {
        own_message = "the result has " + std::to_string(context_.result_bytes()) + " bytes, over the limit of " +
                      std::to_string(kResultBytesMax);
      } else if (const char* wrong = retire_cluster::check_value(
                     {reinterpret_cast<const std::uint8_t*>(parts.data->data()), parts.data->size()},
                     retire_cluster::kItemsUnlimited)) {
        own_message = std::string("the handler's result ") + wrong;
      }
      if (!own_message.empty()) {
        outcome = Outcome::FailedPermanently;
        parts.data.reset();
        parts.error_message = own_message;
      }
    } else if (outcome != Outcome::Cancelled) {
      own_message = parts.error_message.empty()
                        ? "the handler failed and did not say why"
                        : clean_text(with_hint(parts.error_message, policy_), kErrorMessageBytesMax);
      parts.error_message = own_message;
    }
    logs = context_.take_logs();
    parts.logs = logs;
    if (outcome != Outcome::Success) parts.checkpoint = context_.saved_checkpoint();
    had_scratch = context_.had_scratch();
  }
  now_ns_ = monotonic_ns();
  header.outcome = static_cast<std::uint8_t>(outcome);
  header.run_ns = static_cast<std::uint64_t>(now_ns_ - begun_ns);
  leftovers_.after_attempt(had_scratch ? UINT64_MAX : header.run_ns, now_ns_);
  answer(header, parts);
}

void HostLoop::answer(ResultHeader header, const ResultParts& parts) {
  const std::size_t bytes = record_bytes(parts);
  if (bytes > kRingRecordMax) {
    send_large(header, parts);
    return;
  }
  while (!ring_.write(header, parts)) {
    ring_doorbell();
    ring_.wait_for_room();
  }
  if (gathered_bytes_ == 0) gathered_since_ns_ = now_ns_;
  gathered_bytes_ += bytes;
  if (gathered_bytes_ >= kGatherBytes || now_ns_ - gathered_since_ns_ >= kGatherNs) ring_doorbell();
}

void HostLoop::send_large(const ResultHeader& header, const ResultParts& parts) {
  const std::size_t bytes = record_bytes(parts);
  const auto size = static_cast<std::uint32_t>(bytes);
  large_.assign(reinterpret_cast<const char*>(&size), sizeof size);
  large_.resize(sizeof size + bytes);
  write_record(header, parts, large_.data() + sizeof size);
  write_all(large_.data(), large_.size());
  large_ = {};
}

void HostLoop::ring_doorbell() {
  if (gathered_bytes_ == 0) return;
  gathered_bytes_ = 0;
  const std::uint32_t nothing = 0;
  write_all(reinterpret_cast<const char*>(&nothing), sizeof nothing);
}

void HostLoop::write_all(const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t wrote = send(socket_, data, size, MSG_NOSIGNAL);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) _exit(kExitAgentGone);  // nobody is left to tell
    data += wrote;
    size -= static_cast<std::size_t>(wrote);
  }
}

}  // namespace retire::host
