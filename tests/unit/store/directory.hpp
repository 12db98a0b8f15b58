// A data directory on the real disk, gone with the test.
#pragma once

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "broker/store/embedded_store.hpp"

namespace retire::store {

class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "rc-store-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  const std::string& path() const { return path_; }
  std::string store() const { return path_ + "/store"; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline EmbeddedOptions options_in(const std::string& directory) {
  EmbeddedOptions options;
  options.store.directory = directory;
  options.store.reserve_bytes = 0;
  options.keeper_interval = std::chrono::milliseconds(1);
  return options;
}

}  // namespace retire::store
