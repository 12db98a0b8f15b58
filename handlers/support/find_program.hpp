// Where a program is, by its name.
#pragma once

#include <string>
#include <string_view>

namespace retire::handlers {

// Our own PATH, or the usual one.
std::string own_path();

// The file of a program without a slash in its name, from the absolute directories of `path`; empty when there is none.
std::string find_program(std::string_view name, std::string_view path);

}  // namespace retire::handlers
