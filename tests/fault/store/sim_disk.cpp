#include "tests/fault/store/sim_disk.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstring>

namespace retire::store {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

constexpr std::size_t kPage = 4'096;

class NoLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
  std::size_t GetLogFileSize() const override { return 0; }
};

class NoLock final : public rocksdb::FileLock {};

std::string clean(const std::string& path) {
  std::string out = path;
  while (out.size() > 1 && out.back() == '/') out.pop_back();
  for (std::size_t at = out.find("//"); at != std::string::npos; at = out.find("//")) out.erase(at, 1);
  return out;
}

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

IOStatus no_file(const std::string& path) { return IOStatus::NotFound(path, "no such file"); }

}  // namespace

class SimWritable final : public rocksdb::FSWritableFile {
 public:
  SimWritable(SimDisk& disk, std::shared_ptr<SimDisk::Node> node) : disk_(disk), node_(std::move(node)) {}
  using rocksdb::FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(disk_.mutex_);
    const bool was_off = disk_.cut_;
    const IOStatus status = disk_.enter();
    if (status.ok() || (disk_.cut_ && !was_off)) {
      node_->data.append(data.data(), data.size());  // the power went while it was written: the seed says what is left
    } else if (!disk_.cut_) {
      // Half of it is there when a write fails.
      node_->data.append(data.data(), data.size() / 2);
    }
    return status;
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(disk_.mutex_);
    const IOStatus status = disk_.enter();
    if (status.ok()) {
      node_->data.resize(size);
      node_->synced = std::min<std::size_t>(node_->synced, size);
    }
    return status;
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(disk_.mutex_);
    return disk_.enter();
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(disk_.mutex_);
    const IOStatus status = disk_.enter();
    if (disk_.ignore_syncs_) return status;
    // As Linux does it: what could not be written is dropped, and a later fsync says that all is well.
    if (!status.ok() && node_->synced < node_->data.size()) node_->lost.emplace_back(node_->synced, node_->data.size());
    node_->synced = node_->data.size();
    return status;
  }
  bool IsSyncThreadSafe() const override { return true; }
  std::uint64_t GetFileSize(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(disk_.mutex_);
    return node_->data.size();
  }

 private:
  SimDisk& disk_;
  std::shared_ptr<SimDisk::Node> node_;
};

class SimReadable final : public rocksdb::FSSequentialFile, public rocksdb::FSRandomAccessFile {
 public:
  SimReadable(SimDisk& disk, std::shared_ptr<SimDisk::Node> node) : disk_(disk), node_(std::move(node)) {}
  IOStatus Read(std::size_t n, const IOOptions& options, Slice* out, char* scratch, IODebugContext* dbg) override {
    const IOStatus status = Read(at_, n, options, out, scratch, dbg);
    if (status.ok()) at_ += out->size();
    return status;
  }
  IOStatus Skip(std::uint64_t n) override {
    at_ += n;
    return IOStatus::OK();
  }
  IOStatus Read(std::uint64_t offset, std::size_t n, const IOOptions&, Slice* out, char* scratch,
                IODebugContext*) const override {
    const std::lock_guard lock(disk_.mutex_);
    if (IOStatus status = disk_.enter(); !status.ok()) return status;
    const std::size_t size = node_->data.size();
    const std::size_t from = std::min<std::size_t>(offset, size);
    const std::size_t count = std::min(n, size - from);
    std::memcpy(scratch, node_->data.data() + from, count);
    *out = Slice(scratch, count);
    return IOStatus::OK();
  }
  bool use_direct_io() const override { return false; }
  std::size_t GetRequiredBufferAlignment() const override { return kPage; }
  IOStatus InvalidateCache(std::size_t, std::size_t) override { return IOStatus::OK(); }
  rocksdb::Temperature GetTemperature() const override { return rocksdb::Temperature::kUnknown; }

 private:
  SimDisk& disk_;
  std::shared_ptr<SimDisk::Node> node_;
  std::uint64_t at_ = 0;
};

class SimDirectory final : public rocksdb::FSDirectory {
 public:
  SimDirectory(SimDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(disk_.mutex_);
    const IOStatus status = disk_.enter();
    if (status.ok() && !disk_.ignore_syncs_) disk_.sync_directory(path_);
    return status;
  }

 private:
  SimDisk& disk_;
  std::string path_;
};

void SimDisk::fail_at(std::uint64_t k, Fault fault, bool sticky) {
  const std::lock_guard lock(mutex_);
  fail_at_ = k == 0 ? 0 : calls_ + k;
  fault_ = fault;
  sticky_ = sticky;
}

void SimDisk::cut_at(std::uint64_t k) {
  const std::lock_guard lock(mutex_);
  cut_at_ = k == 0 ? 0 : calls_ + k;
}

void SimDisk::cut() {
  const std::lock_guard lock(mutex_);
  cut_ = true;
}

bool SimDisk::is_cut() const {
  const std::lock_guard lock(mutex_);
  return cut_;
}

std::uint64_t SimDisk::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

std::uint64_t SimDisk::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

IOStatus SimDisk::enter() {
  if (cut_) return IOStatus::IOError("the power is off");
  ++calls_;
  if (cut_at_ != 0 && calls_ >= cut_at_) {
    cut_ = true;
    cut_at_ = 0;
    return IOStatus::IOError("the power is off");
  }
  if (fail_at_ == 0 || fault_ == Fault::None || calls_ < fail_at_ || (!sticky_ && calls_ > fail_at_)) {
    return IOStatus::OK();
  }
  ++failures_;
  return fault_ == Fault::Io ? IOStatus::IOError("injected: input/output error")
                             : IOStatus::NoSpace("injected: no space left on device");
}

void SimDisk::surviving(Node& node) {
  for (const auto& [from, to] : node.lost) {
    for (std::size_t i = from; i < std::min(to, node.data.size()); ++i) node.data[i] = '\0';
  }
  node.lost.clear();
  const std::size_t tail = node.data.size() - node.synced;
  if (tail > 0) {
    switch (rng_.below(4)) {
      case 0: node.data.resize(node.synced); break;
      case 1: node.data.resize(node.synced + rng_.below(tail + 1)); break;
      case 2: break;
      default:
        // Pages reach the disk in any order.
        for (std::size_t at = node.synced; at < node.data.size();) {
          const std::size_t end = std::min(node.data.size(), (at / kPage + 1) * kPage);
          if (rng_.below(2) == 0)
            std::fill(node.data.begin() + static_cast<std::ptrdiff_t>(at),
                      node.data.begin() + static_cast<std::ptrdiff_t>(end), '\0');
          at = end;
        }
        if (rng_.below(2) == 0) node.data.resize(node.synced + rng_.below(tail + 1));
    }
  }
  node.synced = node.data.size();
}

void SimDisk::power_on(NamesLeft names) {
  const std::lock_guard lock(mutex_);
  // In order or not, some changes of names have reached the disk.
  const std::uint64_t way = rng_.below(3);
  const std::uint64_t until = rng_.below(changes_.size() + 1);
  for (std::size_t i = 0; i < changes_.size(); ++i) {
    if (names == NamesLeft::AllButCreations) {
      if (!changes_[i].removed.empty()) apply(changes_[i], durable_names_);
      continue;
    }
    if (way == 0 || (way == 1 && i >= until) || (way == 2 && rng_.below(2) == 0)) continue;
    apply(changes_[i], durable_names_);
  }
  changes_.clear();
  names_ = durable_names_;
  for (const auto& [path, node] : names_) surviving(*node);
  // Handles that were open belong to a process that is gone.
  for (auto& [path, node] : names_) node = std::make_shared<Node>(*node);
  durable_names_ = names_;
  cut_ = false;
  cut_at_ = fail_at_ = 0;
}

SimDisk::Files SimDisk::files() const {
  const std::lock_guard lock(mutex_);
  Files out;
  for (const auto& [path, node] : names_) out[path] = node->data;
  return out;
}

void SimDisk::put(const Files& files) {
  const std::lock_guard lock(mutex_);
  names_.clear();
  changes_.clear();
  for (const auto& [path, data] : files) {
    names_[path] = std::make_shared<Node>(Node{data, data.size(), {}});
  }
  durable_names_ = names_;
}

std::shared_ptr<SimDisk::Node> SimDisk::find(const std::string& path) const {
  const auto at = names_.find(clean(path));
  return at == names_.end() ? nullptr : at->second;
}

void SimDisk::apply(const Change& change, Names& names) {
  if (!change.removed.empty()) names.erase(change.removed);
  if (!change.added.empty()) names[change.added] = change.node;
}

void SimDisk::change(Change change) {
  apply(change, names_);
  changes_.push_back(std::move(change));
}

void SimDisk::sync_directory(const std::string& path) {
  std::vector<Change> rest;
  for (Change& change : changes_) {
    const std::string& name = change.added.empty() ? change.removed : change.added;
    if (directory_of(name) == path) {
      apply(change, durable_names_);
    } else {
      rest.push_back(std::move(change));
    }
  }
  changes_ = std::move(rest);
}

IOStatus SimDisk::NewSequentialFile(const std::string& path, const FileOptions&,
                                    std::unique_ptr<rocksdb::FSSequentialFile>* out, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus status = enter(); !status.ok()) return status;
  const auto node = find(path);
  if (!node) return no_file(path);
  *out = std::make_unique<SimReadable>(*this, node);
  return IOStatus::OK();
}

IOStatus SimDisk::NewRandomAccessFile(const std::string& path, const FileOptions&,
                                      std::unique_ptr<rocksdb::FSRandomAccessFile>* out, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus status = enter(); !status.ok()) return status;
  const auto node = find(path);
  if (!node) return no_file(path);
  *out = std::make_unique<SimReadable>(*this, node);
  return IOStatus::OK();
}

IOStatus SimDisk::NewWritableFile(const std::string& path, const FileOptions&,
                                  std::unique_ptr<rocksdb::FSWritableFile>* out, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus status = enter(); !status.ok()) return status;
  auto node = std::make_shared<Node>();
  change({{}, clean(path), node});
  *out = std::make_unique<SimWritable>(*this, node);
  return IOStatus::OK();
}

IOStatus SimDisk::ReopenWritableFile(const std::string& path, const FileOptions& options,
                                     std::unique_ptr<rocksdb::FSWritableFile>* out, IODebugContext* dbg) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto node = find(path)) {
      if (IOStatus status = enter(); !status.ok()) return status;
      *out = std::make_unique<SimWritable>(*this, node);
      return IOStatus::OK();
    }
  }
  return NewWritableFile(path, options, out, dbg);
}

IOStatus SimDisk::NewDirectory(const std::string& path, const IOOptions&, std::unique_ptr<rocksdb::FSDirectory>* out,
                               IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus status = enter(); !status.ok()) return status;
  *out = std::make_unique<SimDirectory>(*this, clean(path));
  return IOStatus::OK();
}

IOStatus SimDisk::FileExists(const std::string& path, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus status = enter(); !status.ok()) return status;
  return find(path) ? IOStatus::OK() : no_file(path);
}

IOStatus SimDisk::GetChildren(const std::string& path, const IOOptions&, std::vector<std::string>* out,
                              IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus status = enter(); !status.ok()) return status;
  out->clear();
  const std::string prefix = clean(path) + "/";
  for (const auto& [name, node] : names_) {
    if (name.starts_with(prefix)) out->push_back(name.substr(prefix.size()));
  }
  return IOStatus::OK();
}

IOStatus SimDisk::DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus status = enter(); !status.ok()) return status;
  if (!find(path)) return no_file(path);
  change({clean(path), {}, nullptr});
  return IOStatus::OK();
}

IOStatus SimDisk::CreateDir(const std::string&, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  return enter();
}

IOStatus SimDisk::CreateDirIfMissing(const std::string&, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  return enter();
}

IOStatus SimDisk::DeleteDir(const std::string&, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  return enter();
}

IOStatus SimDisk::GetFileSize(const std::string& path, const IOOptions&, std::uint64_t* out, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus status = enter(); !status.ok()) return status;
  const auto node = find(path);
  if (!node) return no_file(path);
  *out = node->data.size();
  return IOStatus::OK();
}

IOStatus SimDisk::GetFileModificationTime(const std::string&, const IOOptions&, std::uint64_t* out, IODebugContext*) {
  *out = 0;
  return IOStatus::OK();
}

IOStatus SimDisk::RenameFile(const std::string& from, const std::string& to, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus status = enter(); !status.ok()) return status;
  const auto node = find(from);
  if (!node) return no_file(from);
  change({clean(from), clean(to), node});
  return IOStatus::OK();
}

IOStatus SimDisk::LockFile(const std::string&, const IOOptions&, rocksdb::FileLock** out, IODebugContext*) {
  *out = new NoLock;
  return IOStatus::OK();
}

IOStatus SimDisk::UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) {
  delete lock;
  return IOStatus::OK();
}

IOStatus SimDisk::GetTestDirectory(const IOOptions&, std::string* out, IODebugContext*) {
  *out = "/test";
  return IOStatus::OK();
}

IOStatus SimDisk::NewLogger(const std::string&, const IOOptions&, std::shared_ptr<rocksdb::Logger>* out,
                            IODebugContext*) {
  *out = std::make_shared<NoLogger>();
  return IOStatus::OK();
}

IOStatus SimDisk::GetAbsolutePath(const std::string& path, const IOOptions&, std::string* out, IODebugContext*) {
  *out = path;
  return IOStatus::OK();
}

IOStatus SimDisk::GetFreeSpace(const std::string&, const IOOptions&, std::uint64_t* out, IODebugContext*) {
  *out = free_bytes_;
  return IOStatus::OK();
}

IOStatus SimDisk::IsDirectory(const std::string& path, const IOOptions&, bool* out, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  *out = find(path) == nullptr;
  return IOStatus::OK();
}

}  // namespace retire::store
