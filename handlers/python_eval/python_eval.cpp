#include "handlers/python_eval/python_eval.hpp"

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>
#include <retire_cluster/payload.hpp>
#include <stdexcept>

#include "evaluator_source.hpp"
#include "handlers/support/find_program.hpp"
#include "handlers/support/syscall_filter.hpp"
#include "handlers/support/utf8.hpp"

namespace retire::handlers {
namespace {

namespace rc = retire_cluster;

constexpr std::size_t kAnswerBytesMax = std::size_t{2} * 1024 * 1024;  // above the evaluator's own limit of 1 MiB
constexpr std::size_t kErrorBytesMax = 4096;

constexpr std::array<Limit, 6> kLimits = {{
    {RLIMIT_AS, kPythonMemoryMax, kPythonMemoryMax},
    {RLIMIT_CPU, kPythonCpuSecondsMax, kPythonCpuSecondsMax + 1},  // SIGXCPU, and SIGKILL a second later
    {RLIMIT_FSIZE, 0, 0},
    {RLIMIT_NOFILE, 32, 32},
    {RLIMIT_NPROC, 0, 0},  // counts for the whole user, and binds none that is root
    {RLIMIT_CORE, 0, 0},
}};

// As the stand-ins of version managers are.
bool is_script(const std::string& file) {
  char head[2] = {};
  std::ifstream in(file, std::ios::binary);
  return in.read(head, sizeof(head)) && head[0] == '#' && head[1] == '!';
}

[[noreturn]] void throw_died(const ChildEnd& end, const BoundedOutput& err) {
  const int signal = end.signalled() ? -end.exit_code() : 0;
  if (signal == SIGXCPU || signal == SIGKILL) {
    throw rc::PermanentError("refused: the expression took more than " + std::to_string(kPythonCpuSecondsMax) +
                             " s of processor time");
  }
  std::string last = to_utf8(err.last(300));
  while (!last.empty() && last.back() == '\n') last.pop_back();
  last.erase(0, last.find_last_of('\n') + 1);
  const std::string how =
      signal != 0 ? "died of signal " + std::to_string(signal) : "ended with status " + std::to_string(end.exit_code());
  throw rc::PermanentError("python_eval: the evaluator " + how + (last.empty() ? "" : ": " + last));
}

}  // namespace

// The system's Python comes before whatever our own PATH would find.
PythonEval::PythonEval() : PythonEval("/usr/bin:/usr/local/bin:" + own_path()) {}

PythonEval::PythonEval(const std::string& path, std::string evaluator)
    : python_(find_program("python3", path)),
      evaluator_(std::move(evaluator)),
      filter_(computing_only(python_.c_str())),
      out_(2 * kAnswerBytesMax),
      err_(kErrorBytesMax) {
  if (python_.empty()) throw std::runtime_error("python_eval: no python3 in " + path);
  if (is_script(python_)) {  // it would need files and processes, which the limits forbid
    throw std::runtime_error("python_eval: " + python_ + " is a script and not Python itself");
  }
}

std::string PythonEval::evaluator_source() { return kEvaluatorSource; }

void PythonEval::run(const msgpack::object& payload, rc::Context& context) {
  const rc::Fields fields(payload, {"expression"});
  const std::string_view expression = fields.text("expression");
  if (expression.size() > kExpressionBytesMax) fields.refuse("expression", "must be at most 64 KiB");
  if (expression.find_first_not_of(" \t\r\n") == expression.npos) fields.refuse("expression", "must not be empty");
  context.throw_if_cancelled();

  // -I: no environment, no user's files, no current directory. -S: no site. -B: no bytecode written.
  std::array<std::string, 7> arguments = {"python3", "-I", "-S", "-E", "-B", "-c", evaluator_};
  std::array<char*, 8> argv{};
  for (std::size_t i = 0; i < arguments.size(); ++i) argv[i] = arguments[i].data();
  std::string locale = "LC_ALL=C.UTF-8";
  std::array<char*, 2> envp = {locale.data(), nullptr};

  ChildRequest request;
  request.program = python_.c_str();
  request.argv = argv.data();
  request.envp = envp.data();
  request.cwd = "/";
  request.input = expression;
  request.timeout_seconds = kPythonSecondsMax;
  request.grace_seconds = 0;
  request.limits = kLimits;
  request.no_new_privs = true;
  request.filter = filter_;
  out_.clear();
  err_.clear();
  const ChildEnd end = runner_.run(request, out_, err_, context);
  switch (end.kind) {
    case ChildEnd::Kind::NotStarted:
      throw std::runtime_error("python_eval: cannot start " + python_ + ": " + std::strerror(end.reason));
    case ChildEnd::Kind::Cancelled: throw rc::Cancelled();
    case ChildEnd::Kind::TimedOut: throw std::runtime_error("python_eval: timed out after 30 s");
    case ChildEnd::Kind::Exited: break;
  }

  const std::string answer = out_.truncated() ? std::string() : out_.text();
  if (end.status != 0 || answer.empty()) throw_died(end, err_);
  const std::string_view content = std::string_view(answer).substr(1);
  if (answer[0] == 'X') throw rc::PermanentError("refused: " + to_utf8(content));
  if (answer[0] == 'E') throw rc::PermanentError(to_utf8(content));
  // What another process wrote is checked like anything from outside.
  const rc::Bytes value(reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
  if (answer[0] != 'R' || rc::check_value(value, rc::kItemsUnlimited) != nullptr) {
    throw rc::PermanentError("python_eval: the evaluator gave an answer that makes no sense");
  }
  result_.clear();
  msgpack::packer<msgpack::sbuffer> packer(result_);
  packer.pack_map(2);
  packer.pack("result");
  result_.write(content.data(), content.size());
  packer.pack("expression");
  packer.pack(expression);
  context.result({reinterpret_cast<const std::uint8_t*>(result_.data()), result_.size()});
}

}  // namespace retire::handlers
