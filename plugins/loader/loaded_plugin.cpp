#include "plugins/loader/loaded_plugin.hpp"

#include <dlfcn.h>

#define BOOST_DLL_USE_STD_FS
#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cstring>
#include <system_error>

namespace retire {
namespace {

constexpr const char* kEntrySymbol = "rc_plugin_get";

Error refused(const std::filesystem::path& file, const std::string& why) {
  return Error{ErrorCode::PluginRefused, file.string() + ": " + why};
}

bool valid_name(std::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  for (const char c : name) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (!allowed) return false;
  }
  return true;
}

// A text of the plugin, which may be null; cut at the limit, where a text without an end would lead anywhere.
std::string text_of(const char* text) {
  return text == nullptr ? std::string() : std::string(text, strnlen(text, kPluginTextBytesMax));
}

// A name for a message: bounded, on one line.
std::string shown(const char* name) {
  std::string out(name, strnlen(name, 80));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
  }
  return '"' + out + '"';
}

}  // namespace

Result<LoadedPlugin> LoadedPlugin::open(const std::filesystem::path& file, const std::filesystem::path& from) {
  std::error_code status;
  const std::filesystem::path absolute = std::filesystem::absolute(from, status);
  if (status || !std::filesystem::exists(absolute, status)) {
    return Error{ErrorCode::PluginNotFound, file.string() + ": no such file"};
  }
  if (!std::filesystem::is_regular_file(absolute, status)) return refused(file, "not a file");

  // Everything is resolved now, and nothing of it is offered to other libraries: two plugins may bring the same names.
  std::error_code failed;
  auto library = std::make_shared<boost::dll::shared_library>();
  library->load(absolute, failed, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  if (failed) {
    const char* why = dlerror();  // says more than the error code, and names the file itself
    std::string reason = why != nullptr ? std::string(why) : failed.message();
    if (reason.starts_with(absolute.string() + ": ")) reason.erase(0, absolute.string().size() + 2);
    return refused(file, "not a shared library that loads here: " + reason);
  }
  if (!library->has(kEntrySymbol)) return refused(file, "not a plugin: it does not export rc_plugin_get");

  const rc_plugin* plugin = library->get<const rc_plugin*()>(kEntrySymbol)();
  if (plugin == nullptr) return refused(file, "rc_plugin_get gave nothing");
  if (plugin->abi != RC_PLUGIN_ABI) {
    return refused(file, "built for plugin ABI " + std::to_string(plugin->abi) + ", this worker has " +
                             std::to_string(RC_PLUGIN_ABI) + "; build it again with this version's headers");
  }
  if (plugin->size_bytes < sizeof(rc_plugin) || plugin->handler_bytes < sizeof(rc_handler) ||
      plugin->handler_bytes % alignof(rc_handler) != 0 || plugin->handler_bytes > 4096) {
    return refused(file, "its table says a size that ABI " + std::to_string(RC_PLUGIN_ABI) + " does not have");
  }
  if (plugin->handlers == nullptr) return refused(file, "it offers no handler");

  LoadedPlugin loaded;
  const auto* bytes = reinterpret_cast<const unsigned char*>(plugin->handlers);
  while (true) {
    const auto* handler = reinterpret_cast<const rc_handler*>(bytes + loaded.tables_.size() * plugin->handler_bytes);
    if (handler->name == nullptr) break;
    if (loaded.tables_.size() == kHandlersPerPluginMax) {
      return refused(file, "it offers more than " + std::to_string(kHandlersPerPluginMax) + " handlers");
    }
    if (!valid_name(std::string_view(handler->name, strnlen(handler->name, 65)))) {
      return refused(file, "handler name " + shown(handler->name) + " is not 1 to 64 of a-z 0-9 _ . -");
    }
    for (const HandlerInfo& other : loaded.handlers_) {
      if (other.name == handler->name) return refused(file, "two handlers are named " + shown(handler->name));
    }
    if (handler->create == nullptr || handler->run == nullptr || handler->destroy == nullptr) {
      return refused(file, "handler " + shown(handler->name) + " lacks one of create, run, destroy");
    }
    loaded.handlers_.push_back({handler->name, text_of(handler->description), text_of(handler->payload_schema),
                                (handler->flags & RC_OFF_BY_DEFAULT) != 0});
    loaded.tables_.push_back(handler);
  }
  if (loaded.handlers_.empty()) return refused(file, "it offers no handler");

  loaded.name_ = text_of(plugin->name);
  loaded.version_ = text_of(plugin->version);
  loaded.file_ = std::filesystem::absolute(file, status);
  loaded.library_ = std::move(library);
  return loaded;
}

Result<HandlerInstance> LoadedPlugin::make(std::string_view handler, const rc_setup& setup) const {
  for (std::size_t i = 0; i < handlers_.size(); ++i) {
    if (handlers_[i].name != handler) continue;
    std::string reason;
    const auto keep = [](void* to, const char* text, std::size_t size) {
      static_cast<std::string*>(to)->assign(text, std::min(size, kPluginTextBytesMax));
    };
    void* self = tables_[i]->create(&setup, keep, &reason);
    if (self == nullptr) {
      return Error{ErrorCode::PluginFailed, reason.empty() ? std::string("it gave no reason") : std::move(reason)};
    }
    return HandlerInstance(library_, *tables_[i], self);
  }
  return Error{ErrorCode::PluginNotFound, file_.string() + ": no handler named \"" + std::string(handler) + '"'};
}

}  // namespace retire
