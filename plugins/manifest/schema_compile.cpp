// From a schema's text to nodes. Whoever wrote the text is not trusted: it may come with any plugin.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "common/json/json.hpp"
#include "plugins/manifest/schema_node.hpp"

namespace retire {
namespace {

using namespace schema;
using Object = msgpack::object;

// How many nodes may stand for one and the same value, one in another: with the depth of payloads it bounds recursion.
constexpr std::size_t kChainMax = 64;

struct Wrong {
  std::string pointer;
  std::string why;
};

[[noreturn]] void refuse(const std::string& pointer, std::string why) { throw Wrong{pointer, std::move(why)}; }

// Pointers are for messages: bounded, as there is one for each node.
std::string join(const std::string& pointer, std::string_view token) {
  if (pointer.size() > 256) return pointer;
  std::string out = pointer + '/';
  for (const char c : token.substr(0, 100)) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

bool is_map(const Object& value) { return value.type == msgpack::type::MAP; }
bool is_list(const Object& value) { return value.type == msgpack::type::ARRAY; }
bool is_text(const Object& value) { return value.type == msgpack::type::STR; }

const Object* find(const Object& map, std::string_view key) {
  for (std::uint32_t i = 0; i < map.via.map.size; ++i) {
    if (text_of(map.via.map.ptr[i].key) == key) return &map.via.map.ptr[i].val;
  }
  return nullptr;
}

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 7> kTypes = {{{"null", Null},
                                                                              {"boolean", Boolean},
                                                                              {"integer", Integer},
                                                                              {"number", Number},
                                                                              {"string", String},
                                                                              {"array", List},
                                                                              {"object", Map}}};

// RE2 knows what ECMA 262 writes as \uXXXX only as \x{XXXX}.
std::string re2_syntax(std::string_view pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    const char next = pattern[++i];
    const std::string_view digits = pattern.substr(std::min(i + 1, pattern.size()), 4);
    const bool is_code = next == 'u' && digits.size() == 4 && std::all_of(digits.begin(), digits.end(), [](char c) {
                           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
                         });
    if (is_code) {
      out.append("\\x{").append(digits).append("}");
      i += 4;
    } else {
      out.append(1, '\\').append(1, next);
    }
  }
  return out;
}

class Compiler {
 public:
  Compiler(Compiled& out, const Object& root) : out_(out), root_(root) {}

  const Node* compile() {
    const Node* root = node_at(root_, "");
    // References come last, when all that stands in the text has its node; their targets may bring further ones.
    for (std::size_t i = 0; i < references_.size(); ++i) resolve(Reference(references_[i]));
    for (const auto& [object, node] : nodes_) chain_of(*node);
    return root;
  }

 private:
  struct Reference {
    Node* from;
    std::string_view target;
    std::string pointer;
  };

  const Node* node_at(const Object& schema, const std::string& pointer) {
    if (const auto known = nodes_.find(&schema); known != nodes_.end()) return known->second;
    if (out_.nodes.size() == kSubschemasMax) {
      refuse(pointer, "more than " + std::to_string(kSubschemasMax) + " subschemas");
    }
    Node& node = *out_.nodes.emplace_back(std::make_unique<Node>());
    nodes_.emplace(&schema, &node);
    pointers_.emplace(&node, pointer);
    if (schema.type == msgpack::type::BOOLEAN) {
      node.nothing = !schema.via.boolean;
      node.anything = schema.via.boolean;
      return &node;
    }
    if (!is_map(schema)) {
      refuse(pointer, std::string("a schema must be an object, true or false, and this is ") + show(schema));
    }
    if (const Object* reference = find(schema, "$ref")) {
      read_reference(node, schema, *reference, pointer);
      return &node;
    }
    for (std::uint32_t i = 0; i < schema.via.map.size; ++i) {
      const std::string_view key = text_of(schema.via.map.ptr[i].key);
      keyword(node, schema, key, schema.via.map.ptr[i].val, join(pointer, key));
    }
    finish(node);
    return &node;
  }

  void read_reference(Node& node, const Object& schema, const Object& reference, const std::string& pointer) {
    for (std::uint32_t i = 0; i < schema.via.map.size; ++i) {
      const std::string_view key = text_of(schema.via.map.ptr[i].key);
      if (key == "definitions" || key == "$defs") {
        definitions(schema.via.map.ptr[i].val, join(pointer, key));
      } else if (key != "$ref" && !is_annotation(key, pointer.empty())) {
        refuse(join(pointer, key), "stands beside $ref, where draft 7 passes it over; put both into \"allOf\"");
      }
    }
    const std::string at = pointer + "/$ref";
    const std::string_view target = text(reference, at);
    if (target.empty() || target[0] != '#') {
      refuse(at, show(reference) + " leads out of this schema; nothing is fetched, write it under \"definitions\"");
    }
    if (target.size() > 1 && target[1] != '/') {
      refuse(at, show(reference) + " is not a JSON Pointer such as \"#/definitions/name\"");
    }
    node.anything = false;
    references_.push_back({&node, target.substr(1), at});
  }

  void resolve(const Reference& reference) {
    const Object* at = &root_;
    std::string_view rest = reference.target;
    while (!rest.empty()) {
      rest.remove_prefix(1);
      const std::size_t end = std::min(rest.find('/'), rest.size());
      const std::string token = unescaped(rest.substr(0, end));
      rest.remove_prefix(end);
      const Object* next = nullptr;
      if (is_map(*at)) {
        next = find(*at, token);
      } else if (is_list(*at) && !token.empty() && token.size() < 6 &&
                 token.find_first_not_of("0123456789") == std::string::npos) {
        const auto index = static_cast<std::uint32_t>(std::stoul(token));
        next = index < at->via.array.size ? &at->via.array.ptr[index] : nullptr;
      }
      if (next == nullptr) refuse(reference.pointer, "\"#" + one_line(reference.target, 200) + "\" is not there");
      at = next;
    }
    reference.from->reference = node_at(*at, std::string(reference.target));
  }

  static std::string unescaped(std::string_view token) {
    std::string out;
    for (std::size_t i = 0; i < token.size(); ++i) {
      const auto hex = [&](std::size_t at) {
        const char c = at < token.size() ? token[at] : 'x';
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
      };
      if (token[i] == '%' && hex(i + 1) >= 0 && hex(i + 2) >= 0) {
        out += static_cast<char>(hex(i + 1) * 16 + hex(i + 2));
        i += 2;
      } else {
        out += token[i];
      }
    }
    for (std::size_t at = 0; (at = out.find('~', at)) != std::string::npos; ++at) {
      if (at + 1 < out.size() && (out[at + 1] == '0' || out[at + 1] == '1'))
        out.replace(at, 2, out[at + 1] == '0' ? "~" : "/");
    }
    return out;
  }

  static bool is_annotation(std::string_view key, bool is_root) {
    for (const char* known : {"title", "description", "default", "examples", "$comment", "readOnly", "writeOnly",
                              "format", "contentMediaType", "contentEncoding"}) {
      if (key == known) return true;
    }
    return is_root && (key == "$schema" || key == "$id");
  }

  void keyword(Node& node, const Object& schema, std::string_view key, const Object& value, const std::string& at) {
    if (is_annotation(key, &schema == &root_)) {
      if (key == "$schema" && (!is_text(value) || text_of(value).find("draft-07") == std::string_view::npos)) {
        refuse(at, show(value) + " is not known here; \"http://json-schema.org/draft-07/schema#\" is");
      }
      return;
    }
    if (key == "definitions" || key == "$defs") return definitions(value, at);
    // Without "if" these say nothing, and "additionalItems" nothing without a list of "items".
    if (key == "then") return void(node.then_node = node_at(value, at));
    if (key == "else") return void(node.else_node = node_at(value, at));
    if (key == "additionalItems") return void(node.further_items = node_at(value, at));
    node.anything = false;
    if (key == "type") return types(node, value, at);
    if (key == "enum") return values(node, list(value, at));
    if (key == "const") return void((node.values.emplace().push_back(value), node.is_const = true));
    if (key == "minimum") return void(node.minimum = number(value, at));
    if (key == "maximum") return void(node.maximum = number(value, at));
    if (key == "exclusiveMinimum") return void(node.above = number(value, at));
    if (key == "exclusiveMaximum") return void(node.below = number(value, at));
    if (key == "multipleOf") {
      node.multiple_of = number(value, at);
      if (*node.multiple_of <= 0) refuse(at, "must be more than 0, and is " + show(value));
      return;
    }
    if (key == "minLength") return void(node.length_min = count(value, at));
    if (key == "maxLength") return void(node.length_max = count(value, at));
    if (key == "pattern") return void(node.pattern = pattern(text(value, at), at));
    if (key == "minItems") return void(node.items_min = count(value, at));
    if (key == "maxItems") return void(node.items_max = count(value, at));
    if (key == "uniqueItems") {
      if (value.type != msgpack::type::BOOLEAN) refuse(at, "must be true or false, and is " + show(value));
      return void(node.unique = value.via.boolean);
    }
    if (key == "items" && is_list(value)) return void((node.in_order = nodes(value, at), node.is_in_order = true));
    if (key == "items") return void(node.items = node_at(value, at));
    if (key == "contains") return void(node.contains = node_at(value, at));
    if (key == "minProperties") return void(node.fields_min = count(value, at));
    if (key == "maxProperties") return void(node.fields_max = count(value, at));
    if (key == "required") return required(node, value, at);
    if (key == "properties") {
      for_each(value, at, [&](std::string_view name, const Object& one, const std::string& here) {
        property(node, name).schema = node_at(one, here);
      });
      return;
    }
    if (key == "patternProperties") {
      for_each(value, at, [&](std::string_view name, const Object& one, const std::string& here) {
        node.pattern_properties.push_back({pattern(name, here), node_at(one, here)});
      });
      return;
    }
    if (key == "additionalProperties") return void(node.further_properties = node_at(value, at));
    if (key == "propertyNames") return void(node.names = node_at(value, at));
    if (key == "dependencies") {
      for_each(value, at, [&](std::string_view name, const Object& one, const std::string& here) {
        Dependency& dependency = node.dependencies.emplace_back();
        dependency.name = name;
        is_list(one) ? void(dependency.required = texts(one, here)) : void(dependency.schema = node_at(one, here));
      });
      return;
    }
    if (key == "allOf") return void(node.all_of = some_nodes(value, at));
    if (key == "anyOf") return void(node.any_of = some_nodes(value, at));
    if (key == "oneOf") return void(node.one_of = some_nodes(value, at));
    if (key == "not") return void(node.none_of = node_at(value, at));
    if (key == "if") return void(node.condition = node_at(value, at));
    refuse(at, "is not a keyword of JSON Schema draft 7 that is supported here");
  }

  void definitions(const Object& value, const std::string& at) {
    for_each(value, at, [&](std::string_view, const Object& one, const std::string& here) { node_at(one, here); });
  }

  void types(Node& node, const Object& value, const std::string& at) {
    node.types = 0;
    const auto add = [&](const Object& one, const std::string& here) {
      for (const auto& [name, bit] : kTypes) {
        if (is_text(one) && text_of(one) == name) return void(node.types |= bit);
      }
      refuse(here, show(one) + " is no type; the types are null, boolean, integer, number, string, array, object");
    };
    if (!is_list(value)) return add(value, at);
    const auto& all = list(value, at);
    for (std::uint32_t i = 0; i < all.size; ++i) add(all.ptr[i], join(at, std::to_string(i)));
  }

  static void values(Node& node, const msgpack::object_array& list) {
    auto& values = node.values.emplace();
    for (std::uint32_t i = 0; i < list.size; ++i) values.push_back(list.ptr[i]);
  }

  void required(Node& node, const Object& value, const std::string& at) {
    node.required = texts(value, at);
    if (std::set<std::string_view>(node.required.begin(), node.required.end()).size() != node.required.size()) {
      refuse(at, "names a field twice");
    }
    for (std::size_t i = 0; i < node.required.size(); ++i) {
      property(node, node.required[i]).required = static_cast<std::uint32_t>(i + 1);
    }
  }

  static Property& property(Node& node, std::string_view name) {
    const auto at = std::lower_bound(node.properties.begin(), node.properties.end(), name,
                                     [](const Property& one, std::string_view key) { return one.name < key; });
    if (at != node.properties.end() && at->name == name) return *at;
    return *node.properties.insert(at, Property{name});
  }

  static void finish(Node& node) {
    if (node.condition == nullptr) node.then_node = node.else_node = nullptr;
    if (!node.is_in_order) node.further_items = nullptr;
  }

  const re2::RE2* pattern(std::string_view text, const std::string& at) {
    if (out_.patterns.size() == kPatternsMax) refuse(at, "more than " + std::to_string(kPatternsMax) + " patterns");
    if (text.size() > kPatternBytesMax) {
      refuse(at, "a pattern of " + std::to_string(text.size()) + " bytes; at most " + std::to_string(kPatternBytesMax));
    }
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_never_capture(true);
    options.set_max_mem(1 << 20);
    auto compiled = std::make_unique<re2::RE2>(re2_syntax(text), options);
    if (!compiled->ok()) {
      refuse(at,
             "\"" + one_line(text, 100) + "\" is no pattern that is matched here: " + one_line(compiled->error(), 200));
    }
    return out_.patterns.emplace_back(std::move(compiled)).get();
  }

  static Real number(const Object& value, const std::string& at) {
    const auto number = number_of(value);
    if (!number) refuse(at, "must be a number, and is " + show(value));
    return *number;
  }
  static std::uint64_t count(const Object& value, const std::string& at) {
    const auto number = number_of(value);
    if (!number || *number < 0 || *number != std::floor(*number)) {
      refuse(at, "must be a whole number from 0, and is " + show(value));
    }
    return *number >= static_cast<Real>(kNoMax) ? kNoMax : static_cast<std::uint64_t>(*number);
  }
  static std::string_view text(const Object& value, const std::string& at) {
    if (!is_text(value)) refuse(at, "must be a string, and is " + show(value));
    return text_of(value);
  }
  static const msgpack::object_array& list(const Object& value, const std::string& at) {
    if (!is_list(value)) refuse(at, "must be a list, and is " + show(value));
    return value.via.array;
  }
  static std::vector<std::string_view> texts(const Object& value, const std::string& at) {
    std::vector<std::string_view> out;
    const auto& all = list(value, at);
    for (std::uint32_t i = 0; i < all.size; ++i) out.push_back(text(all.ptr[i], join(at, std::to_string(i))));
    return out;
  }
  std::vector<const Node*> nodes(const Object& value, const std::string& at) {
    std::vector<const Node*> out;
    const auto& all = list(value, at);
    for (std::uint32_t i = 0; i < all.size; ++i) out.push_back(node_at(all.ptr[i], join(at, std::to_string(i))));
    return out;
  }
  std::vector<const Node*> some_nodes(const Object& value, const std::string& at) {
    if (list(value, at).size == 0) refuse(at, "must hold at least one schema");
    return nodes(value, at);
  }
  template <class Each>
  static void for_each(const Object& value, const std::string& at, const Each& each) {
    if (!is_map(value)) refuse(at, "must be an object, and is " + show(value));
    for (std::uint32_t i = 0; i < value.via.map.size; ++i) {
      const std::string_view key = text_of(value.via.map.ptr[i].key);
      each(key, value.via.map.ptr[i].val, join(at, key));
    }
  }

  // The longest chain of nodes for one value that begins with this one. Refuses one that leads back to itself, as it
  // would never end.
  std::size_t chain_of(const Node& node) {
    constexpr std::size_t kOpen = 0;
    const auto [entry, is_new] = chains_.emplace(&node, kOpen);
    if (!is_new) {
      if (entry->second == kOpen) refuse(pointers_.at(&node), "refers to itself without going into the value");
      return entry->second;
    }
    std::size_t longest = 0;
    const auto follow = [&](const Node* next) {
      if (next != nullptr) longest = std::max(longest, chain_of(*next));
    };
    for (const auto* group : {&node.all_of, &node.any_of, &node.one_of}) {
      for (const Node* next : *group) follow(next);
    }
    for (const Node* next : {node.none_of, node.condition, node.then_node, node.else_node, node.reference})
      follow(next);
    for (const Dependency& dependency : node.dependencies) follow(dependency.schema);
    if (++longest > kChainMax)
      refuse(pointers_.at(&node), "more than " + std::to_string(kChainMax) + " schemas in each other for one value");
    return chains_[&node] = longest;
  }

  Compiled& out_;
  const Object& root_;
  std::vector<Reference> references_;
  std::map<const Object*, Node*> nodes_;
  std::map<const Node*, std::string> pointers_;  // for messages
  std::map<const Node*, std::size_t> chains_;
};

}  // namespace

Result<PayloadSchema> PayloadSchema::compile(std::string_view json_text) {
  const auto wrong = [](const std::string& why) { return Error{ErrorCode::Invalid, "schema" + why}; };
  if (json_text.size() > kSchemaBytesMax) {
    return wrong(": " + std::to_string(json_text.size()) + " bytes; at most " + std::to_string(kSchemaBytesMax));
  }
  auto compiled = std::make_unique<Compiled>();
  if (const Status read = json::msgpack_from_json(json_text, compiled->bytes); !read.ok()) {
    return wrong(" is not JSON: " + read.error().detail);
  }
  try {
    const std::string& bytes = compiled->bytes;
    // Its place must not change: nodes are found by the address of what they were made from.
    const Object root =
        retire_cluster::decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, compiled->zone);
    compiled->root = Compiler(*compiled, root).compile();
  } catch (const Wrong& found) {
    return wrong((found.pointer.empty() ? "" : " at " + one_line(found.pointer, 300)) + ": " + found.why);
  } catch (const retire_cluster::PayloadError& beyond) {
    return wrong(std::string(": ") + beyond.what());
  }
  return PayloadSchema(std::move(compiled));
}

PayloadSchema::PayloadSchema(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
PayloadSchema::PayloadSchema(PayloadSchema&&) noexcept = default;
PayloadSchema& PayloadSchema::operator=(PayloadSchema&&) noexcept = default;
PayloadSchema::~PayloadSchema() = default;

bool PayloadSchema::accepts_everything() const { return compiled_->root->anything; }

}  // namespace retire
