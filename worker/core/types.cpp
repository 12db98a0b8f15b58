#include "worker/core/types.hpp"

#include <algorithm>

namespace retire::worker {

void TypeTable::offer(const std::vector<std::string>& types) {
  for (Type& type : types_) type.offered = false;
  for (const std::string& name : types) {
    const auto known = std::find_if(types_.begin(), types_.end(), [&](const Type& type) { return type.name == name; });
    if (known != types_.end()) {
      known->offered = true;
    } else {
      types_.push_back({name, true, -1, kNone});
    }
  }
}

TypeIndex TypeTable::find_offered(std::string_view name) const {
  for (std::size_t i = 0; i < types_.size(); ++i) {
    if (types_[i].name == name) return types_[i].offered ? static_cast<TypeIndex>(i) : kNone;
  }
  return kNone;
}

void TypeTable::ran(TypeIndex index, std::uint64_t nanoseconds) {
  constexpr double kNewestCounts = 0.125;
  Type& type = types_[index];
  const auto ran = static_cast<double>(nanoseconds);
  type.run_ns = type.run_ns < 0 ? ran : type.run_ns + kNewestCounts * (ran - type.run_ns);
}

}  // namespace retire::worker
