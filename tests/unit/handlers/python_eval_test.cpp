#include "handlers/python_eval/python_eval.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <retire_cluster/plugin.hpp>

#include "tests/unit/plugins/fake_attempt.hpp"
#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire::handlers {
namespace {

using nlohmann::json;
using test::FakeAttempt;
using testing::HasSubstr;
using testing::StartsWith;

class PythonEvalTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!python_.created()) GTEST_SKIP() << python_.refusal;
  }
  json value(const std::string& expression) {
    EXPECT_EQ(python_.run({{"expression", expression}}, attempt_), RC_OK) << expression << ": " << attempt_.error;
    const json result = attempt_.result_json();
    EXPECT_EQ(result.at("expression"), expression);
    return result.at("result");
  }
  std::string failure(const std::string& expression) {
    EXPECT_EQ(python_.run({{"expression", expression}}, attempt_), RC_FAILED_PERMANENTLY) << expression;
    return attempt_.error;
  }

  test::Hosted python_{retire_cluster::handler<PythonEval>("python_eval", "")};
  FakeAttempt attempt_;
};

TEST_F(PythonEvalTest, EvaluatesExpressions) {
  const std::pair<std::string, json> cases[] = {
      {"2 + 2", 4},
      {" (1 + 2) * 3 - 4 / 8 ", 8.5},
      {"7 // 2, 7 % 3, 2 ** 10, -5, ~1, 1 << 4, 256 >> 3, 6 & 3, 6 | 3, 6 ^ 3", {3, 1, 1024, -5, -2, 16, 32, 2, 7, 5}},
      {"sum(range(1000000))", 499999500000},
      {"[x ** 2 for x in range(6) if x % 2]", {1, 9, 25}},
      {"{k: v for k, v in zip(['a', 'b'], [1, 2])}", {{"a", 1}, {"b", 2}}},
      {"{3, 1, 2}", {1, 2, 3}},
      {"(1, 'two', 3.0, None, True)", {1, "two", 3.0, nullptr, true}},
      {"'yes' if 1 < 2 <= 2 and not False else 'no'", "yes"},
      {"sorted([3, -1, 2], key=abs, reverse=True)", {3, 2, -1}},
      {"[1, 2, 3, 4][1:3] + [5]", {2, 3, 5}},
      {"'abc'[::-1] * 2", "cbacba"},
      {"max(*[1, 5, 3]), min(2, 1), len('four'), round(2.567, 1), abs(-3)", {5, 1, 4, 2.6, 3}},
      {"list(map(str, [1, 2])), list(filter(None, [0, 1]))", {{"1", "2"}, {1}}},
      {"any(x > 2 for x in [1, 3])", true},
      {"divmod(7, 2)", {3, 1}},
      {"pow(3, 200, 7)", 2},
      {"9223372036854775807, -9223372036854775808, 18446744073709551615",
       {9223372036854775807, INT64_MIN, 18446744073709551615u}},
      {"{'a': {'b': [1, {'c': None}]}}", {{"a", {{"b", {1, {{"c", nullptr}}}}}}}},
      {"'\xc3\xa9' + '\\u20ac'", "\xc3\xa9\xe2\x82\xac"},
      {"1e3", 1000.0},
      {"enumerate('ab')", {{0, "a"}, {1, "b"}}},
      {"(x for x in [1])", {1}},
      {"'a' in 'abc' and 3 not in [1, 2]", true},
      {"{**{'a': 1}, 'b': 2}", {{"a", 1}, {"b", 2}}},
      {"[y for x in [[1, 2], [3]] for y in x]", {1, 2, 3}},
      {"0x1f, 0b101, 0o17, 1_000", {31, 5, 15, 1000}},
      {"1 if [] else 2", 2},
      {"not 1, not 0", {false, true}},
      {"1 == 1.0, 1 != 2, 'a' < 'b', [1] <= [1, 2]", {true, true, true, true}},
      {"None is None, 'a' is not None", {true, true}},
      {"'x' or 1 / 0, 0 and 1 / 0", {"x", 0}},
      {"(1, 2) + (3,), [0] * 3, 'ab' * 2", {{1, 2, 3}, {0, 0, 0}, "abab"}},
      {"{'a': 1, 'b': 2}['b']", 2},
      {"[1, 2, 3][-1], (4, 5, 6)[1:], 'hello'[1::2]", {3, {5, 6}, "el"}},
      {"[[i, j] for i in range(2) for j in range(2) if i != j]", {{0, 1}, {1, 0}}},
      {"{n % 3 for n in range(9)}", {0, 1, 2}},
      {"{k: n for n, k in enumerate('abc')}", {{"a", 0}, {"b", 1}, {"c", 2}}},
      {"[a + b for a, b in zip([1, 2], [10, 20])]", {11, 22}},
      {"sum([1.5, 2.5]), sum([], 5), sum([[1], [2]], [])", {4.0, 5, {1, 2}}},
      {"min([3, 1], key=abs), max('a', 'b'), max([], default=0)", {1, "b", 0}},
      {"int('42'), int('ff', 16), int(3.9), float('2.5'), bool([]), str(1.5)", {42, 255, 3, 2.5, false, "1.5"}},
      {"bin(5), hex(255), oct(8), chr(97), ord('a')", {"0b101", "0xff", "0o10", "a", 97}},
      {"list(reversed([1, 2])), list('ab'), tuple([1]), sorted({3, 1})", {{2, 1}, {"a", "b"}, {1}, {1, 3}}},
      {"dict([('a', 1)], b=2)", {{"a", 1}, {"b", 2}}},
      {"all([1, 0]), all([]), any([])", {false, true, false}},
      {"set([2, 2, 1])", {1, 2}},
      {"len({'a': 1}), len(range(10 ** 6)), 5 in range(10 ** 7)", {1, 1000000, true}},
      {"[*range(3), *[7]]", {0, 1, 2, 7}},
      {"round(1234.5678, -2), round(-0.5), 7.0 // 2", {1200.0, 0, 3.0}},
      {"[x for x in [1, 2, 3] if x > 1 if x < 3]", {2}},
      {"sum(i * i for i in range(100))", 328350},
      {"-(-3), +4, -2 ** 2, 2 ** -1", {3, 4, -4, 0.5}},
      {"'%' + 'd'", "%d"},
  };
  static_assert(std::size(cases) >= 40);
  for (const auto& [expression, expected] : cases) EXPECT_EQ(value(expression), expected) << expression;
}

TEST_F(PythonEvalTest, AFailingExpressionTellsItsException) {
  const std::pair<std::string, std::string> cases[] = {
      {"1 / 0", "ZeroDivisionError: division by zero"},
      {"[1][5]", "IndexError: list index out of range"},
      {"{}['missing']", "KeyError: 'missing'"},
      {"int('x')", "ValueError: invalid literal for int() with base 10: 'x'"},
      {"'a' + 1", "TypeError: "},
      {"1 +", "SyntaxError: "},
      {"x = 1", "SyntaxError: "},
      {"import os", "SyntaxError: "},
      {"2 ** 100", "result: integer beyond 64 bit"},
      {"-2 ** 63 - 1", "result: integer beyond 64 bit"},
      {"(-1) ** 0.5", "result: complex has no form in JSON"},
      {"float('nan')", "result: nan has no form in JSON"},
      {"{1: 2}", "result: a key of a dict must be a string, got int"},
      {"abs", "result: builtin_function_or_method has no form in JSON"},
      {"'\\ud800'", "result: text that is not valid Unicode"},
  };
  for (const auto& [expression, message] : cases) EXPECT_THAT(failure(expression), StartsWith(message)) << expression;
}

TEST_F(PythonEvalTest, RefusesWaysOut) {
  const std::string cases[] = {
      "().__class__",
      "().__class__.__bases__[0].__subclasses__()",
      "''.__class__.__mro__",
      "'{0.__class__}'.format(1)",
      "f'{1}'",
      "f'{().__class__}'",
      "__import__('os').system('id')",
      "__import__",
      "__builtins__",
      "__builtins__['open']",
      "__name__",
      "open('/etc/passwd').read()",
      "open('/etc/passwd')",
      "eval('1')",
      "exec('1')",
      "compile('1', '', 'eval')",
      "globals()",
      "locals()",
      "vars()",
      "dir()",
      "getattr(1, 'real')",
      "setattr(1, 'a', 2)",
      "hasattr(1, 'real')",
      "type(1)",
      "type('X', (), {})",
      "object()",
      "super()",
      "input()",
      "print(1)",
      "breakpoint()",
      "help()",
      "exit()",
      "memoryview(b'a')",
      "bytearray(10)",
      "bytes(10)",
      "b'bytes'",
      "1j",
      "...",
      "lambda: 1",
      "(lambda: ().__class__)()",
      "(x := 1)",
      "[y for x in [1] if (y := x)]",
      "[open for open in [1]][0]('/etc/passwd')",
      "[f('/etc/passwd') for f in [open]]",
      "[abs for abs in [1]]",
      "[f(1) for f in [abs]]",
      "(abs)(1)(2)",
      "[abs][0](1)",
      "dict(**{'a': 1})",
      "dict(__class__=1)",
      "[__x for __x in [1]]",
      "[0 for x.y in [1]]",
      "[0 for x[0] in [1]]",
      "(yield)",
      "(await x)",
      "[x async for x in []]",
      "1 @ 2",
      "os",
      "sys.modules",
      "evaluate('1')",
      "CALLS",
      "guarded_pow",
      "Encoder()",
      "iter([1])",
      "next(x for x in [1])",
      "id(1)",
      "hash('a')",
      "isinstance(1, int)",
      "callable(abs)",
      "format(1, '1000000000d')",
      "repr(1)",
      "ascii(1)",
      "slice(1)",
      "frozenset([1])",
      "staticmethod(abs)",
      "str.format('{}', 1)",
      "int.from_bytes",
      "[].append(1)",
      "(x for x in [1]).gi_frame",
      "(x for x in [1]).gi_frame.f_back.f_globals",
      "[x for x in [1]].__class__.__base__",
      "''.join(['a'])",
      "'{}'.format",
      "'{a.__init__.__globals__}'.format_map({})",
      "f'{abs:__class__}'",
      "f'{(lambda: 1)()}'",
      "rb'x'",
      "(1).real",
      "1 .real",
      "abs.__self__",
      "abs.__call__(1)",
      "\uff4f\uff50\uff45\uff4e('/etc/passwd')",        // fullwidth letters: Python reads "open"
      "\U0001d4ee\U0001d4ff\U0001d4ea\U0001d4f5('1')",  // script letters: "eval"
      "_\uff3f"
      "builtins_\uff3f",                    // fullwidth low lines: "__builtins__"
      "[0 for \uff41\uff42\uff53 in [1]]",  // binds "abs"
      "sorted([1], **{'key': abs})",
      "sorted([1], key=__import__)",
      "map(eval, ['1'])",
      "[*(eval,)]",
      "{'a': open}['a']('/etc/passwd')",
      "(open if 1 else abs)('/etc/passwd')",
      "(abs or open)(1)",
      "[lambda: 1 for x in [1]]",
      "{(yield): 1}",
      "[(y := 1) for x in [1]]",
      "x if (x := 1) else 0",
      "abs(x=(y := 1))",
      "[1 for __builtins__ in [1]]",
      "[__builtins__ for x in [1]]",
      "[0 for first, *rest in [[1, 2]]]",
      "NotImplemented",
      "Ellipsis",
      "BaseException",
      "__debug__",
      "__loader__",
      "__spec__",
      "quit",
      "copyright()",
      "property(abs)",
      "classmethod(abs)",
      "delattr(1, 'a')",
      "issubclass(bool, int)",
      "complex(1, 2)",
      "aiter([])",
  };
  static_assert(std::size(cases) >= 40);
  for (const std::string& expression : cases) {
    const std::string message = failure(expression);
    const bool by_checker = message.starts_with("refused: ");
    const bool by_grammar = message.starts_with("SyntaxError: ");  // Python itself does not take it as an expression
    EXPECT_TRUE(by_checker || (by_grammar && expression.find("await") != expression.npos))
        << expression << " -> " << message;
    EXPECT_GT(message.size(), std::string("refused: ").size()) << "and it is said why";
  }
}

TEST_F(PythonEvalTest, RefusesBombs) {
  const std::string cases[] = {
      "9 ** 9 ** 9",
      "1 + 9 ** 9 ** 9",
      "[1, (2, 9 ** 9 ** 9)]",
      "pow(9, 999999999)",
      "list(map(pow, [9], [999999999]))",
      "1 << 10 ** 10",
      "'a' * 10 ** 10",
      "10 ** 10 * 'a'",
      "[0] * 10 ** 9",
      "(0,) * 10 ** 9",
      "[[0] * 1000000, [0] * 1000001]",
      "'%1000000000d' % 1",
      "'%*d' % (1000000000, 1)",
      "list(range(10 ** 9))",
      "range(10 ** 30)",
      "sum(range(10 ** 12))",
      "round(5, -10 ** 9)",
      "int('9' * 100000)",
      "str(2 ** 60000)",
      "'x' * 1000000 + 'x'",
      "sum([[0] * 600000, [0] * 600000], [])",
      "'x' * 1000000 * 2",
      "list(range(1000000)) * 2",
      "[[0] * 1000] * 10000",
      std::string(5000, '-') + "1",
      "1" + std::string(20000, ' ') + std::string("+1", 2) +
          [] {
            std::string sum;
            for (int i = 0; i < 2000; ++i) sum += "+1";
            return sum;
          }(),
  };
  for (const std::string& expression : cases)
    EXPECT_THAT(failure(expression), StartsWith("refused: ")) << expression.substr(0, 60);
}

// The second fence alone: the same evaluator without its checks, and with all of Python's builtins.
class UncheckedPythonTest : public testing::Test {
 protected:
  static std::string unchecked_source() {
    std::string source = PythonEval::evaluator_source();
    const auto replace = [&](const std::string& what, const std::string& by) {
      const std::size_t at = source.find(what);
      ASSERT_NE(at, source.npos) << what;
      source.replace(at, what.size(), by);
    };
    replace("    guard(check(tree))\n", "");
    replace("names[\"__builtins__\"] = {}", "names[\"__builtins__\"] = __builtins__");
    replace(
        "from struct import pack\n",
        "from struct import pack\nimport os, socket, subprocess, signal, threading, ctypes, mmap, fcntl, resource\n");
    replace("names = dict(CALLS)",
            "names = dict(CALLS, os=os, socket=socket, subprocess=subprocess, signal=signal, threading=threading,"
            " ctypes=ctypes, mmap=mmap, fcntl=fcntl, resource=resource)");
    return source;
  }
  void SetUp() override {
    try {
      python_ = std::make_unique<PythonEval>("/usr/bin:/usr/local/bin", unchecked_source());
    } catch (const std::runtime_error& error) {
      GTEST_SKIP() << error.what();
    }
  }
  // The value as JSON, or the failure's message.
  std::string run(const std::string& expression) {
    const std::string payload = test::to_msgpack({{"expression", expression}});
    const msgpack::object_handle decoded = msgpack::unpack(payload.data(), payload.size());
    retire_cluster::Context context(&attempt_.context());
    try {
      python_->run(decoded.get(), context);
    } catch (const std::exception& error) {
      return error.what();
    }
    return attempt_.result_json().at("result").dump();
  }
  std::unique_ptr<PythonEval> python_;
  FakeAttempt attempt_;
};

TEST_F(UncheckedPythonTest, RunsWhatTheFirstFenceWouldRefuse) {
  ASSERT_EQ(run("(lambda: 'x'.upper())()"), "\"X\"") << "else the tests below would show nothing";
  ASSERT_EQ(run("os.getpid() > 1"), "true");
}

TEST_F(UncheckedPythonTest, IsHeldByTheSecond) {
  const test::TemporaryDirectory directory;
  const std::string victim = directory.write("victim", "kept").string();
  const std::string made = (directory.path() / "made").string();
  const std::string denied = "Operation not permitted";
  const std::string refused = "[-1," + std::to_string(EPERM) + "]";
  const std::string unknown = "[-1," + std::to_string(ENOSYS) + "]";
  const auto call = [](long number, const std::string& arguments) {
    return "[ctypes.CDLL(None, use_errno=True).syscall(" + std::to_string(number) + ", " + arguments +
           "), ctypes.get_errno()]";
  };
  const std::pair<std::string, std::string> cases[] = {
      {"open('/etc/passwd').read()", "Too many open files"},
      {"open('" + made + "', 'w')", denied},
      {"os.open('" + victim + "', os.O_WRONLY)", denied},
      {"os.open('" + victim + "', os.O_RDONLY | os.O_TRUNC)", denied},
      {"os.truncate('" + victim + "', 0)", denied},
      {"os.unlink('" + victim + "')", denied},
      {"os.rename('" + victim + "', '" + made + "')", denied},
      {"os.link('" + victim + "', '" + made + "')", denied},
      {"os.symlink('" + victim + "', '" + made + "')", denied},
      {"os.chmod('" + victim + "', 0o777)", denied},
      {"os.mkdir('" + made + "')", denied},
      {"os.mkfifo('" + made + "')", denied},
      {"os.fork()", denied},
      {"os.system('true') in (-1, 127 << 8)", "true"},  // as C libraries say that they could not
      {"subprocess.run(['true'])", denied},
      {"os.posix_spawn('/bin/true', ['true'], {})", denied},
      {"os.execv('/bin/true', ['true'])", denied},
      {"threading.Thread(target=print).start()", "can't start new thread"},
      {"socket.socket()", denied},
      {"socket.socket(socket.AF_UNIX)", denied},
      {"socket.socketpair()", denied},
      {"os.kill(os.getppid(), signal.SIGKILL)", denied},
      {"os.kill(-1, signal.SIGKILL)", denied},
      {"os.pipe()", denied},
      {"os.memfd_create('x')", denied},
      {"os.listdir('/')", "Too many open files"},
      {"ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)", "-1"},
      {"ctypes.CDLL(None).unshare(0x10000000)", "-1"},
      {"ctypes.CDLL(None).syscall(425, 1, 0)", "-1"},  // io_uring_setup
      {"ctypes.CDLL(None).prctl(22, 1, 0, 0, 0)", "-1"},
      {"len(mmap.mmap(-1, 1 << 30))", "Cannot allocate memory"},
      {"bytearray(1 << 30)", "MemoryError"},
      {"os.setpriority(os.PRIO_PROCESS, 0, -5)", denied},
      {"os.sched_setscheduler(os.getppid(), os.SCHED_OTHER, os.sched_param(0))", denied},
      {"resource.prlimit(os.getppid(), resource.RLIMIT_CORE)", denied},
      {"fcntl.fcntl(1, fcntl.F_SETOWN, os.getppid())", denied},
      {"fcntl.fcntl(1, fcntl.F_SETSIG, signal.SIGKILL)", denied},
      {"fcntl.fcntl(1, 15, bytes(8))", denied},  // F_SETOWN_EX
      // A signal by another call; 0 only asks whether it may be sent.
      {call(SYS_rt_sigqueueinfo, "os.getppid(), 0, bytes(8) + b'\\xff' * 4 + bytes(116)"), refused},
      {call(SYS_rt_tgsigqueueinfo, "os.getppid(), os.getppid(), 0, bytes(8) + b'\\xff' * 4 + bytes(116)"), refused},
      {call(SYS_ioprio_set, "1, os.getppid(), 4 << 13"), refused},
      {call(SYS_mq_unlink, "b'no-such-queue'"), refused},
      {call(SYS_shmctl, "-1, 0, 0"), refused},
      {call(SYS_sync, "0"), refused},
      // Calls that are newer than this file: by what number they may get in, the kernel has them not.
      {call(424, "0, 0, 0, 0"), unknown},                                // pidfd_send_signal
      {call(434, "os.getppid(), 0"), unknown},                           // pidfd_open
      {call(437, "-100, b'/etc/passwd', 0, 0"), unknown},                // openat2
      {call(452, "-100, b'" + victim + "', 0o777, 0"), unknown},         // fchmodat2
      {call(463, "-100, b'" + victim + "', 0, b'user.x', 0"), unknown},  // setxattrat
      {call(600, "0"), unknown},
  };
  for (const auto& [expression, message] : cases) {
    EXPECT_THAT(run(expression), HasSubstr(message)) << expression;
    EXPECT_FALSE(std::filesystem::exists(made)) << expression;
    std::ifstream in(victim);
    std::string text;
    in >> text;
    ASSERT_EQ(text, "kept") << expression;
  }
}

TEST_F(PythonEvalTest, StaysWithinItsMemory) {
  EXPECT_THAT(failure("[x for x in range(10000000)]"), HasSubstr("MemoryError: the memory limit was reached"));
  EXPECT_THAT(failure("len([[0] * 1000000 for x in range(1000)])"),
              HasSubstr("MemoryError: the memory limit was reached"));
}

TEST_F(PythonEvalTest, BoundsTheResult) {
  EXPECT_THAT(failure("'x' * 1000000, 'y' * 1000000"),
              HasSubstr("refused: the result is over the limit of 1048576 bytes"));
  EXPECT_EQ(value("'x' * 1000000").get<std::string>().size(), 1000000u);
}

TEST_F(PythonEvalTest, ParenthesesBeyondReasonAreAnError) {
  EXPECT_THAT(failure(std::string(3000, '(') + "1" + std::string(3000, ')')),
              testing::AnyOf(StartsWith("SyntaxError"), StartsWith("refused: "), StartsWith("MemoryError")));
}

TEST_F(PythonEvalTest, EndsAtOnceWhenCancelled) {
  int asked = 0;
  attempt_.cancel_when([&] { return ++asked > 2; });  // once before it starts, then while it runs
  EXPECT_EQ(python_.run({{"expression", "[0 for x in range(10000000) for y in range(10000000) if 0]"}}, attempt_),
            RC_CANCELLED);
}

TEST_F(PythonEvalTest, RefusesPayloadsNamingTheField) {
  const std::pair<json, std::string> cases[] = {
      {json::object(), "field \"expression\" is missing"},
      {{{"expression", 4}}, "field \"expression\" must be a string, got integer"},
      {{{"expression", ""}}, "field \"expression\" must not be empty"},
      {{{"expression", " \n"}}, "field \"expression\" must not be empty"},
      {{{"expression", std::string(70000, '1')}}, "field \"expression\" must be at most 64 KiB"},
      {{{"expression", "1"}, {"variables", {{"a", 1}}}}, "field \"variables\" is not known"},
      {"1 + 1", "payload must be a map, got string"},
  };
  for (const auto& [payload, message] : cases) {
    EXPECT_EQ(python_.run(payload, attempt_), RC_FAILED_PERMANENTLY);
    EXPECT_THAT(attempt_.error, HasSubstr(message));
  }
}

std::string refusal_for(const std::string& path) {
  try {
    const PythonEval handler(path);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "none";
}

TEST(PythonEval, IsNotOfferedWithoutPython) {
  EXPECT_EQ(refusal_for("/no/such/place"), "python_eval: no python3 in /no/such/place");
  const test::TemporaryDirectory directory;
  const std::filesystem::path shim = directory.write("python3", "#!/bin/sh\nexec python3.11 \"$@\"\n");
  std::filesystem::permissions(shim, std::filesystem::perms::owner_all);
  EXPECT_EQ(refusal_for(directory.path().string()),
            "python_eval: " + shim.string() + " is a script and not Python itself");
}

}  // namespace
}  // namespace retire::handlers
