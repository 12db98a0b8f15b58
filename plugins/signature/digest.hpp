// SHA-256 of files and texts.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace retire {

using Digest = std::array<std::uint8_t, 32>;

// 64 digits, lower case.
std::string to_hex(const Digest& digest);
// nullopt: not 64 digits, lower case.
std::optional<Digest> digest_from_hex(std::string_view digits);

Digest sha256(std::string_view bytes);

// Of all that an open file holds, from its beginning; its offset stays. Errors: Io, naming `name`.
Result<Digest> sha256_of(int descriptor, const std::string& name);
// Errors: NotFound (no such file), Invalid (not a regular file), Io.
Result<Digest> sha256_of(const std::filesystem::path& file);

}  // namespace retire
