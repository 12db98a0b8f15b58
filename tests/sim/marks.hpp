// Which rare paths were reached: a fault that is never simulated proves nothing.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace retire::sim {

class Marks {
 public:
  void hit(const std::string& path, std::uint64_t times = 1) {
    if (times > 0) hits_[path] += times;
  }
  std::uint64_t hits(const std::string& path) const {
    const auto at = hits_.find(path);
    return at == hits_.end() ? 0 : at->second;
  }
  const std::map<std::string, std::uint64_t>& all() const { return hits_; }

 private:
  std::map<std::string, std::uint64_t> hits_;
};

}  // namespace retire::sim
