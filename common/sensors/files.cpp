#include "common/sensors/files.hpp"

#include <fstream>

namespace retire::sensors {

std::optional<std::string> read_small_file(const std::filesystem::path& file) {
  constexpr std::size_t kBytesMax = 65'536;
  std::ifstream in(file, std::ios::binary);
  if (!in) return std::nullopt;
  std::string text(kBytesMax, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

namespace {
std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t begin = text.find_first_not_of(separators);
    if (begin == std::string_view::npos) break;
    text.remove_prefix(begin);
    const std::size_t end = std::min(text.find_first_of(separators), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return out;
}
}  // namespace

std::vector<std::string_view> lines_of(std::string_view text) { return split(text, "\n"); }
std::vector<std::string_view> words_of(std::string_view line) { return split(line, " \t"); }

}  // namespace retire::sensors
