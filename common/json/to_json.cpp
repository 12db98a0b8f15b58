// msgpack to a document, and a document to text.
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/json/cursor.hpp"
#include "common/json/json.hpp"

namespace retire::json {
namespace {

bool read(Cursor& in, int depth, Json& out);

// A key that is no text is shown as its JSON.
bool read_key(Cursor& in, int depth, std::string& out) {
  Json key;
  if (!read(in, depth, key)) return false;
  out = key.is_string() ? key.get<std::string>() : to_text(key);
  return true;
}

bool read_container(Cursor& in, const Token& head, int depth, Json& out) {
  if (depth == 0 || head.whole > in.left()) return false;  // each value takes at least a byte
  if (head.kind == Kind::List) {
    out = Json::array();
    for (std::uint64_t i = 0; i < head.whole; ++i) {
      if (!read(in, depth - 1, out.emplace_back())) return false;
    }
    return true;
  }
  out = Json::object();
  // Appended without looking for the key: that search would be quadratic.
  std::vector<std::pair<const std::string, Json>>& pairs = out.get_ref<Json::object_t&>();
  for (std::uint64_t i = 0; i < head.whole; ++i) {
    std::string key;
    Json value;
    if (!read_key(in, depth - 1, key) || !read(in, depth - 1, value)) return false;
    pairs.emplace_back(std::move(key), std::move(value));
  }
  return true;
}

bool read(Cursor& in, int depth, Json& out) {
  const auto token = in.next();
  if (!token) return false;
  switch (token->kind) {
    case Kind::Nil: out = nullptr; return true;
    case Kind::Bool: out = token->whole != 0; return true;
    case Kind::Unsigned: out = token->whole; return true;
    case Kind::Negative: out = token->negative; return true;
    case Kind::Float: out = std::isfinite(token->number) ? Json(token->number) : Json(nullptr); return true;
    case Kind::Text: out = std::string(token->bytes); return true;
    case Kind::Binary: out = base64(token->bytes); return true;
    case Kind::Extension:
      out = Json::object();
      out["ext"] = token->negative;
      out["base64"] = base64(token->bytes);
      return true;
    case Kind::List:
    case Kind::Map: return read_container(in, *token, depth, out);
  }
  return false;
}

}  // namespace

Result<Json> json_from_msgpack(ByteView msgpack) {
  Cursor in(msgpack);
  Json out;
  if (!read(in, kDepthMax, out) || !in.at_end()) {
    return Error{ErrorCode::Malformed, "is not one msgpack value of at most " + std::to_string(kDepthMax) + " levels"};
  }
  return out;
}

Json show_msgpack(ByteView msgpack) {
  Result<Json> out = json_from_msgpack(msgpack);
  if (out.ok()) return std::move(out).value();
  Json raw = Json::object();
  raw["base64"] = base64(msgpack);
  return raw;
}

std::string to_text(const Json& document) { return document.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string to_pretty_text(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string base64(ByteView bytes) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = i; j < i + 3; ++j) {
      group = group << 8 | (j < bytes.size() ? static_cast<unsigned char>(bytes[j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += i + j > bytes.size() ? '=' : kDigits[group >> (18 - 6 * j) & 63];
    }
  }
  return out;
}

}  // namespace retire::json
