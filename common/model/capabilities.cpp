#include "common/model/capabilities.hpp"

#include <algorithm>
#include <cmath>

#include "common/model/limits.hpp"

namespace retire {
namespace {

void sort_unique(std::vector<std::string>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

Error invalid(const std::string& key, const std::string& value, const std::string& rule) {
  return {ErrorCode::Invalid, key + " must be " + rule + ", got " + value};
}

}  // namespace

Status normalize(Capabilities& capabilities) {
  Capabilities& c = capabilities;
  for (char& letter : c.platform) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  sort_unique(c.tags);
  sort_unique(c.handlers);
  std::sort(c.resources.begin(), c.resources.end());

  if (!is_device_id(c.device_id)) {
    return invalid("device_id", "\"" + c.device_id + "\"", "1 to 128 characters of A-Z a-z 0-9 _ . : -");
  }
  if (c.slots < 1 || c.slots > kSlotsMax) return invalid("slots", std::to_string(c.slots), "an integer from 1 to 4096");
  for (const auto& [key, value] :
       {std::pair{"memory_total_gb", c.memory_total_gb}, std::pair{"storage_total_gb", c.storage_total_gb}}) {
    if (!std::isfinite(value) || value < 0 || value > kQuantityMax) {
      return invalid(key, std::to_string(value), "a number from 0 to 1000000000");
    }
  }
  for (const std::string& handler : c.handlers) {
    if (!is_task_type(handler)) {
      return invalid("handlers", "\"" + handler + "\"", "task types of 1 to 64 characters of a-z 0-9 _ . -");
    }
  }
  return ok_status();
}

}  // namespace retire
