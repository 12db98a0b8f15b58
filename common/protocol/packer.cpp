#include "common/protocol/packer.hpp"

#include <array>
#include <cmath>

#include "common/model/limits.hpp"

namespace retire::protocol {

void Packer::number(double value) {
  if (value >= 0 && value < 0x1p53 && value == std::floor(value)) {
    packer_.pack_uint64(static_cast<std::uint64_t>(value));
  } else {
    packer_.pack_double(value);
  }
}

void Packer::uuid(const Uuid& value) {
  std::array<char, Uuid::kBytes> bytes{};
  value.to_bytes(bytes.data());
  binary({bytes.data(), bytes.size()});
}

void Packer::uuids(const std::vector<TaskId>& ids) {
  packer_.pack_bin(static_cast<std::uint32_t>(ids.size() * Uuid::kBytes));
  for (const TaskId& id : ids) {
    std::array<char, Uuid::kBytes> bytes{};
    id.to_bytes(bytes.data());
    packer_.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
  }
}

void Packer::attempts(const std::vector<AttemptId>& attempts) {
  array(attempts.size());
  for (const AttemptId attempt : attempts) integer(attempt.value());
}

void Packer::texts(const std::vector<std::string>& values) {
  array(values.size());
  for (const std::string& value : values) text(value);
}

void Packer::time(WallTime time) {
  const std::int64_t value = time.time_since_epoch().count();
  value == 0 ? nil() : signed_integer(value);
}

void pack_envelope(Packer& out, MessageType type, std::uint64_t correlation) {
  out.array(4);
  out.integer(kProtocolVersion);
  out.text(to_string(type));
  out.integer(correlation);
}

}  // namespace retire::protocol
