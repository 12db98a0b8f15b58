// Log lines on stderr, one line an event.
//
//   logging::start({.program = "retire-cluster-main", .level = *logging::parse_level(common.log_level),
//                   .json = common.log_format == "json"});
//   logging::info("device={} joined slots={}", id, slots);
//
// Log at the shells, one line a state change, with `task= device= attempt=`; what is expected and frequent is a
// counter. Before start() warnings and errors are written as text. Threads: all functions may be called from any thread
// once start() has returned. A level that is off costs one load; its arguments are not formatted. spdlog is known to
// logging.cpp alone.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace retire::logging {

enum class Level : std::uint8_t { Trace, Debug, Info, Warn, Error };

std::string_view to_string(Level level);
std::optional<Level> parse_level(std::string_view name);  // trace, debug, info, warn, error

struct Options {
  std::string program;  // named in each JSON line
  Level level = Level::Info;
  bool json = false;  // {"time", "level", "program", "message"} instead of text
};

// Called once, by main(), before other threads are started.
void start(const Options& options);

namespace detail {
extern std::atomic<Level> least;
}
inline bool enabled(Level level) { return level >= detail::least.load(std::memory_order_relaxed); }

// Writes one line if `level` is on. Line breaks and other control characters in `message` are escaped.
void write(Level level, std::string_view message);

// The text that start() would write for a message, without time. For tests.
std::string format_text(Level level, std::string_view message);
std::string format_json(Level level, std::string_view program, std::string_view message);

template <class... Args>
void log(Level level, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(level)) write(level, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void trace(fmt::format_string<Args...> format, Args&&... args) {
  log(Level::Trace, format, std::forward<Args>(args)...);
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  log(Level::Debug, format, std::forward<Args>(args)...);
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  log(Level::Info, format, std::forward<Args>(args)...);
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  log(Level::Warn, format, std::forward<Args>(args)...);
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  log(Level::Error, format, std::forward<Args>(args)...);
}

}  // namespace retire::logging
