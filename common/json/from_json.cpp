// JSON text to msgpack, without a tree in between.
#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/json/json.hpp"

namespace retire::json {
namespace {

// Takes the parser's events and writes msgpack. How many values a container has is known at its end only, so its head
// is one byte, and is made longer then if it must be.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  const std::string& failure() const { return failure_; }

  bool null() { return byte(0xc0), value(); }
  bool boolean(bool on) { return byte(on ? 0xc3 : 0xc2), value(); }
  bool number_unsigned(std::uint64_t number) {
    if (number < 0x80) {
      byte(static_cast<unsigned>(number));
    } else if (number <= 0xff) {
      big_endian(0xcc, number, 1);
    } else if (number <= 0xffff) {
      big_endian(0xcd, number, 2);
    } else if (number <= 0xffff'ffff) {
      big_endian(0xce, number, 4);
    } else {
      big_endian(0xcf, number, 8);
    }
    return value();
  }
  bool number_integer(std::int64_t number) {
    if (number >= 0) return number_unsigned(static_cast<std::uint64_t>(number));
    const auto bits = static_cast<std::uint64_t>(number);
    if (number >= -32) {
      byte(static_cast<unsigned>(bits & 0xff));
    } else if (number >= INT8_MIN) {
      big_endian(0xd0, bits, 1);
    } else if (number >= INT16_MIN) {
      big_endian(0xd1, bits, 2);
    } else if (number >= INT32_MIN) {
      big_endian(0xd2, bits, 4);
    } else {
      big_endian(0xd3, bits, 8);
    }
    return value();
  }
  bool number_float(double number, const std::string& /*text*/) {
    return big_endian(0xcb, std::bit_cast<std::uint64_t>(number), 8), value();
  }
  bool string(const std::string& text) { return write_text(text), value(); }
  bool binary(const nlohmann::json::binary_t& /*bytes*/) { return fail("binary values are not JSON"); }

  bool start_object(std::size_t /*count*/) { return open(0x80); }
  bool key(const std::string& text) {
    write_text(text);
    keys_.push_back({out_.size() - text.size(), text.size()});
    return true;
  }
  bool end_object() {
    const Container done = open_.back();
    if (const std::string* twice = find_twice(done.first_key)) return fail("the key \"" + *twice + "\" stands twice");
    keys_.resize(done.first_key);
    return close(0xde);
  }
  bool start_array(std::size_t /*count*/) { return open(0x90); }
  bool end_array() { return close(0xdc); }

  bool parse_error(std::size_t /*position*/, const std::string& /*token*/, const nlohmann::detail::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …"
    std::string_view text = error.what();
    for (const std::string_view prefix : {"] ", "parse error "}) {
      const std::size_t at = text.find(prefix);
      if (at != std::string_view::npos && (prefix == "] " || at == 0)) text.remove_prefix(at + prefix.size());
    }
    return fail(std::string(text));
  }

 private:
  struct Container {
    std::size_t head = 0;       // where its head stands
    std::size_t first_key = 0;  // into keys_
    std::uint32_t count = 0;    // values, or pairs
  };
  struct Key {
    std::size_t at = 0;
    std::size_t size = 0;
  };

  void byte(unsigned one) { out_.push_back(static_cast<char>(static_cast<unsigned char>(one))); }
  void big_endian(unsigned tag, std::uint64_t number, unsigned size) {
    byte(tag);
    for (unsigned i = size; i-- > 0;) byte(static_cast<unsigned>(number >> (8 * i) & 0xff));
  }
  void write_text(const std::string& text) {
    const std::size_t size = text.size();
    if (size < 32) {
      byte(0xa0u | static_cast<unsigned>(size));
    } else if (size <= 0xff) {
      big_endian(0xd9, size, 1);
    } else if (size <= 0xffff) {
      big_endian(0xda, size, 2);
    } else {
      big_endian(0xdb, size, 4);
    }
    out_ += text;
  }
  bool fail(std::string why) {
    failure_ = std::move(why);
    constexpr std::size_t kShownMax = 200;  // the parser repeats what it read last, which may be anything
    if (failure_.size() > kShownMax) {
      std::size_t size = kShownMax;
      while (size > 0 && (static_cast<unsigned char>(failure_[size]) & 0xc0u) == 0x80) --size;
      failure_ = failure_.substr(0, size) + "…";
    }
    for (char& c : failure_) {
      if (static_cast<unsigned char>(c) < ' ') c = ' ';
    }
    return false;
  }
  bool value() {
    if (!open_.empty()) ++open_.back().count;
    return true;
  }
  bool open(unsigned head) {
    if (open_.size() == static_cast<std::size_t>(kDepthMax)) {
      return fail("nested more than " + std::to_string(kDepthMax) + " levels deep");
    }
    open_.push_back({out_.size(), keys_.size(), 0});
    byte(head);
    return true;
  }
  bool close(unsigned long_tag) {
    const Container done = open_.back();
    open_.pop_back();
    if (done.count < 16) {
      out_[done.head] = static_cast<char>(static_cast<unsigned char>(out_[done.head]) | done.count);
    } else {
      const unsigned size = done.count <= 0xffff ? 2 : 4;
      std::string head(1, static_cast<char>(static_cast<unsigned char>(long_tag + (size == 4 ? 1u : 0u))));
      for (unsigned i = size; i-- > 0;) head.push_back(static_cast<char>(done.count >> (8 * i) & 0xff));
      out_.replace(done.head, 1, head);
    }
    return value();
  }
  const std::string* find_twice(std::size_t first) {
    if (keys_.size() - first < 2) return nullptr;
    const auto text = [this](const Key& key) { return std::string_view(out_).substr(key.at, key.size); };
    std::sort(keys_.begin() + static_cast<std::ptrdiff_t>(first), keys_.end(),
              [&](const Key& a, const Key& b) { return text(a) < text(b); });
    for (std::size_t i = first + 1; i < keys_.size(); ++i) {
      if (text(keys_[i]) != text(keys_[i - 1])) continue;
      twice_ = text(keys_[i]);
      return &twice_;
    }
    return nullptr;
  }

  std::string& out_;
  std::vector<Container> open_;
  std::vector<Key> keys_;  // of all open objects
  std::string twice_;
  std::string failure_;
};

}  // namespace

Status msgpack_from_json(std::string_view text, std::string& out) {
  const std::size_t before = out.size();
  Writer writer(out);
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &writer)) return ok_status();
  out.resize(before);
  return Error{ErrorCode::Invalid, writer.failure()};
}

}  // namespace retire::json
