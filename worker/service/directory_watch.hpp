// Tells that something may have changed in directories, by inotify: also when one does not exist yet, is replaced, or
// is reached by a link that is put elsewhere.
//
// Not everything can be told (network file systems, limits, what a link within leads to): look now and then as well.
// Threads: one.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace retire::worker {

class DirectoryWatch {
 public:
  explicit DirectoryWatch(std::vector<std::filesystem::path> directories);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  // Readable when drain() has something to read; -1 where the system has no inotify to give.
  int descriptor() const { return descriptor_; }
  // Reads what has come and watches what there is now. True if something may have changed.
  bool drain();
  // False: a directory is not watched at all (a limit of the system's), so only looking helps.
  bool complete() const { return complete_; }

 private:
  // What is looked for in a watched directory: any name, or only these.
  struct Watched {
    bool any = false;
    std::vector<std::string> names;
  };
  void arm();
  void add(const std::filesystem::path& directory, const std::string& name, std::map<int, Watched>& to);

  std::vector<std::filesystem::path> directories_;
  int descriptor_;
  std::map<int, Watched> watched_;  // by watch descriptor
  bool complete_ = true;
};

}  // namespace retire::worker
