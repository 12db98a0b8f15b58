// The settings of a program: declared once, and read from flags, environment variables and a file.
//
//   struct Options { std::string host = "0.0.0.0"; std::uint16_t port = 8080; std::vector<std::string> tags; };
//   Options options;
//   config::CommonOptions common;                                     // common_flags.hpp
//   config::Flags flags("retire-cluster-main", "Owns the queue.");
//   config::add_common_flags(flags, common);
//   flags.add("host", options.host, "address to listen on");          // the default is what `options.host` holds now
//   flags.add("port", options.port, "port to listen on").range(0, 65535);
//   flags.add("tag", options.tags, "a tag of this device");           // a vector: repeatable
//   flags.add("http-port", options.http_port, "…").later("the HTTP gateway comes later");
//   const Result<config::Parsed> parsed = flags.parse(argc, argv, config::process_environment());
//   if (const auto status = config::ends_here(parsed, "retire-cluster-main", std::cout, std::cerr)) return *status;
//   logging::start(…);  for (const std::string& notice : parsed.value().notices) logging::info("{}", notice);
//
// Precedence: a flag beats its environment variable RETIRE_CLUSTER_<FLAG> (upper case, dashes as underscores;
// repeatable ones separated by commas; set to nothing counts as not set), which beats the TOML file of --config (the
// flag's name as key, with dashes or underscores; arrays for repeatable ones), which beats the default.
//
// Errors are one line that says what was wrong, with which value, and what to do: code Invalid for wrong usage
// (exit 2), Configuration for the environment and the file (exit 3).
//
// Ownership: targets must outlive parse(), which writes them. Threads: one.
// This header names no library: CLI11 and toml++ are known to a .cpp each.
#pragma once

#include <functional>
#include <iosfwd>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/base/result.hpp"
#include "common/config/environment.hpp"
#include "common/config/exit_status.hpp"
#include "common/config/values.hpp"

namespace retire::config {

// Where a value came from; a later one beats an earlier one.
enum class Source : std::uint8_t { Default, File, Variable, Flag };

// One declared setting. The setters return *this, to be chained.
class Flag {
 public:
  // How the value is called in --help, e.g. "SECONDS".
  Flag& value_name(std::string name) { return value_name_ = std::move(name), *this; }
  // The least and the largest number allowed.
  Flag& range(double min, double max) { return min_ = min, max_ = max, *this; }
  // The words allowed.
  Flag& one_of(std::vector<std::string> words) { return words_ = std::move(words), *this; }
  // The value may be left out (--NAME, --NAME=VALUE); then it is this one.
  Flag& bare(std::string value) { return bare_ = std::move(value), *this; }
  // Any other check of one value: returns what the value must be ("an address, HOST[:PORT]"), or nullopt if it is fine.
  Flag& check(std::function<std::optional<std::string>(const std::string&)> check) {
    return check_ = std::move(check), *this;
  }
  // Not built yet: validated, has no effect, and Parsed::notices says so when it was given. `why` is a clause such as
  // "the HTTP gateway comes later".
  Flag& later(std::string why) { return later_ = std::move(why), *this; }
  // Not shown by --help.
  Flag& hidden() { return hidden_ = true, *this; }
  // Its value is never repeated in an error or written to a file.
  Flag& secret() { return secret_ = true, *this; }
  // Neither in the environment nor in a file.
  Flag& only_flag() { return only_flag_ = true, *this; }
  // Shown by --help in place of the default.
  Flag& default_text(std::string text) { return default_text_ = std::move(text), *this; }
  // Also written so, as -f.
  Flag& letter(char letter) { return letter_ = letter, *this; }
  // A positional that must be there.
  Flag& required() { return required_ = true, *this; }

 private:
  friend class Flags;
  friend class CommandLine;
  friend class HelpWriter;

  std::string name_;  // without the dashes
  std::string help_;
  Kind kind_ = Kind::Text;
  bool positional_ = false;
  bool negatable_ = false;  // also --no-NAME
  bool common_ = false;
  std::string value_name_;
  std::optional<double> min_;
  std::optional<double> max_;
  std::vector<std::string> words_;
  std::function<std::optional<std::string>(const std::string&)> check_;
  std::string later_;
  std::optional<std::string> bare_;
  bool hidden_ = false;
  bool secret_ = false;
  bool only_flag_ = false;
  bool required_ = false;
  char letter_ = 0;  // 0: none
  std::optional<std::string> default_text_;
  std::vector<std::string> default_;  // as text; empty: none
  // Writes the target. Returns what a value must be, if one is not.
  std::function<std::optional<std::string>(const std::vector<std::string>&)> assign_;
};

struct Parsed {
  bool wants_exit = false;  // --help, --version or --init-config: print `text` on stdout and end with Exit::Ok
  std::string text;
  std::vector<std::string> verbs;                      // the chosen sub-commands, outermost first
  std::vector<std::string> notices;                    // one line each, to be logged once logging is set up
  std::map<std::string, Source, std::less<>> sources;  // of each setting

  Source source(std::string_view name) const {
    const auto found = sources.find(name);
    return found == sources.end() ? Source::Default : found->second;
  }
  bool given(std::string_view name) const { return source(name) != Source::Default; }
};

class Flags {
 public:
  Flags(std::string program, std::string summary);
  ~Flags();
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  // Declares --NAME. A bool target is a switch (--NAME); an optional<bool> one is also --no-NAME.
  template <Value T>
  Flag& add(std::string name, T& target, std::string help) {
    Flag& flag = declare(std::move(name), std::move(help), kind_of<T>());
    if (flag.kind_ != Kind::Switch) flag.default_ = {show_value(target)};
    flag.assign_ = [&flag, &target](const std::vector<std::string>& texts) {
      return assign(flag, texts.back(), target);
    };
    return flag;
  }
  template <Value T>
  Flag& add(std::string name, std::optional<T>& target, std::string help) {
    Flag& flag = declare(std::move(name), std::move(help), kind_of<T>());
    flag.negatable_ = flag.kind_ == Kind::Switch;
    flag.assign_ = [&flag, &target](const std::vector<std::string>& texts) {
      return assign(flag, texts.back(), target.emplace());
    };
    return flag;
  }
  Flag& add(std::string name, std::vector<std::string>& target, std::string help);

  // Declares an argument without a name, read in the order of declaration. NAME is shown in upper case by --help.
  template <class T>
  Flag& positional(std::string name, T& target, std::string help) {
    Flag& flag = add(std::move(name), target, std::move(help));
    flag.positional_ = true;
    flag.default_.clear();
    return flag;
  }

  // Declares a sub-command; its flags are its own and this one's. One must then be given.
  Flags& verb(std::string name, std::string summary);

  // Adds --init-config: writes a commented file to --config, never over one, mode 0600; the flags given beside it are
  // written as settings. parse() does it.
  void add_init_config();

  // What is declared from now on is listed under "Common flags" by --help.
  void begin_common() { in_common_ = true; }
  void end_common() { in_common_ = false; }

  // Runs after all values are there, in the order added; a failure is the result of parse().
  void after(std::function<Status(const Parsed&)> hook) { hooks_.push_back(std::move(hook)); }

  // Reads everything and writes the targets. To be called once.
  Result<Parsed> parse(const std::vector<std::string>& arguments, const Environment& environment);
  Result<Parsed> parse(int argc, const char* const* argv, const Environment& environment);

  const std::string& program() const { return program_; }

 private:
  friend class HelpWriter;
  friend class CommandLine;

  template <class T>
  static std::optional<std::string> assign(const Flag& flag, const std::string& text, T& target) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      // Through the widest type of the same signedness, so that one reader serves all.
      using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
      const Wide min = flag.min_ ? static_cast<Wide>(*flag.min_) : Wide{std::numeric_limits<T>::min()};
      const Wide max = flag.max_ ? static_cast<Wide>(*flag.max_) : Wide{std::numeric_limits<T>::max()};
      Wide value{};
      std::optional<std::string> wrong;
      if constexpr (std::is_signed_v<T>) {
        wrong = read_signed(text, min, max, value);
      } else {
        wrong = read_whole(text, min, max, value);
      }
      if (!wrong) target = static_cast<T>(value);
      return wrong;
    } else if constexpr (std::is_same_v<T, double>) {
      double value = 0;
      const bool good =
          !read_value(text, value) && !(flag.min_ && value < *flag.min_) && !(flag.max_ && value > *flag.max_);
      if (good) target = value;
      return good ? std::nullopt : std::optional<std::string>(number_rule(flag));
    } else {
      return read_value(text, target);
    }
  }
  static std::string number_rule(const Flag& flag);

  Flag& declare(std::string name, std::string help, Kind kind);
  std::vector<Flags*> chain();  // this and its parents, outermost first
  Flag* find(std::string_view name);
  Status apply(Flag& flag, const std::vector<std::string>& texts, Source source, const std::string& label);
  Status read_environment(const Environment& environment, Parsed& parsed);
  Status read_file(const std::string& path, Parsed& parsed);
  Result<Parsed> write_file(const Parsed& parsed);
  std::vector<Flag*> visible_flags();
  Status finish(Parsed& parsed);

  std::string program_;
  std::string summary_;
  Flags* parent_ = nullptr;
  std::vector<std::unique_ptr<Flag>> flags_;
  std::vector<std::unique_ptr<Flags>> verbs_;
  std::vector<std::function<Status(const Parsed&)>> hooks_;
  std::map<std::string, std::vector<std::string>, std::less<>> given_;  // texts by flag, as applied
  bool in_common_ = false;
  bool init_config_ = false;
};

// For main(): if `parsed` is an error prints "PROGRAM: …" on `err` and returns its exit status; if it wants to exit,
// prints its text on `out` and returns 0; else nullopt: go on.
std::optional<int> ends_here(const Result<Parsed>& parsed, std::string_view program, std::ostream& out,
                             std::ostream& err);

// Of `known` the name most like `name`, or empty if none is close.
std::string nearest(std::string_view name, const std::vector<std::string>& known);

}  // namespace retire::config
