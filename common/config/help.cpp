#include "common/config/help.hpp"

#include <algorithm>

namespace retire::config {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kLeftMax = 30;

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

// One entry: `left`, then `right` wrapped beside it.
void entry(std::string& out, const std::string& left, std::string_view right) {
  std::string line = "  " + left;
  const std::size_t column = kLeftMax + 2;
  if (line.size() + 2 > column) {
    out += line + "\n";
    line.clear();
  }
  line.resize(column, ' ');
  std::size_t used = column;
  while (!right.empty()) {
    const std::size_t space = std::min(right.find(' '), right.size());
    const std::string_view word = right.substr(0, space);
    if (used > column && used + 1 + word.size() > kWidth) {
      out += line + "\n";
      line.assign(column, ' ');
      used = column;
    }
    if (used > column) line += ' ';
    line += word;
    used = line.size();
    right.remove_prefix(std::min(space + 1, right.size()));
  }
  out += line + "\n";
}

}  // namespace

std::string HelpWriter::usage(Flags& flags) {
  std::string out = "Usage: ";
  for (const Flags* level : flags.chain()) out += level->program_ + " ";
  out += "[FLAGS]";
  if (!flags.verbs_.empty()) out += " COMMAND";
  for (const auto& flag : flags.flags_) {
    if (!flag->positional_ || flag->hidden_) continue;
    out += flag->required_ ? " " + upper(flag->name_) : " [" + upper(flag->name_) + "]";
    if (flag->kind_ == Kind::List) out += "...";
  }
  return out + "\n";
}

std::string HelpWriter::left_column(const Flag& flag) {
  if (flag.positional_) return upper(flag.name_);
  std::string out = flag.letter_ != 0 ? std::string("-") + flag.letter_ + ", " : std::string();
  out += "--" + flag.name_;
  if (flag.negatable_) out += ", --no-" + flag.name_;
  if (flag.kind_ == Kind::Switch) return out;
  if (flag.bare_) return out + "[=" + flag.value_name_ + "]";
  if (!flag.value_name_.empty()) return out + " " + flag.value_name_;
  if (!flag.words_.empty()) return out + " WORD";
  return out + (flag.kind_ == Kind::Whole || flag.kind_ == Kind::Number ? " N" : " TEXT");
}

std::string HelpWriter::right_column(const Flag& flag) {
  std::string out = flag.help_;
  if (!flag.words_.empty()) {
    std::string words;
    for (const std::string& word : flag.words_) words += (words.empty() ? "" : ", ") + word;
    out += ": " + words;
  }
  if (flag.kind_ == Kind::List) out += " (repeatable)";
  if (flag.default_text_) {
    out += " (default: " + *flag.default_text_ + ")";
  } else if (!flag.default_.empty() && !flag.default_.front().empty()) {
    out += " (default: " + flag.default_.front() + ")";
  }
  if (!flag.later_.empty()) out += " [no effect yet: " + flag.later_ + "]";
  return out;
}

void HelpWriter::section(std::string& out, const std::string& title, Flags& flags, bool positional, bool common) {
  std::string body;
  for (const Flags* level : flags.chain()) {
    for (const auto& flag : level->flags_) {
      if (flag->positional_ != positional || flag->common_ != common || flag->hidden_) continue;
      entry(body, left_column(*flag), right_column(*flag));
    }
  }
  if (common && !positional) {
    entry(body, "--help", "print this and exit");
    entry(body, "--version", "print the version and exit");
  }
  if (flags.init_config_ && !common && !positional) {
    entry(body, "--init-config", "write a commented configuration file to --config (never over one) and exit");
  }
  if (!body.empty()) out += "\n" + title + ":\n" + body;
}

std::string HelpWriter::write(Flags& flags) {
  std::string out = usage(flags) + flags.summary_ + "\n";
  if (!flags.verbs_.empty()) {
    out += "\nCommands:\n";
    for (const auto& verb : flags.verbs_) entry(out, verb->program_, verb->summary_);
  }
  section(out, "Arguments", flags, true, false);
  section(out, "Flags", flags, false, false);
  section(out, "Common flags", flags, false, true);
  out +=
      "\nEach flag is also an environment variable, RETIRE_CLUSTER_<FLAG>, and a key of the --config file;\n"
      "a flag beats the variable, which beats the file.\n";
  return out;
}

}  // namespace retire::config
