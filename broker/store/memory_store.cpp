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

 private:
  Position position_ = 0;
};

}  // namespace

std::unique_ptr<Store> make_memory_store() { return std::make_unique<MemoryStore>(); }

Result<std::unique_ptr<Store>> open_store(const std::string& url) {
  if (url == "memory:") return make_memory_store();
  return Error{ErrorCode::Configuration, "no store of the kind \"" + url + "\"; use memory:"};
}

}  // namespace retire::store
