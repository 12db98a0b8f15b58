// A compiled schema as the check walks it. Private to plugins/manifest.
#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "plugins/manifest/schema.hpp"
#include "plugins/manifest/schema_values.hpp"

namespace retire::schema {

// Bits of Node::types.
enum Type : std::uint8_t { Null = 1, Boolean = 2, Integer = 4, Number = 8, String = 16, List = 32, Map = 64 };
constexpr std::uint8_t kAnyType = 0xff;
constexpr std::uint64_t kNoMax = std::numeric_limits<std::uint64_t>::max();

struct Node;

// All that is said of one field by name.
struct Property {
  std::string_view name;
  const Node* schema = nullptr;  // null: nothing under "properties"
  std::uint32_t required = 0;    // 1 + its place among the required ones; 0: it is not
};

struct PatternProperty {
  const re2::RE2* pattern = nullptr;
  const Node* schema = nullptr;
};

struct Dependency {
  std::string_view name;
  std::vector<std::string_view> required;
  const Node* schema = nullptr;
};

// One subschema. Views and values point into Compiled::zone, nodes and patterns live in Compiled.
struct Node {
  bool anything = true;  // no keyword asserts anything
  bool nothing = false;  // the schema `false`
  std::uint8_t types = kAnyType;

  bool is_const = false;  // `values` is what "const" says
  std::optional<std::vector<msgpack::object>> values;

  std::optional<Real> minimum, maximum, above, below, multiple_of;  // above, below: the exclusive ones

  std::uint64_t length_min = 0, length_max = kNoMax;
  const re2::RE2* pattern = nullptr;

  std::uint64_t items_min = 0, items_max = kNoMax;
  bool unique = false;
  const Node* items = nullptr;        // of every item,
  std::vector<const Node*> in_order;  // or of the first ones each,
  bool is_in_order = false;
  const Node* further_items = nullptr;  // and of those after them
  const Node* contains = nullptr;

  std::uint64_t fields_min = 0, fields_max = kNoMax;
  std::vector<Property> properties;  // sorted by name
  std::vector<std::string_view> required;
  std::vector<PatternProperty> pattern_properties;
  const Node* further_properties = nullptr;
  const Node* names = nullptr;
  std::vector<Dependency> dependencies;

  // Of the very value that this node is for.
  std::vector<const Node*> all_of, any_of, one_of;
  const Node* none_of = nullptr;
  const Node* condition = nullptr;
  const Node* then_node = nullptr;
  const Node* else_node = nullptr;
  const Node* reference = nullptr;
};

struct Compiled {
  std::string bytes;  // the schema as msgpack; the zone's texts point into it
  msgpack::zone zone;
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::unique_ptr<re2::RE2>> patterns;
  const Node* root = nullptr;
};

}  // namespace retire::schema
