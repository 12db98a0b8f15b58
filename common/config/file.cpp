#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include "common/config/file.hpp"

#include <fcntl.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace retire::config {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;

Error refuse(const std::string& path, const std::string& why) { return {ErrorCode::Configuration, path + ": " + why}; }

bool read_scalar(const toml::node& node, Kind& kind, std::string& text) {
  if (const auto* value = node.as_string()) {
    kind = Kind::Text;
    text = value->get();
  } else if (const auto* whole = node.as_integer()) {
    kind = Kind::Whole;
    text = std::to_string(whole->get());
  } else if (const auto* number = node.as_floating_point()) {
    kind = Kind::Number;
    text = show_number(number->get());
  } else if (const auto* flag = node.as_boolean()) {
    kind = Kind::Switch;
    text = flag->get() ? "true" : "false";
  } else {
    return false;
  }
  return true;
}

FileEntry read_entry(std::string_view key, const toml::node& node) {
  FileEntry entry;
  entry.key = key;
  entry.line = node.source().begin.line;
  if (const toml::array* array = node.as_array()) {
    entry.kind = Kind::List;
    for (const toml::node& item : *array) {
      Kind kind{};
      entry.plain = entry.plain && read_scalar(item, kind, entry.texts.emplace_back()) && kind == Kind::Text;
    }
    return entry;
  }
  entry.plain = read_scalar(node, entry.kind, entry.texts.emplace_back());
  return entry;
}

}  // namespace

Result<std::vector<FileEntry>> read_toml(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string content(kFileBytesMax + 1, '\0');
  errno = 0;
  if (in) in.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (!in.is_open() || in.bad() || (in.gcount() == 0 && !in.eof())) {
    const std::string why = errno != 0 ? std::strerror(errno) : "not a file";
    return refuse(path, "cannot be read: " + why + "; check --config");
  }
  content.resize(static_cast<std::size_t>(in.gcount()));
  if (content.size() > kFileBytesMax) return refuse(path, "is larger than 1 MiB; it is no configuration file");

  const toml::parse_result parsed = toml::parse(content);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    std::string why(error.description());
    for (char& c : why) {
      if (static_cast<unsigned char>(c) < ' ') c = ' ';  // errors are one line
    }
    return refuse(path, "line " + std::to_string(error.source().begin.line) + " is not TOML: " + why);
  }
  std::vector<FileEntry> out;
  for (const auto& [key, node] : parsed.table()) out.push_back(read_entry(key.str(), node));
  return out;
}

std::string toml_quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') {
      static constexpr std::string_view kHex = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      out += {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out + '"';
}

Status write_new_file(const std::string& path, std::string_view content) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) {
    if (errno == EEXIST) return refuse(path, "is there already and is never written over; name another with --config");
    return refuse(path, std::string("cannot be written: ") + std::strerror(errno) + "; name another with --config");
  }
  std::string_view left = content;
  while (!left.empty()) {
    const ssize_t written = ::write(file, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const std::string why = std::strerror(errno);
      ::close(file);
      ::unlink(path.c_str());
      return refuse(path, "cannot be written: " + why);
    }
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  ::close(file);
  return ok_status();
}

}  // namespace retire::config
