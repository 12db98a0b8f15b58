// Holds a payload against a compiled schema. The payload may be anything, and so may the schema; both are bounded.
#include <algorithm>
#include <cmath>
#include <limits>

#include "plugins/manifest/schema_node.hpp"

namespace retire {
namespace {

using namespace schema;
using Object = msgpack::object;

constexpr std::size_t kFramesMax = 1024;       // of the recursion
constexpr std::size_t kPointerBytesMax = 300;  // in a message
constexpr std::size_t kNamesShownMax = 12;

// Where the check is: a list on the stack, written out only when something is wrong.
struct Place {
  const Place* above = nullptr;
  std::string_view key;
  std::uint32_t index = 0;
  bool is_index = false;
};

std::string pointer_of(const Place* place) {
  std::vector<const Place*> path;
  for (; place->above != nullptr; place = place->above) path.push_back(place);
  std::string out;
  for (auto at = path.rbegin(); at != path.rend() && out.size() <= kPointerBytesMax; ++at) {
    out += '/';
    if ((*at)->is_index) {
      out += std::to_string((*at)->index);
      continue;
    }
    for (const char c : (*at)->key.substr(0, kPointerBytesMax)) {
      if (c == '~') {
        out += "~0";
      } else if (c == '/') {
        out += "~1";
      } else {
        out += c;
      }
    }
  }
  return one_line(out, kPointerBytesMax);
}

std::size_t depth_of(const PayloadFault& fault) {
  return static_cast<std::size_t>(std::count(fault.pointer.begin(), fault.pointer.end(), '/'));
}

const char* type_in_words(std::uint8_t bit) {
  switch (bit) {
    case Null: return "null";
    case Boolean: return "a boolean";
    case Integer: return "an integer";
    case Number: return "a number";
    case String: return "a string";
    case List: return "a list";
    default: return "a map";
  }
}

std::string types_in_words(std::uint8_t types) {
  std::string out;
  for (const std::uint8_t bit : {Boolean, Integer, Number, String, List, Map, Null}) {
    if ((types & bit) != 0) out.append(out.empty() ? "" : " or ").append(type_in_words(bit));
  }
  return out.empty() ? "of no type" : out;
}

bool has_type(const Object& value, std::uint8_t types) {
  switch (value.type) {
    case msgpack::type::NIL: return (types & Null) != 0;
    case msgpack::type::BOOLEAN: return (types & Boolean) != 0;
    case msgpack::type::POSITIVE_INTEGER:
    case msgpack::type::NEGATIVE_INTEGER: return (types & (Integer | Number)) != 0;
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64: {
      const double number = value.via.f64;
      if (!std::isfinite(number)) return false;
      return (types & Number) != 0 || ((types & Integer) != 0 && number == std::floor(number));
    }
    case msgpack::type::STR: return (types & String) != 0;
    case msgpack::type::ARRAY: return (types & List) != 0;
    case msgpack::type::MAP: return (types & Map) != 0;
    default: return false;
  }
}

bool is_multiple(Real number, Real of) {
  const Real quotient = number / of;
  if (!std::isfinite(quotient)) return false;
  // What is written as 0.0075 and 0.0001 is not quite that in binary.
  return std::fabs(quotient - std::round(quotient)) <=
         std::fabs(quotient) * 4 * static_cast<Real>(std::numeric_limits<double>::epsilon());
}

const Property* find(const Node& node, std::string_view name) {
  const auto at = std::lower_bound(node.properties.begin(), node.properties.end(), name,
                                   [](const Property& one, std::string_view key) { return one.name < key; });
  return at != node.properties.end() && at->name == name ? &*at : nullptr;
}

class Check {
 public:
  // False: a fault is there, or the budget is used up.
  bool value(const Node& node, const Object& value, const Place& place) {
    if (node.anything) return true;
    if (frames_ == kFramesMax || !budget_.spend(1)) return give_up();
    ++frames_;
    const bool fits = inside(node, value, place);
    --frames_;
    return fits;
  }

  PayloadFault fault() {
    if (given_up_) return {"", "takes more than can be spent on holding it against its schema"};
    return std::move(fault_);
  }

 private:
  bool give_up() { return given_up_ = true, false; }
  bool wrong(const Place& place, std::string rule) {
    if (given_up_) return false;
    if (quiet_ == 0) fault_ = {pointer_of(&place), std::move(rule)};
    return false;
  }

  bool inside(const Node& node, const Object& value, const Place& place) {
    if (node.nothing) return wrong(place, "is not allowed here");
    if (node.types != kAnyType && !has_type(value, node.types)) {
      const bool endless = is_float(value) && !number_of(value);
      return wrong(place, "must be " + types_in_words(node.types) + ", got " +
                              (endless ? "a number that is not finite" : retire_cluster::type_name(value)));
    }
    if (node.values && !is_among(node, value, place)) return false;
    switch (value.type) {
      case msgpack::type::STR:
        if (!string(node, text_of(value), place)) return false;
        break;
      case msgpack::type::ARRAY:
        if (!list(node, value.via.array, place)) return false;
        break;
      case msgpack::type::MAP:
        if (!map(node, value.via.map, place)) return false;
        break;
      default:
        if (const auto real = number_of(value); real && !number(node, *real, place)) return false;
    }
    return combined(node, value, place);
  }

  bool is_among(const Node& node, const Object& value, const Place& place) {
    for (const Object& one : *node.values) {
      if (equal(one, value, budget_)) return true;
    }
    if (budget_.is_spent()) return give_up();
    std::string rule = node.is_const ? "must be " : "must be one of ";
    for (std::size_t i = 0; i < node.values->size(); ++i) {
      if (i == kNamesShownMax) {
        rule += ", …";
        break;
      }
      rule += (i == 0 ? "" : ", ") + show((*node.values)[i]);
    }
    return wrong(place, rule + ", got " + show(value));
  }

  bool number(const Node& node, Real number, const Place& place) {
    const auto got = [&] { return ", got " + show(number); };
    if (node.minimum && number < *node.minimum) return wrong(place, "must be at least " + show(*node.minimum) + got());
    if (node.maximum && number > *node.maximum) return wrong(place, "must be at most " + show(*node.maximum) + got());
    if (node.above && number <= *node.above) return wrong(place, "must be more than " + show(*node.above) + got());
    if (node.below && number >= *node.below) return wrong(place, "must be less than " + show(*node.below) + got());
    if (node.multiple_of && !is_multiple(number, *node.multiple_of)) {
      return wrong(place, "must be a multiple of " + show(*node.multiple_of) + got());
    }
    return true;
  }

  bool string(const Node& node, std::string_view text, const Place& place) {
    if (node.length_min > 0 || node.length_max != kNoMax) {
      if (!budget_.spend(text.size() / 64)) return give_up();
      const std::size_t length = length_of(text);
      if (length < node.length_min) {
        return wrong(place,
                     "must have at least " + counted(node.length_min, "character") + ", has " + std::to_string(length));
      }
      if (length > node.length_max) {
        return wrong(place,
                     "must have at most " + counted(node.length_max, "character") + ", has " + std::to_string(length));
      }
    }
    if (node.pattern != nullptr) {
      if (!budget_.spend(text.size())) return give_up();
      if (!re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *node.pattern)) {
        return wrong(place, "must match the pattern \"" + one_line(node.pattern->pattern(), 100) + "\", got \"" +
                                one_line(text, 60) + '"');
      }
    }
    return true;
  }

  bool list(const Node& node, const msgpack::object_array& items, const Place& place) {
    if (items.size < node.items_min) {
      return wrong(place,
                   "must have at least " + counted(node.items_min, "item") + ", has " + std::to_string(items.size));
    }
    if (items.size > node.items_max) {
      return wrong(place,
                   "must have at most " + counted(node.items_max, "item") + ", has " + std::to_string(items.size));
    }
    for (std::uint32_t i = 0; i < items.size; ++i) {
      const Node* of = node.is_in_order ? i < node.in_order.size() ? node.in_order[i] : node.further_items : node.items;
      if (of == nullptr || of->anything) {
        if (!node.is_in_order || i >= node.in_order.size()) break;  // and so it is for all that follow
        continue;
      }
      if (!value(*of, items.ptr[i], Place{&place, {}, i, true})) return false;
    }
    if (node.contains != nullptr) {
      bool found = false;
      for (std::uint32_t i = 0; i < items.size && !found; ++i) {
        found = fits_quietly(*node.contains, items.ptr[i], Place{&place, {}, i, true});
        if (given_up_) return false;
      }
      if (!found) return wrong(place, "must have an item that fits \"contains\"");
    }
    if (node.unique) {
      const auto repeated = find_repeated(items, budget_);
      if (budget_.is_spent()) return give_up();
      if (repeated) {
        const Place at{&place, {}, *repeated, true};
        return wrong(at, "is there twice, and each item must be another");
      }
    }
    return true;
  }

  static bool asks_for_names(const Node& node) {
    return !node.properties.empty() || !node.pattern_properties.empty() || node.further_properties != nullptr ||
           node.names != nullptr || !node.dependencies.empty();
  }

  bool map(const Node& node, const msgpack::object_map& map, const Place& place) {
    if (map.size < node.fields_min) {
      return wrong(place,
                   "must have at least " + counted(node.fields_min, "field") + ", has " + std::to_string(map.size));
    }
    if (map.size > node.fields_max) {
      return wrong(place,
                   "must have at most " + counted(node.fields_max, "field") + ", has " + std::to_string(map.size));
    }
    if (!asks_for_names(node)) return true;
    std::vector<bool> there(node.required.size());
    for (std::uint32_t i = 0; i < map.size; ++i) {
      const msgpack::object_kv& entry = map.ptr[i];
      if (!budget_.spend(1)) return give_up();
      if (entry.key.type != msgpack::type::STR) {
        return wrong(place, std::string("must have strings as keys, got ") + retire_cluster::type_name(entry.key));
      }
      if (!field(node, entry, Place{&place, text_of(entry.key)}, there)) return false;
    }
    for (std::size_t i = 0; i < there.size(); ++i) {
      if (!there[i]) return wrong(Place{&place, node.required[i]}, "is missing");
    }
    return dependencies(node, map, place);
  }

  bool field(const Node& node, const msgpack::object_kv& entry, const Place& place, std::vector<bool>& there) {
    const std::string_view name = place.key;
    bool is_known = false;
    if (const Property* property = find(node, name)) {
      if (property->required > 0) there[property->required - 1] = true;
      if (property->schema != nullptr) {
        is_known = true;
        if (!value(*property->schema, entry.val, place)) return false;
      }
    }
    for (const PatternProperty& one : node.pattern_properties) {
      if (!budget_.spend(1 + name.size())) return give_up();
      if (!re2::RE2::PartialMatch(re2::StringPiece(name.data(), name.size()), *one.pattern)) continue;
      is_known = true;
      if (!value(*one.schema, entry.val, place)) return false;
    }
    if (!is_known && node.further_properties != nullptr) {
      if (node.further_properties->nothing) return wrong(place, "is not known" + known(node));
      if (!value(*node.further_properties, entry.val, place)) return false;
    }
    if (node.names != nullptr && !value(*node.names, entry.key, place)) {
      if (quiet_ == 0 && !given_up_) fault_.rule = "has a name that is not allowed: it " + fault_.rule;
      return false;
    }
    return true;
  }

  static std::string known(const Node& node) {
    std::string out;
    std::size_t shown = 0;
    for (const Property& property : node.properties) {
      if (property.schema == nullptr) continue;
      if (shown++ == kNamesShownMax) return out + ", …";
      out += (out.empty() ? "; known are " : ", ") + one_line(property.name, 60);
    }
    return out;
  }

  bool dependencies(const Node& node, const msgpack::object_map& map, const Place& place) {
    const auto has = [&](std::string_view name) {
      for (std::uint32_t i = 0; i < map.size; ++i) {
        if (text_of(map.ptr[i].key) == name) return true;
      }
      return false;
    };
    for (const Dependency& dependency : node.dependencies) {
      if (!budget_.spend(map.size * (1 + dependency.required.size()))) return give_up();
      if (!has(dependency.name)) continue;
      for (const std::string_view name : dependency.required) {
        if (!has(name)) {
          return wrong(Place{&place, name}, "is missing; \"" + one_line(dependency.name, 60) + "\" asks for it");
        }
      }
      if (dependency.schema == nullptr) continue;
      msgpack::object whole;
      whole.type = msgpack::type::MAP;
      whole.via.map = map;
      if (!value(*dependency.schema, whole, place)) return false;
    }
    return true;
  }

  bool combined(const Node& node, const Object& value_here, const Place& place) {
    if (node.reference != nullptr && !value(*node.reference, value_here, place)) return false;
    for (const Node* one : node.all_of) {
      if (!value(*one, value_here, place)) return false;
    }
    if (!node.any_of.empty() && !any(node.any_of, value_here, place)) return false;
    if (!node.one_of.empty() && !exactly_one(node.one_of, value_here, place)) return false;
    if (node.none_of != nullptr) {
      if (fits_quietly(*node.none_of, value_here, place)) return wrong(place, "must not fit the schema under \"not\"");
      if (given_up_) return false;
    }
    if (node.condition != nullptr) {
      const bool holds = fits_quietly(*node.condition, value_here, place);
      if (given_up_) return false;
      const Node* next = holds ? node.then_node : node.else_node;
      if (next != nullptr && !value(*next, value_here, place)) return false;
    }
    return true;
  }

  bool any(const std::vector<const Node*>& nodes, const Object& value_here, const Place& place) {
    for (const Node* one : nodes) {
      if (fits_quietly(*one, value_here, place)) return true;
      if (given_up_) return false;
    }
    return fits_none(nodes, value_here, place);
  }

  bool exactly_one(const std::vector<const Node*>& nodes, const Object& value_here, const Place& place) {
    std::size_t first = 0;  // 1 + its index
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const bool fits = fits_quietly(*nodes[i], value_here, place);
      if (given_up_) return false;
      if (!fits) continue;
      if (first != 0) {
        return wrong(place, "must fit exactly one of " + std::to_string(nodes.size()) +
                                " alternatives, and fits number " + std::to_string(first) + " and number " +
                                std::to_string(i + 1));
      }
      first = i + 1;
    }
    return first != 0 || fits_none(nodes, value_here, place);
  }

  // The fault furthest inside the value comes from the alternative that was most likely meant; when all fail at the
  // value itself, what each of them asks for is said.
  bool fits_none(const std::vector<const Node*>& nodes, const Object& value_here, const Place& place) {
    if (quiet_ != 0) return false;
    const std::string here = pointer_of(&place);
    PayloadFault deepest{here, ""};
    std::string rules;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (value(*nodes[i], value_here, place) || given_up_) return give_up();  // it did not fit a moment ago
      if (depth_of(fault_) > depth_of(deepest)) deepest = fault_;
      if (i < 4) rules += (i == 0 ? "" : "; or ") + one_line(fault_.rule, 200);
    }
    if (!deepest.rule.empty()) {
      fault_ = std::move(deepest);
    } else {
      fault_ = {here, nodes.size() > 4 ? rules + "; or …" : rules};
    }
    return false;
  }

  bool fits_quietly(const Node& node, const Object& value_here, const Place& place) {
    ++quiet_;
    const bool fits = value(node, value_here, place);
    --quiet_;
    return fits;
  }

  static std::string counted(std::uint64_t count, const char* what) {
    return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
  }

  Budget budget_{kCheckStepsMax};
  std::size_t frames_ = 0;
  std::size_t quiet_ = 0;  // > 0: nobody will read the fault, so it is not written
  bool given_up_ = false;
  PayloadFault fault_;
};

}  // namespace

std::string PayloadFault::text() const {
  return (pointer.empty() ? std::string("payload") : "field \"" + pointer + '"') + ' ' + rule;
}

std::optional<PayloadFault> PayloadSchema::check(const msgpack::object& payload) const {
  Check check;
  if (check.value(*compiled_->root, payload, Place{})) return std::nullopt;
  return check.fault();
}

std::optional<PayloadFault> PayloadSchema::check(retire_cluster::Bytes payload) const {
  if (accepts_everything()) return std::nullopt;
  try {
    msgpack::zone zone;
    return check(retire_cluster::decode(payload, zone));
  } catch (const retire_cluster::PayloadError& beyond) {
    std::string_view why = beyond.what();  // "payload: is cut short"
    if (why.starts_with("payload: ")) why.remove_prefix(9);
    return PayloadFault{"", std::string(why)};
  }
}

}  // namespace retire
