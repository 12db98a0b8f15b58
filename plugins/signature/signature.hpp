// Signatures of plugins: a small text file PLUGIN.so.sig beside the plugin, which itself is not changed.
//
//   retire-cluster plugin signature 1
//   key <64 digits: SHA-256 of the public key>
//   file <64 digits: SHA-256 of the plugin's bytes>
//   signature <128 digits: Ed25519 over all of the lines above, their ends included>
//
// All digits are hexadecimal, lower case. Exactly these four lines; another version has another first line, and as that
// is signed, too, no text of one version passes for one of another. What it says: whoever has the key vouches for these
// bytes. Nothing is said of the file's name, nor of when.
//
// Threads: all functions are free of state.
#pragma once

#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "plugins/signature/digest.hpp"
#include "plugins/signature/key.hpp"

namespace retire {

struct PluginSignature {
  Digest key;   // of the public key
  Digest file;  // of the plugin
  std::array<std::uint8_t, 64> bytes;

  std::string key_id() const { return to_hex(key).substr(0, 16); }
};

// PLUGIN.so.sig of PLUGIN.so.
std::filesystem::path signature_file(const std::filesystem::path& plugin);

// Errors: Invalid, naming the line and what it must be.
Result<PluginSignature> parse_signature(std::string_view text);
// Errors: NotFound (no such file), TooLarge, Io, and those of parse_signature(); each names the file.
Result<PluginSignature> read_signature(const std::filesystem::path& file);

// Signs what the file holds now and puts the signature beside it, over one that is there.
// Errors: those of sha256_of(), Io.
Result<PluginSignature> sign_plugin(const std::filesystem::path& plugin, const PrivateKey& key);
std::string to_text(const PluginSignature& signature);

// Which of `keys` vouches for a plugin of this digest. Errors: PluginRefused, with the reason: made of other bytes, by
// a key that is not among them, or not the signature of its key.
Result<PublicKey> verify_signature(const PluginSignature& signature, const Digest& plugin,
                                   std::span<const PublicKey> keys);
// The same with the signature that lies beside `plugin`, whose bytes have the digest `digest` (of what is going to be
// loaded, so that a file that changes meanwhile does no harm). Errors: PluginRefused; each names `plugin`.
Result<PublicKey> verify_plugin(const std::filesystem::path& plugin, const Digest& digest,
                                std::span<const PublicKey> keys);

}  // namespace retire
