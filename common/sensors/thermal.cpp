#include "common/sensors/thermal.hpp"

#include <sys/sysinfo.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <system_error>

#include "common/sensors/files.hpp"

namespace retire::sensors {
namespace {

// What a running device can have. 0 is what a sensor says that is switched off.
constexpr double kCelsiusMin = -40;
constexpr double kCelsiusMax = 150;

// In the type of a thermal zone or the name of a hardware monitor: it is about the processor.
constexpr std::array<std::string_view, 13> kProcessor = {"cpu",      "soc",  "x86_pkg",  "coretemp", "k10temp",
                                                         "zenpower", "core", "tsens",    "exynos",   "big",
                                                         "little",   "ap_",  "processor"};

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool is_processor(const std::string& name) {
  const std::string folded = lower(name);
  return std::any_of(kProcessor.begin(), kProcessor.end(),
                     [&](std::string_view part) { return folded.find(part) != std::string::npos; });
}

std::string first_line(const std::filesystem::path& file) {
  const auto text = read_small_file(file);
  if (!text) return "";
  const auto lines = lines_of(*text);
  return lines.empty() ? "" : std::string(lines.front());
}

std::optional<double> number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

struct Hottest {
  std::optional<double> processor;
  std::optional<double> any;

  void add(const std::string& name, std::optional<double> raw) {
    if (!raw || *raw == 0) return;
    // Thousandths, as the kernel wants it; some drivers of phones give whole degrees.
    const double celsius = *raw > 1000 || *raw < -1000 ? *raw / 1000 : *raw;
    if (celsius <= kCelsiusMin || celsius >= kCelsiusMax) return;
    any = std::max(any.value_or(celsius), celsius);
    if (is_processor(name)) processor = std::max(processor.value_or(celsius), celsius);
  }
};

template <class Use>
void for_each_entry(const std::filesystem::path& directory, std::string_view prefix, Use use) {
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(directory, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    if (entry->path().filename().native().starts_with(prefix)) use(entry->path());
  }
}

}  // namespace

std::optional<double> read_temperature(const std::filesystem::path& root) {
  Hottest hottest;
  for_each_entry(root / "sys/class/thermal", "thermal_zone", [&](const std::filesystem::path& zone) {
    hottest.add(first_line(zone / "type"), number(first_line(zone / "temp")));
  });
  for_each_entry(root / "sys/class/hwmon", "hwmon", [&](const std::filesystem::path& monitor) {
    const std::string name = first_line(monitor / "name");
    for_each_entry(monitor, "temp", [&](const std::filesystem::path& file) {
      if (file.native().ends_with("_input")) hottest.add(name, number(first_line(file)));
    });
  });
  return hottest.processor ? hottest.processor : hottest.any;
}

std::optional<double> read_load(const std::filesystem::path& root) {
  const std::string line = first_line(root / "proc/loadavg");
  if (const auto words = words_of(line); !words.empty()) {
    if (const auto load = number(std::string(words.front()))) return load;
  }
  struct sysinfo info {};  // Android hides the file; this answers for the running system only
  if (root != "/" || sysinfo(&info) != 0) return std::nullopt;
  return static_cast<double>(info.loads[0]) / 65536.0;
}

}  // namespace retire::sensors
