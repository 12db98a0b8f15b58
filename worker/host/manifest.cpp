#include "worker/host/manifest.hpp"

#include <array>
#include <retire_cluster/payload.hpp>

#include "common/model/task.hpp"
#include "plugins/manifest/manifest.hpp"
#include "worker/host/text.hpp"

namespace retire::host {
namespace {

using Packer = msgpack::packer<msgpack::sbuffer>;

void field(Packer& out, std::string_view key, const std::string& text) {
  out.pack(key);
  out.pack(clean_text(text, kPluginTextBytesMax));
}

}  // namespace

std::string encode_manifest(const Manifest& manifest) {
  msgpack::sbuffer bytes;
  Packer out(bytes);
  out.pack_map(7);
  field(out, "name", manifest.name);
  field(out, "version", manifest.version);
  out.pack("handlers");
  out.pack_array(static_cast<std::uint32_t>(manifest.handlers.size()));
  for (const Manifest::Handler& handler : manifest.handlers) {
    out.pack_map(5);
    field(out, "name", handler.info.name);
    field(out, "description", handler.info.description);
    field(out, "payload_schema", handler.info.payload_schema);
    out.pack("off_by_default");
    out.pack(handler.info.off_by_default);
    field(out, "refusal", handler.refusal);
  }
  out.pack("network");
  out.pack(manifest.terms.network);
  out.pack("subprocess");
  out.pack(manifest.terms.subprocess);
  const sandbox::Limits& limits = manifest.terms.limits;
  out.pack("limits");
  out.pack(std::array{limits.memory_bytes, limits.file_bytes, limits.open_files, limits.processes, limits.cpu_seconds});
  out.pack("paths");
  out.pack(manifest.paths);
  return {bytes.data(), bytes.size()};
}

std::string encode_refusal(std::string_view why) {
  msgpack::sbuffer bytes;
  Packer out(bytes);
  out.pack_map(1);
  field(out, "refused", std::string(why));
  return {bytes.data(), bytes.size()};
}

// What comes here was written by a process that had loaded foreign code: any bytes.
Result<Manifest> decode_manifest(std::string_view bytes) {
  try {
    msgpack::zone zone;
    const msgpack::object root =
        retire_cluster::decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, zone);
    const retire_cluster::Fields fields(root);
    if (fields.has("refused")) return Error{ErrorCode::PluginRefused, std::string(fields.text("refused"))};
    Manifest manifest;
    manifest.name = fields.text("name");
    manifest.version = fields.text("version");
    const msgpack::object& handlers = fields.value("handlers");
    if (handlers.type != msgpack::type::ARRAY || handlers.via.array.size > kHandlersPerPluginMax) {
      return Error{ErrorCode::PluginRefused, "its manifest makes no sense"};
    }
    for (std::uint32_t i = 0; i < handlers.via.array.size; ++i) {
      const retire_cluster::Fields one(handlers.via.array.ptr[i]);
      Manifest::Handler& handler = manifest.handlers.emplace_back();
      handler.info.name = one.text("name");
      handler.info.description = one.text("description");
      handler.info.payload_schema = one.text("payload_schema");
      handler.info.off_by_default = one.boolean_or("off_by_default", false);
      handler.refusal = one.text("refusal");
      if (!is_task_type(handler.info.name)) return Error{ErrorCode::PluginRefused, "its manifest makes no sense"};
    }
    manifest.terms.network = fields.boolean_or("network", false);
    manifest.terms.subprocess = fields.boolean_or("subprocess", false);
    const auto limits = fields.value("limits").as<std::array<std::uint64_t, 5>>();
    manifest.terms.limits = {limits[0], limits[1], limits[2], limits[3], limits[4]};
    manifest.paths = fields.value("paths").as<std::vector<std::string>>();
    if (manifest.paths.size() > kManifestPathsMax)
      return Error{ErrorCode::PluginRefused, "its manifest makes no sense"};
    return manifest;
  } catch (const std::exception& error) {
    return Error{ErrorCode::PluginRefused, std::string("its manifest cannot be read: ") + error.what()};
  }
}

}  // namespace retire::host
