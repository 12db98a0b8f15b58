#include "common/logging/logging.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <memory>

namespace retire::logging {
namespace detail {
std::atomic<Level> least = Level::Warn;
}
namespace {

constexpr std::array<std::string_view, 5> kNames = {"trace", "debug", "info", "warn", "error"};

struct Sink {
  std::string program;
  bool json = false;
  std::shared_ptr<spdlog::logger> logger;
};

std::shared_ptr<spdlog::logger> make_logger(bool json) {
  auto logger = std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(spdlog::level::trace);  // filtered in enabled()
  logger->set_pattern(json ? "{\"time\":\"%Y-%m-%dT%H:%M:%S.%fZ\",%v" : "%Y-%m-%dT%H:%M:%S.%eZ %v",
                      spdlog::pattern_time_type::utc);
  return logger;
}

Sink& sink() {
  static Sink one{"", false, make_logger(false)};
  return one;
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t' && !quotes) {
      out += c;
    } else if (quotes && (c == '"' || c == '\\')) {
      out += {'\\', c};
    } else if (byte < ' ' || byte == 0x7f) {
      static constexpr std::string_view kHex = "0123456789abcdef";
      out += {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
}

}  // namespace

std::string_view to_string(Level level) { return kNames.at(static_cast<std::size_t>(level)); }

std::optional<Level> parse_level(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames.at(i) == name) return static_cast<Level>(i);
  }
  return std::nullopt;
}

void start(const Options& options) {
  sink() = Sink{options.program, options.json, make_logger(options.json)};
  detail::least.store(options.level, std::memory_order_relaxed);
}

std::string format_text(Level level, std::string_view message) {
  std::string out(to_string(level));
  out.resize(kNames.back().size() + 1, ' ');  // as wide as the longest
  append_escaped(out, message, false);
  return out;
}

std::string format_json(Level level, std::string_view program, std::string_view message) {
  std::string out = "\"level\":\"";
  out += to_string(level);
  out += "\",\"program\":\"";
  append_escaped(out, program, true);
  out += "\",\"message\":\"";
  append_escaped(out, message, true);
  return out + "\"}";
}

void write(Level level, std::string_view message) {
  if (!enabled(level)) return;
  Sink& to = sink();
  // As a value, never as a format: a message may hold braces.
  const std::string line = to.json ? format_json(level, to.program, message) : format_text(level, message);
  to.logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace retire::logging
