#include "common/config/command_line.hpp"

#include <CLI/CLI.hpp>

namespace retire::config {
namespace {

Error wrong_usage(const Flags& flags, const std::string& why) {
  return {ErrorCode::Invalid, why + " (see " + flags.program() + " --help)"};
}

std::string did_you_mean(const std::string& candidate) {
  return candidate.empty() ? std::string() : "; did you mean " + candidate + "?";
}

}  // namespace

// Declares everything to CLI11 as plain texts: what a value means is decided in one place for all sources.
struct CommandLine::Builder {
  std::vector<std::pair<Flag*, CLI::Option*>> options;
  std::vector<std::pair<Flags*, CLI::App*>> apps;

  void declare(Flags& flags, CLI::App& app) {
    app.fallthrough();  // a program's flags are understood after its verb too
    app.set_help_flag("");
    apps.emplace_back(&flags, &app);
    for (const auto& flag : flags.flags_) {
      CLI::Option* option = nullptr;
      if (flag->kind_ == Kind::Switch && !flag->positional_) {
        option = app.add_flag((flag->letter_ != 0 ? std::string("-") + flag->letter_ + "," : std::string()) + "--" +
                              flag->name_ + (flag->negatable_ ? ",!--no-" + flag->name_ : std::string()));
      } else {
        option = app.add_option(flag->positional_ ? flag->name_ : "--" + flag->name_);
        if (flag->bare_) option->expected(0, 1);
        // Each occurrence takes one value, and "[1,2]" is one; but for arguments without a name, of which any number
        // may come.
        option->allow_extra_args(flag->positional_ && flag->kind_ == Kind::List);
      }
      option->multi_option_policy(flag->kind_ == Kind::List ? CLI::MultiOptionPolicy::TakeAll
                                                            : CLI::MultiOptionPolicy::TakeLast);
      options.emplace_back(flag.get(), option);
    }
    for (const auto& verb : flags.verbs_) declare(*verb, *app.add_subcommand(verb->program_));
  }
};

std::vector<std::string> CommandLine::flag_names(Flags& flags) {
  std::vector<std::string> out = {"--help", "--version"};
  for (const Flags* level : flags.chain()) {
    for (const auto& flag : level->flags_) {
      if (flag->positional_) continue;
      out.push_back("--" + flag->name_);
      if (flag->negatable_) out.push_back("--no-" + flag->name_);
    }
  }
  return out;
}

std::vector<std::string> CommandLine::verb_names(Flags& flags) {
  std::vector<std::string> out;
  for (const auto& verb : flags.verbs_) out.push_back(verb->program_);
  return out;
}

Result<CommandLine> CommandLine::read(Flags& flags, const std::vector<std::string>& arguments) {
  CommandLine out;
  out.chosen = &flags;
  CLI::App app;
  Builder builder;
  builder.declare(flags, app);
  const CLI::Option* help = app.add_flag("-h,--help");
  const CLI::Option* version = app.add_flag("--version");
  const CLI::Option* init = flags.init_config_ ? app.add_flag("--init-config") : nullptr;

  std::string failure;
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ExtrasError&) {
    // Named below, from what was left over.
  } catch (const CLI::ParseError& error) {
    failure = error.what();
  }
  for (const auto& [level, one] : builder.apps) {
    if (level == &flags || !one->parsed()) continue;
    out.chosen = level;
    out.verbs.push_back(level->program_);
  }
  out.help = help->count() > 0;
  out.version = version->count() > 0;
  if (out.help || out.version) return out;

  if (const std::vector<std::string> extra = app.remaining(true); !extra.empty()) {
    const std::string& first = extra.front();
    if (first.size() > 1 && first.starts_with('-')) {
      const std::string name = first.substr(0, first.find('='));
      return wrong_usage(flags, "unknown flag " + name + did_you_mean(nearest(name, flag_names(*out.chosen))));
    }
    if (const std::vector<std::string> verbs = verb_names(*out.chosen); !verbs.empty()) {
      return wrong_usage(flags, "unknown command \"" + first + "\"" + did_you_mean(nearest(first, verbs)));
    }
    return wrong_usage(flags, "unexpected argument \"" + first + "\"");
  }
  if (!failure.empty()) {
    for (char& c : failure) {
      if (c == '\n') c = ' ';
    }
    return wrong_usage(flags, failure);
  }
  out.init_config = init != nullptr && init->count() > 0;
  if (!out.chosen->verbs_.empty()) {
    std::string known;
    for (const std::string& name : verb_names(*out.chosen)) known += (known.empty() ? "" : ", ") + name;
    return wrong_usage(flags, "no command given after \"" + out.chosen->program_ + "\"; one of " + known);
  }
  for (const auto& [flag, option] : builder.options) {
    if (option->count() == 0) {
      if (flag->required_ && std::ranges::any_of(out.chosen->flags_, [&](const auto& f) { return f.get() == flag; })) {
        return wrong_usage(flags, flag->name_ + " is missing");
      }
      continue;
    }
    std::vector<std::string> texts = option->results();
    if (flag->bare_ && (texts.empty() || texts.back().empty())) texts = {*flag->bare_};
    out.values.emplace_back(flag, std::move(texts));
  }
  return out;
}

}  // namespace retire::config
