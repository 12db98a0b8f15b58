#include <limits>
#include <vector>

#include "broker/store/embedded_store.hpp"
#include "broker/store/store.hpp"

namespace retire::store {
namespace {

class MemoryStore final : public Store {
 public:
  Position append(const Record& /*record*/) override { return ++position_; }
  void submit() override {}
  Result<Position> durable() override { return position_; }
  int readable() const override { return -1; }
  bool is_durable() const override { return false; }
  std::size_t backlog_bytes() const override { return 0; }
  void release(Position /*position*/) override {}
  bool fetch(Position /*position*/, std::uint64_t token) override {
    asked_.push_back(token);
    return true;
  }
  std::size_t fetched(std::size_t max, const Fetched& visit) override {
    std::size_t count = 0;
    for (; count < max && !asked_.empty(); ++count) {
      const std::uint64_t token = asked_.back();
      asked_.pop_back();
      visit(token, Error{ErrorCode::NotFound, "a store in memory keeps no record"});
    }
    return count;
  }
  Loading loading() const override { return Loading::Done; }
  Result<std::size_t> recover(std::size_t /*max*/, const Visit& /*visit*/) override { return std::size_t{0}; }
  bool may_know(const TaskId& /*id*/) const override { return false; }
  Opened opened() const override { return {}; }
  std::string settings() const override { return {}; }
  Space space() const override { return {0, std::numeric_limits<std::uint64_t>::max(), false}; }
  Status close() override { return ok_status(); }

 private:
  Position position_ = 0;
  std::vector<std::uint64_t> asked_;
};

}  // namespace

std::unique_ptr<Store> make_memory_store() { return std::make_unique<MemoryStore>(); }

Result<std::unique_ptr<Store>> open_store(const std::string& url, const StoreOptions& options) {
  if (url == "memory:") return make_memory_store();
  if (url == "embedded") {
    EmbeddedOptions embedded;
    embedded.store = options;
    return open_embedded(embedded);
  }
  return Error{ErrorCode::Configuration, "no store of the kind \"" + url + "\"; use embedded or memory:"};
}

}  // namespace retire::store
