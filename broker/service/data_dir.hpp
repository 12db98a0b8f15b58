// The directory that belongs to one main at a time.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.hpp"

namespace retire::service {

// Holds the directory's lock for as long as it lives.
class DataDir {
 public:
  // Makes the directory (mode 0700) if there is none. Errors: Configuration: cannot be made or written, or another main
  // uses it; names the directory and what to do.
  static Result<DataDir> open(const std::string& path);
  DataDir(DataDir&& other) noexcept;
  DataDir& operator=(DataDir&&) = delete;
  ~DataDir();

  // For a look from outside. Holds the directory's lock if no main does, so that none starts meanwhile; makes nothing.
  class Use {
   public:
    Use(Use&& other) noexcept;
    Use& operator=(Use&&) = delete;
    ~Use();
    bool is_running() const { return running_; }  // a main, or another look, has it

   private:
    friend class DataDir;
    Use(int lock, bool running) : lock_(lock), running_(running) {}
    int lock_;  // -1: there is no lock file
    bool running_;
  };
  // Errors: Configuration: there is no such directory, or it may not be read.
  static Result<Use> use(const std::string& path);

  // A number larger than every one before, made durable before it is returned: the epoch of this run of main.
  Result<std::uint64_t> next_epoch();

 private:
  DataDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_;
};

}  // namespace retire::service
