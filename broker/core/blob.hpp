// Bytes that the core keeps for others and never looks into: payloads, results.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "common/base/assert.hpp"
#include "common/base/pages.hpp"

namespace retire::core {

// One pointer, one allocation: eight bytes in the record of a queued task. Empty bytes need no allocation, so "none"
// and "empty" are the same here; a payload or result of msgpack is never empty.
class Blob {
 public:
  Blob() = default;
  explicit Blob(std::string_view bytes) {
    if (bytes.empty()) return;
    RC_ASSERT(bytes.size() <= UINT32_MAX);
    const auto size = static_cast<std::uint32_t>(bytes.size());
    data_.reset(static_cast<char*>(std::malloc(sizeof size + bytes.size())));
    RC_ASSERT(data_ != nullptr);
    std::memcpy(data_.get(), &size, sizeof size);
    std::memcpy(data_.get() + sizeof size, bytes.data(), bytes.size());
  }

  std::string_view view() const {
    if (data_ == nullptr) return {};
    std::uint32_t size = 0;
    std::memcpy(&size, data_.get(), sizeof size);
    return {data_.get() + sizeof size, size};
  }
  std::size_t size() const { return view().size(); }
  bool empty() const { return data_ == nullptr; }
  // Its memory is about to be touched: read or freed.
  void fetch() const { prefetch(data_.get()); }

 private:
  struct Free {
    void operator()(char* data) const { std::free(data); }
  };
  std::unique_ptr<char, Free> data_;
};

}  // namespace retire::core
