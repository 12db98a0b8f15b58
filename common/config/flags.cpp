#include "common/config/flags.hpp"

#include <algorithm>
#include <ostream>

#include "common/config/command_line.hpp"
#include "common/config/file.hpp"
#include "common/config/help.hpp"

namespace retire::config {
namespace {

std::string with_dashes(std::string_view key) {
  std::string out(key);
  std::ranges::replace(out, '_', '-');
  return out;
}

// "a,b" as two, with what is empty left out.
std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (comma > 0) out.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  constexpr std::size_t kShownMax = 200;
  if (text.size() > kShownMax) text = text.substr(0, kShownMax) + "…";
  return text;
}

std::string negation(const std::string& text) { return text == "true" ? "false" : text == "false" ? "true" : text; }

bool fits(Kind wanted, const FileEntry& entry) {
  if (!entry.plain) return false;
  if (wanted == Kind::List) return entry.kind == Kind::List || entry.kind == Kind::Text;
  if (wanted == Kind::Number) return entry.kind == Kind::Number || entry.kind == Kind::Whole;
  return entry.kind == wanted;
}

std::string_view describe(Kind kind) {
  switch (kind) {
    case Kind::Text: return "a text in quotes";
    case Kind::Whole: return "a whole number";
    case Kind::Number: return "a number";
    case Kind::Switch: return "true or false";
    case Kind::List: return "an array of texts";
  }
  return "";
}

std::string as_toml(Kind kind, const std::vector<std::string>& texts) {
  if (kind == Kind::List) {
    std::string out;
    for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + toml_quote(text);
    return "[" + out + "]";
  }
  const std::string& text = texts.empty() ? std::string() : texts.back();
  return kind == Kind::Text ? toml_quote(text) : text;
}

}  // namespace

Flags::Flags(std::string program, std::string summary) : program_(std::move(program)), summary_(std::move(summary)) {}
Flags::~Flags() = default;

Flag& Flags::declare(std::string name, std::string help, Kind kind) {
  flags_.push_back(std::make_unique<Flag>());
  Flag& flag = *flags_.back();
  flag.name_ = std::move(name);
  flag.help_ = std::move(help);
  flag.kind_ = kind;
  flag.common_ = in_common_;
  return flag;
}

Flag& Flags::add(std::string name, std::vector<std::string>& target, std::string help) {
  Flag& flag = declare(std::move(name), std::move(help), Kind::List);
  flag.default_ = target;
  flag.assign_ = [&target](const std::vector<std::string>& texts) {
    target = texts;
    return std::nullopt;
  };
  return flag;
}

Flags& Flags::verb(std::string name, std::string summary) {
  verbs_.push_back(std::make_unique<Flags>(std::move(name), std::move(summary)));
  verbs_.back()->parent_ = this;
  return *verbs_.back();
}

void Flags::add_init_config() { init_config_ = true; }

std::string Flags::number_rule(const Flag& flag) {
  if (flag.min_ && flag.max_) return "a number from " + show_number(*flag.min_) + " to " + show_number(*flag.max_);
  if (flag.min_) return "a number of at least " + show_number(*flag.min_);
  return "a number";
}

std::vector<Flags*> Flags::chain() {
  std::vector<Flags*> out;
  for (Flags* level = this; level != nullptr; level = level->parent_) out.insert(out.begin(), level);
  return out;
}

std::vector<Flag*> Flags::visible_flags() {
  std::vector<Flag*> out;
  for (const Flags* level : chain()) {
    for (const auto& flag : level->flags_) out.push_back(flag.get());
  }
  return out;
}

Flag* Flags::find(std::string_view name) {
  for (Flag* flag : visible_flags()) {
    if (flag->name_ == name && !flag->positional_ && !flag->only_flag_) return flag;
  }
  return nullptr;
}

// Checks and writes one setting. `label` says where the value stands and what it is, e.g. "--port 99999".
Status Flags::apply(Flag& flag, const std::vector<std::string>& texts, Source source, const std::string& label) {
  std::optional<std::string> wrong;
  for (const std::string& text : texts) {
    if (!flag.words_.empty() && std::ranges::find(flag.words_, text) == flag.words_.end()) {
      std::string words;
      for (const std::string& word : flag.words_) words += (words.empty() ? "" : ", ") + word;
      wrong = "one of " + words;
    } else if (flag.check_) {
      wrong = flag.check_(text);
    }
    if (wrong) break;
  }
  if (!wrong && (flag.kind_ == Kind::List || !texts.empty())) wrong = flag.assign_(texts);
  if (!wrong) return ok_status();
  return Error{source == Source::Flag ? ErrorCode::Invalid : ErrorCode::Configuration,
               one_line(label) + ": must be " + *wrong};
}

Status Flags::read_environment(const Environment& environment, Parsed& parsed) {
  for (Flag* flag : visible_flags()) {
    if (flag->positional_ || flag->only_flag_ || parsed.given(flag->name_)) continue;
    std::string name = variable_of_flag(flag->name_);
    std::string_view value = variable(environment, name);
    bool negated = false;
    if (value.empty() && flag->negatable_) {
      name = variable_of_flag("no-" + flag->name_);
      value = variable(environment, name);
      negated = true;
    }
    if (value.empty()) continue;
    std::vector<std::string> texts =
        flag->kind_ == Kind::List ? split_commas(value) : std::vector<std::string>{std::string(value)};
    if (flag->kind_ == Kind::Switch) {
      bool on = false;
      if (!read_value(texts.front(), on)) texts.front() = on != negated ? "true" : "false";
    }
    const std::string label = name + "=" + (flag->secret_ ? "…" : std::string(value));
    if (Status status = apply(*flag, texts, Source::Variable, label); !status.ok()) return status;
    parsed.sources[flag->name_] = Source::Variable;
    given_[flag->name_] = texts;
  }
  return ok_status();
}

Status Flags::read_file(const std::string& path, Parsed& parsed) {
  const Result<std::vector<FileEntry>> entries = read_toml(path);
  if (!entries.ok()) return entries.error();
  std::map<std::string, std::string> seen;  // by name with dashes: the key as written
  for (const FileEntry& entry : entries.value()) {
    const std::string where = path + ":" + std::to_string(entry.line) + ": ";
    std::string name = with_dashes(entry.key);
    Flag* flag = find(name);
    const bool negated = flag == nullptr && name.starts_with("no-");
    if (negated) {
      flag = find(name.substr(3));
      if (flag != nullptr && !flag->negatable_) flag = nullptr;
    }
    if (flag == nullptr || flag->name_ == "config") {
      std::vector<std::string> known;
      for (const Flag* one : visible_flags()) {
        if (!one->positional_ && !one->only_flag_ && one->name_ != "config") known.push_back(one->name_);
      }
      const std::string like = nearest(name, known);
      return Error{ErrorCode::Configuration,
                   where + "unknown key \"" + one_line(entry.key) + "\"" +
                       (like.empty() ? "; --help lists the flags that are keys" : "; did you mean " + like + "?")};
    }
    if (const auto [other, fresh] = seen.emplace(flag->name_, entry.key); !fresh) {
      return Error{ErrorCode::Configuration,
                   where + entry.key + " is the same setting as " + other->second + "; leave one out"};
    }
    const std::string shown = flag->secret_ ? "…"
                              : entry.plain ? as_toml(entry.kind, entry.texts)
                                            : "a value of another kind";
    const std::string label = where + entry.key + " = " + shown;
    if (!fits(flag->kind_, entry)) {
      return Error{ErrorCode::Configuration, one_line(label) + ": must be " + std::string(describe(flag->kind_))};
    }
    if (parsed.given(flag->name_)) continue;  // beaten
    std::vector<std::string> texts = entry.texts;
    if (negated) texts.front() = negation(texts.front());
    if (Status status = apply(*flag, texts, Source::File, label); !status.ok()) return status;
    parsed.sources[flag->name_] = Source::File;
    given_[flag->name_] = texts;
  }
  return ok_status();
}

Result<Parsed> Flags::write_file(const Parsed& parsed) {
  const auto path = given_.find("config");
  if (path == given_.end()) {
    return Error{ErrorCode::Invalid, "--init-config needs a file to write to: add --config FILE"};
  }
  std::string out = "# Settings of " + program_ + " (TOML). Each key is a flag; `" + program_ +
                    " --help` explains them.\n# A flag beats its environment variable, which beats this file.\n";
  for (const Flag* flag : visible_flags()) {
    if (flag->positional_ || flag->only_flag_ || flag->hidden_ || flag->name_ == "config") continue;
    out += "\n# " + flag->help_;
    for (std::size_t i = 0; i < flag->words_.size(); ++i) out += (i == 0 ? ": " : ", ") + flag->words_[i];
    if (flag->default_text_) out += " (default: " + *flag->default_text_ + ")";
    out += "\n";
    if (!flag->later_.empty()) out += "# No effect yet: " + flag->later_ + ".\n";
    const auto given = given_.find(flag->name_);
    if (given != given_.end() && !flag->secret_) {
      out += flag->name_ + " = " + as_toml(flag->kind_, given->second) + "\n";
    } else if (flag->kind_ == Kind::Switch) {
      out += "# " + flag->name_ + (flag->negatable_ ? " = true\n" : " = false\n");
    } else if (flag->default_.empty() && flag->kind_ != Kind::Text && flag->kind_ != Kind::List) {
      out += "# " + flag->name_ + " = 1\n";
    } else {
      out += "# " + flag->name_ + " = " + as_toml(flag->kind_, flag->default_) + "\n";
    }
  }
  if (const Status status = write_new_file(path->second.back(), out); !status.ok()) return status.error();
  Parsed done = parsed;
  done.wants_exit = true;
  done.text = "wrote " + path->second.back() + "\n";
  return done;
}

Status Flags::finish(Parsed& parsed) {
  for (const Flag* flag : visible_flags()) {
    if (!flag->later_.empty() && parsed.given(flag->name_)) {
      parsed.notices.push_back("--" + flag->name_ + " is accepted but has no effect yet: " + flag->later_);
    }
  }
  for (const Flags* level : chain()) {
    for (const auto& hook : level->hooks_) {
      if (Status status = hook(parsed); !status.ok()) return status;
    }
  }
  return ok_status();
}

Result<Parsed> Flags::parse(const std::vector<std::string>& arguments, const Environment& environment) {
  Result<CommandLine> read = CommandLine::read(*this, arguments);
  if (!read.ok()) return read.error();
  const CommandLine& line = read.value();
  Flags& chosen = *line.chosen;
  Parsed parsed;
  parsed.verbs = line.verbs;
  if (line.help || line.version) {
    parsed.wants_exit = true;
    parsed.text = line.help ? HelpWriter::write(chosen) : program_ + " " RC_VERSION "\n";
    return parsed;
  }
  for (const auto& [flag, texts] : line.values) {
    const std::string value = flag->kind_ == Kind::Switch ? "" : flag->secret_ ? " …" : " " + texts.back();
    const std::string label = flag->positional_ ? flag->name_ + value : "--" + flag->name_ + value;
    if (Status status = chosen.apply(*flag, texts, Source::Flag, label); !status.ok()) return status.error();
    parsed.sources[flag->name_] = Source::Flag;
    chosen.given_[flag->name_] = texts;
  }
  if (line.init_config) return chosen.write_file(parsed);
  if (Status status = chosen.read_environment(environment, parsed); !status.ok()) return status.error();
  if (const auto path = chosen.given_.find("config"); path != chosen.given_.end()) {
    const std::string file = path->second.back();
    if (Status status = chosen.read_file(file, parsed); !status.ok()) return status.error();
  }
  if (Status status = chosen.finish(parsed); !status.ok()) return status.error();
  return parsed;
}

Result<Parsed> Flags::parse(int argc, const char* const* argv, const Environment& environment) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) arguments.emplace_back(argv[i]);
  return parse(arguments, environment);
}

std::optional<int> ends_here(const Result<Parsed>& parsed, std::string_view program, std::ostream& out,
                             std::ostream& err) {
  if (!parsed.ok()) {
    err << program << ": " << parsed.error().detail << "\n";
    return static_cast<int>(exit_status(parsed.error().code));
  }
  if (!parsed.value().wants_exit) return std::nullopt;
  out << parsed.value().text << std::flush;
  return out ? static_cast<int>(Exit::Ok) : static_cast<int>(Exit::Failed);
}

std::string nearest(std::string_view name, const std::vector<std::string>& known) {
  std::string best;
  std::size_t best_distance =
      1 + (name.size() < 3 ? 1 : std::max<std::size_t>(name.size() / 3, 2));  // further away is not alike
  for (const std::string& candidate : known) {
    // Levenshtein distance, one row at a time.
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = i;
    for (std::size_t i = 1; i <= name.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const std::size_t above = row[j];
        row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (name[i - 1] == candidate[j - 1] ? 0u : 1u)});
        diagonal = above;
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace retire::config
