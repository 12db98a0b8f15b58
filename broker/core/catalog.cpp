#include "broker/core/catalog.hpp"

#include <algorithm>
#include <bit>

#include "broker/core/matching.hpp"

namespace retire::core {
namespace {

// Mixes values into one number, the same on every platform. Only for finding equal content, so not secret.
class Hash {
 public:
  Hash& add(std::uint64_t value) {
    state_ = (state_ ^ value) * 0x9e3779b97f4a7c15ull;
    state_ ^= state_ >> 29;
    return *this;
  }
  Hash& add(double value) { return add(std::bit_cast<std::uint64_t>(value)); }
  Hash& add(std::string_view text) {
    add(std::uint64_t{text.size()});
    for (const char c : text) add(static_cast<std::uint64_t>(static_cast<unsigned char>(c)));
    return *this;
  }
  Hash& add(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) add(std::string_view(text));
    return add(std::uint64_t{texts.size()});
  }
  Hash& add(const Resources& resources) {
    for (const auto& [name, amount] : resources) add(std::string_view(name)).add(amount);
    return add(std::uint64_t{resources.size()});
  }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0x2545f4914f6cdd1dull;
};

std::uint64_t hash_demands(std::string_view type, const Requirements& r) {
  return Hash()
      .add(type)
      .add(std::uint64_t{r.min_cpu_cores})
      .add(r.min_memory_gb)
      .add(r.min_storage_gb)
      .add(std::uint64_t{r.gpu_required} | std::uint64_t{r.internet_required} << 1)
      .add(std::string_view(r.required_platform))
      .add(std::string_view(r.required_role))
      .add(r.required_tags)
      .add(r.resources)
      .add(static_cast<std::uint64_t>(r.min_isolation))
      .value();
}

std::uint64_t hash_spec(const TaskSpec& spec) {
  return Hash()
      .add(hash_demands(spec.type, spec.requirements))
      .add(static_cast<std::uint64_t>(spec.priority))
      .add(spec.requirements.timeout_seconds)
      .add(std::uint64_t{spec.requirements.max_retries})
      .add(std::uint64_t{spec.requirements.at_most_once})
      .add(std::string_view(spec.group))
      .value();
}

std::uint64_t hash_profile(const Capabilities& c) {
  return Hash()
      .add(std::string_view(c.role))
      .add(std::string_view(c.platform))
      .add(std::string_view(c.arch))
      .add(std::uint64_t{c.cpu_count})
      .add(c.memory_total_gb)
      .add(c.storage_total_gb)
      .add(std::uint64_t{c.has_gpu} | std::uint64_t{c.has_internet} << 1)
      .add(c.tags)
      .add(c.handlers)
      .add(c.resources)
      .add(static_cast<std::uint64_t>(c.isolation))
      .value();
}

template <class Map, class Place, class Equal>
Place find_equal(const Map& map, std::uint64_t hash, Equal equal) {
  const auto [first, last] = map.equal_range(hash);
  for (auto at = first; at != last; ++at) {
    if (equal(at->second)) return at->second;
  }
  return Place{};
}

template <class Map, class Place>
void erase_place(Map& map, std::uint64_t hash, Place place) {
  const auto [first, last] = map.equal_range(hash);
  for (auto at = first; at != last; ++at) {
    if (at->second == place) {
      map.erase(at);
      return;
    }
  }
  RC_ASSERT(false);
}

}  // namespace

Resources effective_resources(const Capabilities& c) {
  Resources out = c.resources;
  const auto add = [&](const char* name, double amount) {
    const bool declared = std::any_of(out.begin(), out.end(), [&](const auto& entry) { return entry.first == name; });
    if (!declared) out.emplace_back(name, amount);
  };
  add("cpus", c.cpu_count);
  add("memory_gb", c.memory_total_gb);
  add("gpus", c.has_gpu ? 1 : 0);
  std::sort(out.begin(), out.end());
  return out;
}

TypeIndex Catalog::intern_type(const std::string& name) {
  if (const auto at = types_by_name_.find(name); at != types_by_name_.end()) return at->second;
  const TypeIndex place = types_.add();
  types_[place].name = name;
  types_[place].serial = ++type_serial_;
  types_[place].paused = paused_types_.contains(name);
  types_by_name_.emplace(name, place);
  return place;
}

ClassIndex Catalog::intern_class(TypeIndex type, const Requirements& requirements) {
  const std::string& name = types_[type].name;
  const std::uint64_t hash = hash_demands(name, requirements);
  const auto equal = [&](ClassIndex place) {
    return classes_[place].type == type && same_demands(classes_[place].demands, requirements);
  };
  if (const auto place = find_equal<decltype(classes_by_hash_), ClassIndex>(classes_by_hash_, hash, equal))
    return place;

  const ClassIndex place = classes_.add();
  Class& added = classes_[place];
  added.type = type;
  added.demands = requirements;
  classes_by_hash_.emplace(hash, place);
  for (std::uint32_t i = 1; i <= profiles_.last(); ++i) {
    Profile& profile = profiles_[ProfileIndex{i}];
    if (profile.devices == 0 || !matches(name, requirements, profile.capabilities)) continue;
    profile.classes.set(place.value);
    added.profiles.set(i);
  }
  return place;
}

SpecIndex Catalog::intern(const TaskSpec& spec) {
  const std::uint64_t hash = hash_spec(spec);
  const auto equal = [&](SpecIndex place) { return specs_[place].spec == spec; };
  if (const auto place = find_equal<decltype(specs_by_hash_), SpecIndex>(specs_by_hash_, hash, equal)) return place;

  const TypeIndex type = intern_type(spec.type);
  const ClassIndex task_class = intern_class(type, spec.requirements);
  const SpecIndex place = specs_.add();
  specs_[place].spec = spec;
  specs_[place].task_class = task_class;
  specs_by_hash_.emplace(hash, place);
  ++classes_[task_class].specs;
  ++types_[type].specs;
  return place;
}

void Catalog::retain(SpecIndex spec) {
  ++specs_[spec].tasks;
  ++types_[classes_[specs_[spec].task_class].type].tasks;
}

bool Catalog::release(SpecIndex spec) {
  RC_ASSERT(specs_[spec].tasks > 0);
  --types_[classes_[specs_[spec].task_class].type].tasks;
  return --specs_[spec].tasks == 0;
}

void Catalog::drop(SpecIndex place) {
  const Spec& spec = specs_[place];
  RC_ASSERT(spec.tasks == 0);
  erase_place(specs_by_hash_, hash_spec(spec.spec), place);
  const ClassIndex class_place = spec.task_class;
  specs_.remove(place);

  Class& task_class = classes_[class_place];
  const TypeIndex type = task_class.type;
  if (--task_class.specs == 0) {
    erase_place(classes_by_hash_, hash_demands(types_[type].name, task_class.demands), class_place);
    task_class.profiles.for_each_common(task_class.profiles, 0, [&](std::uint32_t i) {
      profiles_[ProfileIndex{i}].classes.reset(class_place.value);
      return true;
    });
    classes_.remove(class_place);
  }
  if (--types_[type].specs == 0) {
    types_by_name_.erase(types_[type].name);
    types_.remove(type);
  }
}

ProfileIndex Catalog::intern_profile(const Capabilities& capabilities) {
  Capabilities offered = capabilities;
  offered.device_id.clear();
  offered.version.clear();
  offered.refused_plugins.clear();
  offered.plugins.clear();
  offered.slots = 1;
  offered.resources = effective_resources(capabilities);
  const std::uint64_t hash = hash_profile(offered);
  const auto equal = [&](ProfileIndex place) { return profiles_[place].capabilities == offered; };
  if (const auto place = find_equal<decltype(profiles_by_hash_), ProfileIndex>(profiles_by_hash_, hash, equal)) {
    ++profiles_[place].devices;
    return place;
  }
  const ProfileIndex place = profiles_.add();
  Profile& added = profiles_[place];
  added.capabilities = std::move(offered);
  added.devices = 1;
  profiles_by_hash_.emplace(hash, place);
  for (std::uint32_t i = 1; i <= classes_.last(); ++i) {
    Class& task_class = classes_[ClassIndex{i}];
    if (task_class.specs == 0) continue;
    if (!matches(types_[task_class.type].name, task_class.demands, added.capabilities)) continue;
    added.classes.set(i);
    task_class.profiles.set(place.value);
  }
  return place;
}

void Catalog::release_profile(ProfileIndex place) {
  Profile& profile = profiles_[place];
  RC_ASSERT(profile.devices > 0);
  if (--profile.devices > 0) return;
  erase_place(profiles_by_hash_, hash_profile(profile.capabilities), place);
  profile.classes.for_each_common(profile.classes, 0, [&](std::uint32_t i) {
    classes_[ClassIndex{i}].profiles.reset(place.value);
    return true;
  });
  profiles_.remove(place);
}

std::map<std::string, std::uint64_t, std::less<>> Catalog::tasks_by_type() const {
  std::map<std::string, std::uint64_t, std::less<>> out;
  for (const auto& [name, place] : types_by_name_) {
    if (types_[place].tasks > 0) out.emplace(name, types_[place].tasks);
  }
  return out;
}

void Catalog::count_by_priority(std::array<std::uint64_t, kPriorityCount + 1>& out) const {
  for (std::uint32_t i = 1; i <= specs_.last(); ++i) {
    const Spec& spec = specs_[SpecIndex{i}];
    out.at(static_cast<std::size_t>(spec.spec.priority)) += spec.tasks;
  }
}

std::vector<std::string> Catalog::paused_types() const {
  std::vector<std::string> out;
  for (const auto& [name, paused] : paused_types_) out.push_back(name);
  return out;
}

void Catalog::pause_type(const std::string& name, bool paused) {
  if (paused) {
    paused_types_[name] = true;
  } else {
    paused_types_.erase(name);
  }
  if (const auto at = types_by_name_.find(name); at != types_by_name_.end()) types_[at->second].paused = paused;
}

}  // namespace retire::core
