// Plugins in C++. A whole one:
//
//   #include <retire_cluster/plugin.hpp>
//   namespace rc = retire_cluster;
//
//   RC_PLUGIN("greeter", "1.0",
//             rc::handler("greet", "Greets by name", [](const msgpack::object& payload, rc::Context& context) {
//               const rc::Fields fields(payload, {"name"});
//               context.info("greeting");
//               return std::map<std::string, std::string>{{"greeting", "Hello, " + std::string(fields.text("name"))}};
//             }))
//
// A handler is a lambda without captures, or a class when it has something to keep between attempts:
//
//   struct Greeter {
//     explicit Greeter(const rc::Setup& setup);                                  // or no constructor; throw to refuse
//     Answer run(const msgpack::object& payload, rc::Context& context);          // any type that msgpack can pack
//   };
//   RC_PLUGIN("greeter", "1.0", rc::handler<Greeter>("greet", "Greets by name"))
//
// Instead of the decoded payload, run() may take its bytes (rc::Bytes), and instead of returning a value it may return
// void and call context.result() itself: nothing is decoded or encoded then.
//
// Failures are exceptions: PayloadError and PermanentError are not retried, Cancelled ends the attempt as cancelled,
// and any other is retried. None of them leaves the plugin.
#pragma once

#include <cxxabi.h>
#include <retire_cluster/plugin_abi.h>

#include <concepts>
#include <cstdlib>
#include <exception>
#include <memory>
#include <msgpack.hpp>
#include <new>
#include <retire_cluster/context.hpp>
#include <retire_cluster/error.hpp>
#include <retire_cluster/payload.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>

namespace retire_cluster {
namespace detail {

template <class H>
concept TakesObject = requires(H handler, const msgpack::object& payload, Context& context) {
  handler.run(payload, context);
};
template <class H>
concept TakesBytes = !TakesObject<H> && requires(H handler, Bytes payload, Context& context) {
  handler.run(payload, context);
};

// Gives a lambda the shape of a handler class. Lambdas without captures can be made from nothing.
template <class F>
struct FunctionHandler {
  auto run(const msgpack::object& payload,
           Context& context) requires std::invocable<F, const msgpack::object&, Context&> {
    return F{}(payload, context);
  }
  auto run(Bytes payload, Context& context) requires(!std::invocable<F, const msgpack::object&, Context&> &&
                                                     std::invocable<F, Bytes, Context&>) {
    return F{}(payload, context);
  }
};

inline void report(const rc_context* context, std::string_view message, std::string_view traceback = {}) noexcept {
  context->error(context, message.data(), message.size(), traceback.data(), traceback.size());
}

inline std::string type_of(const std::exception& error) {
  const char* mangled = typeid(error).name();
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> readable(abi::__cxa_demangle(mangled, nullptr, nullptr, &status),
                                                             &std::free);
  return status == 0 && readable ? readable.get() : mangled;
}

// To be called in a catch block: says what is being handled, and returns what run() must.
inline int report_current(const rc_context* context) noexcept {
  try {
    try {
      throw;
    } catch (const Cancelled&) {
      return RC_CANCELLED;
    } catch (const PermanentError& error) {
      report(context, error.what());
      return RC_FAILED_PERMANENTLY;
    } catch (const std::bad_alloc&) {
      report(context, "out of memory", "std::bad_alloc");
      return RC_FAILED;
    } catch (const std::exception& error) {
      report(context, error.what(), type_of(error));
      return RC_FAILED;
    } catch (...) {
      report(context, "an exception that is not a std::exception", "unknown exception type");
      return RC_FAILED;
    }
  } catch (...) {  // no memory left to say it with
    report(context, "out of memory");
    return RC_FAILED;
  }
}

// A handler with the buffers that all of its attempts share, so that a warm one allocates nothing of its own.
template <class H>
class Instance {
 public:
  explicit Instance(const Setup& setup) requires std::constructible_from<H, const Setup&> : handler_(setup) {}
  explicit Instance(const Setup&) requires(!std::constructible_from<H, const Setup&>) : handler_() {}

  void run(Bytes payload, const rc_context* raw) {
    Context context(raw);
    if constexpr (TakesObject<H>) {
      zone_.clear();
      const msgpack::object decoded = decode(payload, zone_);
      answer(context, [&]() -> decltype(auto) { return handler_.run(decoded, context); });
    } else {
      answer(context, [&]() -> decltype(auto) { return handler_.run(payload, context); });
    }
  }

 private:
  static constexpr std::size_t kBufferKept = std::size_t{1024} * 1024;

  template <class Call>
  void answer(const Context& context, const Call& call) {
    if constexpr (std::is_void_v<std::invoke_result_t<Call>>) {
      call();
    } else {
      buffer_.clear();
      msgpack::pack(buffer_, call());
      context.result({reinterpret_cast<const std::uint8_t*>(buffer_.data()), buffer_.size()});
      if (buffer_.size() > kBufferKept) buffer_ = msgpack::sbuffer(0);  // one large result is not kept for ever
    }
  }

  H handler_;
  msgpack::zone zone_;
  msgpack::sbuffer buffer_{0};
};

template <class H>
void* create(const rc_setup* setup, void (*refuse)(void* to, const char* reason, std::size_t size), void* to) noexcept {
  try {
    return new Instance<H>(Setup(setup));
  } catch (const std::exception& error) {
    const std::string_view reason(error.what());
    refuse(to, reason.data(), reason.size());
  } catch (...) {
    constexpr std::string_view kReason = "an exception that is not a std::exception";
    refuse(to, kReason.data(), kReason.size());
  }
  return nullptr;
}

template <class H>
int run(void* self, rc_bytes payload, const rc_context* context) noexcept {
  try {
    static_cast<Instance<H>*>(self)->run({payload.data, payload.size}, context);
    return RC_OK;
  } catch (...) {
    return report_current(context);
  }
}

template <class H>
void destroy(void* self) noexcept {
  delete static_cast<Instance<H>*>(self);
}

}  // namespace detail

// A handler's entry in RC_PLUGIN. The texts must live as long as the plugin: literals.
// `flags`: RC_OFF_BY_DEFAULT or 0. `payload_schema`: JSON Schema, or null.
template <class H>
requires detail::TakesObject<H> || detail::TakesBytes<H>
constexpr rc_handler handler(const char* name, const char* description, std::uint32_t flags = 0,
                             const char* payload_schema = nullptr) noexcept {
  return {name, description, flags, payload_schema, &detail::create<H>, &detail::run<H>, &detail::destroy<H>};
}

template <class F>
requires std::is_empty_v<F> && std::default_initializable<F>
constexpr rc_handler handler(const char* name, const char* description, F, std::uint32_t flags = 0,
                             const char* payload_schema = nullptr) noexcept {
  return handler<detail::FunctionHandler<F>>(name, description, flags, payload_schema);
}

}  // namespace retire_cluster

// Exports the plugin: its name, its version, and one rc::handler(…) for each task type. Once in a library, at global
// scope; a semicolon may follow.
#define RC_PLUGIN(plugin_name, plugin_version, ...)                                                                \
  extern "C" RC_PLUGIN_EXPORT const rc_plugin* rc_plugin_get(void) {                                               \
    static const rc_handler handlers[] = {__VA_ARGS__, {nullptr, nullptr, 0, nullptr, nullptr, nullptr, nullptr}}; \
    static const rc_plugin plugin = {RC_PLUGIN_ABI, sizeof(rc_plugin), sizeof(rc_handler),                         \
                                     plugin_name,   plugin_version,    handlers};                                  \
    return &plugin;                                                                                                \
  }
