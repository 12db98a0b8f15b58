// What tasks and devices have in common, each kept once.
//
//   spec     what a client asked for: type, priority, requirements, group          (many tasks share one)
//   class    a spec's type and demands on a device                                 (many specs share one)
//   profile  what a device offers, apart from its name and slots                   (many devices share one)
//
// Whether a class and a profile go together is computed once, when the younger of the two appears, and kept as a bit
// in both directions. So the cost of matching depends on how many different things there are, and not on how many tasks
// or devices.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/core/index.hpp"
#include "common/base/time.hpp"
#include "common/model/capabilities.hpp"
#include "common/model/task.hpp"

namespace retire::core {

struct Type {
  std::string name;
  std::uint64_t serial = 0;  // never used again for another type
  std::uint32_t specs = 0;   // that name it; the type is kept while there are any
  std::uint64_t tasks = 0;   // kept tasks of it, finished ones included
  bool paused = false;
  TimePoint succeeded_at{};  // its latest success, and on which device
  DeviceIndex succeeded_on;
  TimePoint succeeded_elsewhere_at{};  // its latest success on another device than that
  double mean_us = 0;                  // how long its attempts take, over all devices: a moving average
  std::uint32_t runs = 0;              // that it is made of, up to its weight
};

struct Class {
  TypeIndex type;
  Requirements demands;
  std::uint32_t specs = 0;
  Bits profiles;  // those that can run it
};

struct Spec {
  TaskSpec spec;
  ClassIndex task_class;
  LaneIndex lane;           // where its tasks queue; the queue's own
  std::uint64_t tasks = 0;  // kept tasks of it; the spec is kept while there are any
};

struct Profile {
  Capabilities capabilities;  // without device_id, slots and version; with the resources every device has
  std::uint32_t devices = 0;  // the profile is kept while there are any
  Bits classes;               // those it can run
};

class Catalog {
 public:
  // The place of an equal spec, made if there is none. It is removed by release() of its last task, or at once by
  // drop_if_unused().
  SpecIndex intern(const TaskSpec& spec);
  void retain(SpecIndex spec);
  // One task less. True when the spec is not used any more: the caller cleans up what it keeps for it (its lane),
  // then calls drop().
  bool release(SpecIndex spec);
  bool unused(SpecIndex spec) const { return specs_[spec].tasks == 0; }
  void drop(SpecIndex spec);

  ProfileIndex intern_profile(const Capabilities& capabilities);
  void release_profile(ProfileIndex profile);

  Spec& spec(SpecIndex place) { return specs_[place]; }
  const Spec& spec(SpecIndex place) const { return specs_[place]; }
  const Class& task_class(ClassIndex place) const { return classes_[place]; }
  const Class& class_of(SpecIndex place) const { return classes_[specs_[place].task_class]; }
  const Type& type_of(SpecIndex place) const { return types_[class_of(place).type]; }
  const Profile& profile(ProfileIndex place) const { return profiles_[place]; }
  Type& type(TypeIndex place) { return types_[place]; }
  const Type& type(TypeIndex place) const { return types_[place]; }
  std::uint32_t profiles_last() const { return profiles_.last(); }

  // Kept tasks by type name, for the statistics.
  std::map<std::string, std::uint64_t, std::less<>> tasks_by_type() const;
  // Adds up kept tasks by the wire value of their priority.
  void count_by_priority(std::array<std::uint64_t, kPriorityCount + 1>& out) const;
  void pause_type(const std::string& name, bool paused);
  std::vector<std::string> paused_types() const;
  bool is_type_paused(const std::string& name) const { return paused_types_.contains(name); }
  bool is_paused(ClassIndex task_class) const { return types_[classes_[task_class].type].paused; }

 private:
  TypeIndex intern_type(const std::string& name);
  ClassIndex intern_class(TypeIndex type, const Requirements& requirements);

  Slab<Type, TypeIndex> types_;
  std::uint64_t type_serial_ = 0;
  Slab<Class, ClassIndex> classes_;
  Slab<Spec, SpecIndex> specs_;
  Slab<Profile, ProfileIndex> profiles_;
  // By a hash of the content; several places with one hash stand in a row. Looked up only, never walked.
  std::unordered_multimap<std::uint64_t, SpecIndex> specs_by_hash_;
  std::unordered_multimap<std::uint64_t, ClassIndex> classes_by_hash_;
  std::unordered_multimap<std::uint64_t, ProfileIndex> profiles_by_hash_;
  std::map<std::string, TypeIndex, std::less<>> types_by_name_;
  std::map<std::string, bool, std::less<>> paused_types_;  // also types that no task names now
};

// What every device has to reserve from, declared or not: cpus, memory_gb, gpus.
Resources effective_resources(const Capabilities& capabilities);

}  // namespace retire::core
