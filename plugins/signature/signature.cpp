#include "plugins/signature/signature.hpp"

#include <sodium.h>

#include "plugins/signature/files.hpp"

namespace retire {
namespace {

using namespace signature;

constexpr std::string_view kHead = "retire-cluster plugin signature 1";

std::string signed_text(const PluginSignature& signature) {
  return std::string(kHead) + "\nkey " + to_hex(signature.key) + "\nfile " + to_hex(signature.file) + '\n';
}

// A line "WORD DIGITS".
Status read_line(std::string_view& text, std::string_view word, std::span<std::uint8_t> out) {
  const auto line = take_line(text);
  const bool good = line && line->starts_with(word) && line->substr(word.size()).starts_with(' ') &&
                    from_hex(line->substr(word.size() + 1), out);
  if (good) return ok_status();
  return Error{ErrorCode::Invalid, "its line \"" + std::string(word) + "\" is missing or is not " +
                                       std::to_string(2 * out.size()) + " hexadecimal digits"};
}

Error named(const std::filesystem::path& file, const Error& error, ErrorCode code) {
  const bool is_named = error.detail.starts_with(file.string());
  return Error{code, is_named ? error.detail : file.string() + ": " + error.detail};
}

}  // namespace

std::filesystem::path signature_file(const std::filesystem::path& plugin) {
  std::filesystem::path file = plugin;
  return file += ".sig";
}

Result<PluginSignature> parse_signature(std::string_view text) {
  if (take_line(text) != kHead) {
    return Error{ErrorCode::Invalid, "its first line must be \"" + std::string(kHead) + '"'};
  }
  PluginSignature out;
  if (const Status read = read_line(text, "key", out.key); !read.ok()) return read.error();
  if (const Status read = read_line(text, "file", out.file); !read.ok()) return read.error();
  if (const Status read = read_line(text, "signature", out.bytes); !read.ok()) return read.error();
  if (!text.empty()) return Error{ErrorCode::Invalid, "there is more after its line \"signature\""};
  return out;
}

Result<PluginSignature> read_signature(const std::filesystem::path& file) {
  const Result<OpenFile> open = OpenFile::read_only(file);
  if (!open.ok()) return open.error();
  const Result<std::string> text = read_small(open.value(), file);
  if (!text.ok()) return text.error();
  Result<PluginSignature> read = parse_signature(text.value());
  if (!read.ok()) return named(file, read.error(), read.error().code);
  return read;
}

std::string to_text(const PluginSignature& signature) {
  return signed_text(signature) + "signature " + hex(signature.bytes) + '\n';
}

Result<PluginSignature> sign_plugin(const std::filesystem::path& plugin, const PrivateKey& key) {
  const Result<Digest> digest = sha256_of(plugin);
  if (!digest.ok()) return digest.error();
  PluginSignature signature{key.public_key().hash(), digest.value(), {}};
  signature.bytes = key.sign(signed_text(signature));
  if (const Status written = write_over(signature_file(plugin), to_text(signature), 0644); !written.ok()) {
    return written.error();
  }
  return signature;
}

Result<PublicKey> verify_signature(const PluginSignature& signature, const Digest& plugin,
                                   std::span<const PublicKey> keys) {
  const auto refused = [](std::string why) { return Error{ErrorCode::PluginRefused, std::move(why)}; };
  for (const PublicKey& key : keys) {
    if (key.hash() != signature.key) continue;
    const std::string text = signed_text(signature);
    if (crypto_sign_verify_detached(signature.bytes.data(), reinterpret_cast<const unsigned char*>(text.data()),
                                    text.size(), key.bytes().data()) != 0) {
      return refused("its signature is not one of key " + key.id());
    }
    if (signature.file != plugin) {
      return refused("its signature is for other bytes (SHA-256 " + to_hex(signature.file).substr(0, 16) +
                     "…, the file has " + to_hex(plugin).substr(0, 16) + "…); sign it again");
    }
    return key;
  }
  return refused("signed with key " + signature.key_id() + ", which is not among those that are trusted here");
}

Result<PublicKey> verify_plugin(const std::filesystem::path& plugin, const Digest& digest,
                                std::span<const PublicKey> keys) {
  const Result<PluginSignature> signature = read_signature(signature_file(plugin));
  if (!signature.ok()) {
    if (signature.error().code == ErrorCode::NotFound) {
      return Error{ErrorCode::PluginRefused,
                   plugin.string() + ": not signed: there is no " + signature_file(plugin).filename().string()};
    }
    return named(plugin, signature.error(), ErrorCode::PluginRefused);
  }
  Result<PublicKey> key = verify_signature(signature.value(), digest, keys);
  if (!key.ok()) return named(plugin, key.error(), ErrorCode::PluginRefused);
  return key;
}

}  // namespace retire
