// retire-cluster-store: backup, verification and compaction of a main's store, through the main that runs or, when none
// does, on its files.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "broker/service/data_dir.hpp"
#include "broker/store/admin_verbs.hpp"
#include "common/config/common_flags.hpp"
#include "common/logging/logging.hpp"

namespace retire::service {
namespace {

constexpr const char* kProgram = "retire-cluster-store";

struct Options {
  config::CommonOptions common;
  std::string data_dir;
  std::string target;
  std::string of;
  bool json = false;
};

void declare(config::Flags& flags, Options& o) {
  config::add_common_flags(flags, o.common);
  flags.begin_common();
  flags.add("data-dir", o.data_dir, "main's data directory").value_name("DIR");
  flags.add("json", o.json, "print JSON: one document with stable keys");
  flags.end_common();
  flags.verb("backup", "copy the store into a new data directory, while main runs or not")
      .positional("dest", o.target, "the directory to make; start a main on it with --data-dir to restore")
      .required();
  flags.verb("verify", "read every byte of the store and say whether it is whole")
      .positional("dir", o.of, "another data directory than --data-dir, a backup for example");
  flags.verb("compact", "give back the space of what is not kept any more");
}

int fail(const Error& error) {
  std::string line = error.detail;
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  std::cerr << kProgram << ": " << line << std::endl;
  return static_cast<int>(config::exit_status(error.code));
}

Result<store::Figures> run_verb(const std::string& verb, const std::string& data_dir, const std::string& target) {
  Result<DataDir::Use> use = DataDir::use(data_dir);
  if (!use.ok()) return use.error();
  const bool running = use.value().is_running();
  if (verb == "backup") return store::backup_store(data_dir, target, running);
  if (verb == "verify") return store::verify_store(data_dir, running);
  return store::compact_store(data_dir, running);
}

std::uint64_t value_of(const store::Figures& figures, std::string_view name) {
  for (const auto& [key, value] : figures) {
    if (key == name) return value;
  }
  return 0;
}

std::string sentence(const std::string& verb, const std::string& target, const store::Figures& figures) {
  const auto text = [&](std::string_view name) { return std::to_string(value_of(figures, name)); };
  if (verb == "backup") {
    return "backed up into " + target + ", " + text("bytes") + " bytes; to restore: retire-cluster-main --data-dir " +
           target;
  }
  if (verb == "compact") return text("bytes_before") + " bytes before, " + text("bytes_after") + " now";
  std::string out = text("records") + " records up to batch " + text("batches") + " are whole";
  for (const auto& [name, value] : figures) {
    if (name == "closed_in_order" && value == 0) out += "; it was not closed in order";
    if (name == "dropped_batches" && value > 0)
      out += "; the last batch is torn, was never acknowledged, and is dropped";
  }
  return out;
}

int run(int argc, char** argv) {
  const config::Environment environment = config::process_environment();
  Options o;
  o.data_dir = config::home_directory(environment);
  config::Flags flags(kProgram, "Looks after the store of a main.");
  declare(flags, o);
  const Result<config::Parsed> parsed = flags.parse(argc, argv, environment);
  if (const auto status = config::ends_here(parsed, kProgram, std::cout, std::cerr)) return *status;
  logging::start(
      {.program = kProgram, .level = *logging::parse_level(o.common.log_level), .json = o.common.log_format == "json"});
  for (const std::string& notice : parsed.value().notices) logging::info("{}", notice);

  // A main that runs has a working directory of its own.
  std::error_code error;
  const auto absolute = [&](const std::string& path) {
    return std::filesystem::absolute(path, error).lexically_normal().string();
  };
  const std::string verb = parsed.value().verbs[0];
  std::string target = o.target.empty() ? "" : absolute(o.target);
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  const Result<store::Figures> figures = run_verb(verb, absolute(o.of.empty() ? o.data_dir : o.of), target);
  if (!figures.ok()) return fail(figures.error());
  if (o.json) {
    std::cout << "{";
    for (std::size_t i = 0; i < figures.value().size(); ++i) {
      const auto& [name, value] = figures.value()[i];
      std::cout << (i == 0 ? "\"" : ", \"") << name << "\": " << value;
    }
    std::cout << "}" << std::endl;
  } else {
    std::cout << sentence(verb, target, figures.value()) << std::endl;
  }
  return std::cout ? 0 : 1;
}

}  // namespace
}  // namespace retire::service

int main(int argc, char** argv) { return retire::service::run(argc, argv); }
