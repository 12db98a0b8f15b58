// What a plugin says of itself: RC_PLUGIN_MANIFEST of <retire_cluster/plugin_abi.h>, JSON text in the library.
//
// Threads: all functions are free of state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace retire {

inline constexpr std::size_t kManifestBytesMax = std::size_t{256} * 1024;
inline constexpr std::size_t kManifestPathsMax = 64;
inline constexpr const char* kManifestSymbol = "rc_plugin_manifest";

struct PluginManifest {
  struct Needs {
    bool network = false;            // at --sandbox strict it has none otherwise
    bool subprocess = false;         // at --sandbox strict it can start no program and no process otherwise
    std::vector<std::string> paths;  // absolute directories beyond its scratch directory that it writes to
  };
  // The plugin's own, for each of its hosts; nullopt: what the worker has. Names and meaning are those of
  // worker/sandbox. A worker's limit that is lower stays.
  struct Limits {
    std::optional<std::uint64_t> memory_bytes;
    std::optional<std::uint64_t> file_bytes;
    std::optional<std::uint64_t> open_files;
    std::optional<std::uint64_t> processes;
    std::optional<std::uint64_t> cpu_seconds;
  };

  std::string name;     // empty: not said here
  std::string version;  // empty: not said here
  Needs needs;
  Limits limits;
  std::map<std::string, std::string> schemas;  // by task type: JSON Schema as text, each compiles
};

// Strict: a key that is not known, comes twice or has another type is refused. Every schema is compiled, too.
// Errors: Invalid, "manifest …", naming the key as JSON Pointer, its value, and what is allowed.
Result<PluginManifest> parse_manifest(std::string_view json_text);

// What a plugin's table says of one of its handlers.
struct DeclaredHandler {
  std::string type;
  std::string schema;  // empty: none
};

// A plugin's manifest (all defaults when it has none) joined with its table: name and version are those of the table,
// `schemas` holds those of both. Errors: Invalid, when the two contradict each other, when the manifest has a schema
// for a handler that is not there or that has one in the table, or a schema of the table does not compile.
Result<PluginManifest> join_table(PluginManifest manifest, const std::string& name, const std::string& version,
                                  std::span<const DeclaredHandler> handlers);

// A manifest as the JSON document that parse_manifest() reads; what was not said is left out.
std::string to_json_text(const PluginManifest& manifest);

// The text of the manifest in a plugin file, without loading it and so without running any of its code; empty when it
// has none, as those built before there were manifests. Reads ELF files of either width, in this machine's byte order.
// Errors: PluginNotFound, PluginRefused (not such a file, or one whose tables make no sense), Io; each names `file`.
Result<std::string> read_manifest_text(const std::filesystem::path& file);
// The same of an open file, as a sealed image. `name` is what errors call it. Leaves the descriptor's offset alone.
Result<std::string> read_manifest_text(int descriptor, const std::string& name);

}  // namespace retire
