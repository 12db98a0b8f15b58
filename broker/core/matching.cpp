#include "broker/core/matching.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace retire::core {
namespace {

std::string json(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

std::string json(bool value) { return value ? "true" : "false"; }

std::string json(const std::string& value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (static_cast<unsigned char>(c) >= 0x20) out.push_back(c);
  }
  return out + "\"";
}

std::string json(const std::vector<std::string>& values) {
  std::string out = "[";
  for (const std::string& value : values) out += (out.size() > 1 ? "," : "") + json(value);
  return out + "]";
}

double amount_of(const Resources& resources, const std::string& name) {
  const auto at = std::lower_bound(resources.begin(), resources.end(), name,
                                   [](const auto& entry, const std::string& wanted) { return entry.first < wanted; });
  return at != resources.end() && at->first == name ? at->second : 0;
}

bool includes(const std::vector<std::string>& sorted, const std::string& value) {
  return std::binary_search(sorted.begin(), sorted.end(), value);
}

// Calls unmet(key, wanted, has) for each requirement that fails, the values lazily as JSON text; stops when it says
// false.
template <class Unmet>
void compare(const std::string& type, const Requirements& r, const Capabilities& c, Unmet unmet) {
  const auto check = [&](bool met, const char* key, const auto& wanted, const auto& has) {
    return met || unmet(
                      std::string(key), [&] { return json(wanted); }, [&] { return json(has); });
  };
  if (!check(includes(c.handlers, type), "task_type", type, c.handlers)) return;
  if (!check(c.cpu_count >= r.min_cpu_cores, "min_cpu_cores", static_cast<double>(r.min_cpu_cores),
             static_cast<double>(c.cpu_count))) {
    return;
  }
  if (!check(c.memory_total_gb >= r.min_memory_gb, "min_memory_gb", r.min_memory_gb, c.memory_total_gb)) return;
  if (!check(c.storage_total_gb >= r.min_storage_gb, "min_storage_gb", r.min_storage_gb, c.storage_total_gb)) return;
  if (!check(c.has_gpu || !r.gpu_required, "gpu_required", r.gpu_required, c.has_gpu)) return;
  if (!check(c.has_internet || !r.internet_required, "internet_required", r.internet_required, c.has_internet)) return;
  if (!check(r.required_platform.empty() || r.required_platform == c.platform, "required_platform", r.required_platform,
             c.platform)) {
    return;
  }
  if (!check(r.required_role.empty() || r.required_role == c.role, "required_role", r.required_role, c.role)) return;
  const bool tags = std::includes(c.tags.begin(), c.tags.end(), r.required_tags.begin(), r.required_tags.end());
  if (!check(tags, "required_tags", r.required_tags, c.tags)) return;
  const Isolation has = c.isolation == Isolation::Any ? Isolation::Off : c.isolation;
  if (!check(has >= r.min_isolation, "min_isolation", std::string(to_string(r.min_isolation)),
             std::string(to_string(has)))) {
    return;
  }
  for (const auto& [name, amount] : r.resources) {
    const double there = amount_of(c.resources, name);
    const auto& wanted = amount;
    if (there < wanted && !unmet(
                              "resources." + name, [&] { return json(wanted); }, [&] { return json(there); }))
      return;
  }
}

}  // namespace

bool matches(const std::string& type, const Requirements& requirements, const Capabilities& capabilities) {
  bool all = true;
  compare(type, requirements, capabilities, [&](const std::string&, auto, auto) { return all = false; });
  return all;
}

std::vector<UnmetRequirement> unmet_requirements(const std::string& type, const Requirements& requirements,
                                                 const Capabilities& capabilities) {
  std::vector<UnmetRequirement> out;
  compare(type, requirements, capabilities, [&](const std::string& key, auto wanted, auto has) {
    out.push_back({key, wanted(), has()});
    return true;
  });
  return out;
}

bool same_demands(const Requirements& a, const Requirements& b) {
  return a.min_cpu_cores == b.min_cpu_cores && a.min_memory_gb == b.min_memory_gb &&
         a.min_storage_gb == b.min_storage_gb && a.gpu_required == b.gpu_required &&
         a.internet_required == b.internet_required && a.required_platform == b.required_platform &&
         a.required_role == b.required_role && a.required_tags == b.required_tags && a.resources == b.resources &&
         a.min_isolation == b.min_isolation;
}

}  // namespace retire::core
