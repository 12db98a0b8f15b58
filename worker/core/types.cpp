#include "worker/core/types.hpp"

#include <algorithm>

namespace retire::worker {

namespace {
constexpr std::size_t kForgottenKept = 64;  // with their run times, for when they come back
}  // namespace

void TypeTable::offer(const std::vector<std::string>& types, const std::vector<bool>& used) {
  for (Type& type : types_) type.offered = false;
  for (const std::string& name : types) {
    const auto known = std::find_if(types_.begin(), types_.end(), [&](const Type& type) { return type.name == name; });
    if (known != types_.end()) {
      known->offered = true;
    } else {
      types_[place_for_new(used)] = {name, true, -1, kNone};
    }
  }
}

std::size_t TypeTable::place_for_new(const std::vector<bool>& used) {
  const auto is_free = [&](std::size_t i) { return !types_[i].offered && (i >= used.size() || !used[i]); };
  std::size_t idle = 0;
  std::size_t first = types_.size();
  for (std::size_t i = 0; i < types_.size(); ++i) {
    if (!is_free(i)) continue;
    first = std::min(first, i);
    ++idle;
  }
  if (idle > kForgottenKept) return first;
  types_.emplace_back();
  return types_.size() - 1;
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
