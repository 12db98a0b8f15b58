#include "worker/host/sandbox_check.hpp"

#include <algorithm>
#include <chrono>
#include <sstream>

#include "worker/host/one_shot.hpp"

namespace retire::host {

Result<SandboxCheck> check_sandbox(const std::string& program, sandbox::Seats& seats) {
  SandboxCheck out;
  const sandbox::Level wanted = seats.config().level;
  if (wanted == sandbox::Level::Off) return out;
  const Result<Said> ran = run_once(program, {"--check"}, seats, "", std::chrono::seconds(20), 65536);
  if (!ran.ok()) return ran.error();
  const Said& said = ran.value();
  if (said.bytes.empty()) {
    out.failed = said.last_line.empty() ? said.how_it_ended : said.last_line;
    return out;
  }
  std::istringstream lines(said.bytes);
  for (std::string line; std::getline(lines, line);) {
    (line.find(": ") == std::string::npos ? out.works : out.missing).push_back(line);
  }
  // Landlock is had where it is there; all else is what the level means.
  const bool all = std::all_of(out.missing.begin(), out.missing.end(), [](const std::string& line) {
    return line.starts_with("landlock: not in this kernel");
  });
  out.achieved = all ? wanted : sandbox::Level::Off;
  return out;
}

}  // namespace retire::host
