// Private directories of attempts: made when asked for, gone with all that is in them afterwards.
//
// No function follows a symbolic link that lies within, whoever made it.
#pragma once

#include <string>

#include "common/base/result.hpp"

namespace retire::sandbox {

// A new directory of mode 0700 within `parent`, its path. Errors: Io.
Result<std::string> make_scratch(const std::string& parent);

// Whether something lies in the directory that `descriptor` is open on.
bool has_entries(int descriptor);

// Removes all that lies in `directory`; what cannot be removed is left. False if something was.
bool clear_directory(const std::string& directory);
// And the directory itself.
bool remove_directory(const std::string& directory);

}  // namespace retire::sandbox
