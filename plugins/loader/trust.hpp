// May this file's code be run? Only if nobody but root and ourselves could have put it there or can change it.
#pragma once

#include <filesystem>

#include "common/base/result.hpp"

namespace retire {

// Walks the absolute path of `file` from the root, through symbolic links. Each directory, each link and the file
// itself must be owned by root or our effective user, and directories and the file must not be writable by group or
// others.
//  - A directory with the sticky bit (as /tmp) may be writable: others cannot replace what is ours in it.
//  - The group of the same name as our own user, with no other member, counts as the user (the umask 002 of some
//  systems).
// Access lists count by their mask, which the group bits show.
// Errors: PluginNotFound (a part is missing), PluginRefused (not a regular file, or the part that is not to be
// trusted).
Status check_trusted(const std::filesystem::path& file);

// The same of a file that has been opened by this name: between a look at a name and its opening others may have put
// something else there (in a directory with the sticky bit, once the owner has taken his file away). `descriptor`
// itself must be a regular file of such an owner and mode, and the one that the name leads to now. Errors: as
// check_trusted(); Busy (the name leads to another file by now).
Status check_trusted_open(const std::filesystem::path& file, int descriptor);

// The same of a file of a plugin directory, which moreover must really lie in it, or below: no link leads out of it.
Status check_trusted_in(const std::filesystem::path& directory, const std::filesystem::path& file);

}  // namespace retire
