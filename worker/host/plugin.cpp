#include "worker/host/plugin.hpp"

#include "worker/host/text.hpp"

namespace retire::host {
namespace {

// A word of an identity.
std::string word(const std::string& text) {
  std::string out = clean_text(text, 64);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out.empty() ? "?" : out;
}

}  // namespace

std::string Plugin::identity_of(const Manifest& manifest, const PluginImage& image) {
  return word(manifest.name) + " " + word(manifest.version) + " sha256:" + image.hash();
}

}  // namespace retire::host
