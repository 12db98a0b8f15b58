// A TOML file as a flat list of settings. Private to common/config; file.cpp is the only place that includes toml++.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "common/config/values.hpp"

namespace retire::config {

struct FileEntry {
  std::string key;  // as written
  std::size_t line = 0;
  Kind kind = Kind::Text;  // what it is in the file; List for an array
  bool plain = true;       // false: a table, a date, or an array of something else than texts
  std::vector<std::string> texts;
};

// Errors: Configuration, naming the file and, for what is not TOML, the line.
Result<std::vector<FileEntry>> read_toml(const std::string& path);

// A text as a TOML string, in quotes.
std::string toml_quote(std::string_view text);

// Writes a new file with mode 0600. Errors: Configuration when there is one already, or it cannot be written.
Status write_new_file(const std::string& path, std::string_view content);

}  // namespace retire::config
