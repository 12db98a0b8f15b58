#include "handlers/command/command.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "handlers/command/environment.hpp"
#include "handlers/support/find_program.hpp"
#include "handlers/support/utf8.hpp"

namespace retire::handlers {
namespace {

namespace rc = retire_cluster;

constexpr std::size_t kArgumentsMax = 65536;
constexpr std::size_t kErrorTail = 500;  // of stderr, in the message of a failed check

// What is to be started. The texts end with NUL, which msgpack's do not.
struct Program {
  std::vector<std::string> arguments;
  std::string file;
};

std::string terminated(const rc::Fields& fields, std::string_view field, std::string_view text) {
  if (text.find('\0') != text.npos) fields.refuse(field, "must not hold a NUL");
  return std::string(text);
}

std::vector<std::string> read_arguments(const rc::Fields& fields) {
  const msgpack::object& command = fields.value("command");
  if (command.type == msgpack::type::STR) {
    const std::string line = terminated(fields, "command", {command.via.str.ptr, command.via.str.size});
    if (line.find_first_not_of(" \t\r\n") == line.npos) fields.refuse("command", "must not be empty");
    return {"sh", "-c", line};
  }
  if (command.type != msgpack::type::ARRAY) fields.refuse("command", "must be a string or a list of strings", command);
  const msgpack::object_array& list = command.via.array;
  if (list.size == 0) fields.refuse("command", "must not be empty");
  if (list.size > kArgumentsMax) fields.refuse("command", "must have at most 65536 arguments");
  std::vector<std::string> arguments;
  arguments.reserve(list.size);
  for (std::uint32_t i = 0; i < list.size; ++i) {
    const msgpack::object& item = list.ptr[i];
    if (item.type != msgpack::type::STR) fields.refuse("command", "must be a list of strings only", item);
    arguments.push_back(terminated(fields, "command", {item.via.str.ptr, item.via.str.size}));
  }
  if (arguments.front().empty()) fields.refuse("command", "must name a program first");
  return arguments;
}

std::string find_shell(std::string_view path) {
  static const bool usual = access("/bin/sh", X_OK) == 0;  // Android has it elsewhere
  return usual ? "/bin/sh" : find_program("sh", path);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::string seconds_text(double seconds) {
  std::string text = std::to_string(seconds);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text + " s";
}

// Says why nothing was started. Most reasons are in the payload or on this device, and stay.
[[noreturn]] void throw_not_started(const ChildEnd& end, const std::string& program, const std::string& cwd) {
  const std::string reason = std::strerror(end.reason);
  if (end.failed == SpawnStage::Cwd) throw rc::PermanentError("command: cannot enter cwd \"" + cwd + "\": " + reason);
  const std::string message = "command: cannot start \"" + program + "\": " + reason;
  const bool may_pass = end.reason == EAGAIN || end.reason == ENOMEM || end.reason == EMFILE || end.reason == ENFILE ||
                        end.reason == ETXTBSY || end.reason == EIO;
  if (end.failed == SpawnStage::Exec && !may_pass) throw rc::PermanentError(message);
  throw std::runtime_error(message);
}

std::string check_message(const ChildEnd& end, const BoundedOutput& err) {
  std::string message = "command: ";
  if (end.signalled()) {
    message += "died of signal " + std::to_string(-end.exit_code());
    if (const char* name = sigabbrev_np(-end.exit_code())) message += std::string(" (SIG") + name + ")";
  } else {
    message += "exited with status " + std::to_string(end.exit_code());
  }
  std::string tail = to_utf8(err.last(kErrorTail));
  while (!tail.empty() && (tail.back() == '\n' || tail.back() == '\r')) tail.pop_back();
  return tail.empty() ? message : message + ": " + tail;
}

}  // namespace

CommandResult Command::run(const msgpack::object& payload, rc::Context& context) {
  const rc::Fields fields(payload, {"command", "timeout", "cwd", "env", "stdin", "check"});
  std::vector<std::string> arguments = read_arguments(fields);
  const bool is_line = fields.value("command").type == msgpack::type::STR;
  const double timeout = fields.number_or("timeout", 0, 0, kCommandSecondsMax);
  if (fields.has("timeout") && timeout == 0) fields.refuse("timeout", "must be more than 0");
  const std::string cwd = terminated(fields, "cwd", fields.text_or("cwd", ""));
  if (fields.has("cwd") && cwd.empty()) fields.refuse("cwd", "must not be empty");
  const std::optional<rc::Fields> env = fields.map_or_none("env");
  std::vector<std::string> environment = make_environment(env ? &*env : nullptr);
  const std::string_view input = fields.text_or("stdin", "");
  const bool check = fields.boolean_or("check", false);
  context.throw_if_cancelled();

  const std::string_view path = lookup(environment, "PATH");
  std::string file = arguments.front();
  if (is_line) {
    file = find_shell(path);
  } else if (file.find('/') == file.npos) {
    file = find_program(file, path);
  }
  if (file.empty()) {
    throw rc::PermanentError("command: no program \"" + arguments.front() + "\" in PATH " + std::string(path));
  }

  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(environment);
  ChildRequest request;
  request.program = file.c_str();
  request.argv = argv.data();
  request.envp = envp.data();
  request.cwd = cwd.empty() ? nullptr : cwd.c_str();
  request.input = input;
  request.timeout_seconds = timeout;

  out_.clear();
  err_.clear();
  const ChildEnd end = runner_.run(request, out_, err_, context);
  switch (end.kind) {
    case ChildEnd::Kind::NotStarted: throw_not_started(end, arguments.front(), cwd);
    case ChildEnd::Kind::Cancelled: throw rc::Cancelled();
    case ChildEnd::Kind::TimedOut: throw std::runtime_error("command: timed out after " + seconds_text(timeout));
    case ChildEnd::Kind::Exited: break;
  }
  if (check && end.status != 0) throw std::runtime_error(check_message(end, err_));

  CommandResult result;
  result.return_code = end.exit_code();
  result.out = to_utf8(out_.text());
  result.err = to_utf8(err_.text());
  result.command = fields.value("command");
  result.truncated = out_.truncated() || err_.truncated();
  return result;
}

}  // namespace retire::handlers
