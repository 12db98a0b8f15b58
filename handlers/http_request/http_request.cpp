#include "handlers/http_request/http_request.hpp"

#include <chrono>
#include <retire_cluster/payload.hpp>

#include "handlers/support/utf8.hpp"

namespace retire::handlers {
namespace {

namespace rc = retire_cluster;

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

AddressPolicy read_policy(rc::Bytes settings) {
  std::vector<Cidr> allowed;
  if (settings.empty()) return AddressPolicy();
  msgpack::zone zone;
  const msgpack::object decoded = rc::decode(settings, zone);
  const rc::Fields fields(decoded);
  if (const msgpack::object* list = fields.find("http_allow")) {
    if (list->type != msgpack::type::ARRAY) fields.refuse("http_allow", "must be a list", *list);
    for (std::uint32_t i = 0; i < list->via.array.size; ++i) {
      const msgpack::object& item = list->via.array.ptr[i];
      if (item.type != msgpack::type::STR) fields.refuse("http_allow", "must hold strings", item);
      const std::string text(item.via.str.ptr, item.via.str.size);
      const std::optional<Cidr> cidr = parse_cidr(text);
      if (!cidr) throw rc::PayloadError("http_allow: \"" + text + "\" is not a CIDR, such as 10.0.0.0/8 or ::1/128");
      allowed.push_back(*cidr);
    }
  }
  return AddressPolicy(std::move(allowed));
}

HttpRequestHandler::HttpRequestHandler(const rc::Setup& setup) : transfer_(read_policy(setup.settings())) {}

HttpResult HttpRequestHandler::run(const msgpack::object& payload, rc::Context& context) {
  using Clock = std::chrono::steady_clock;
  HttpRequest request = read_request(payload);
  const auto cancelled = [&] { return context.cancelled(); };
  const Clock::time_point start = Clock::now();
  for (int hops = 0;; ++hops) {
    context.throw_if_cancelled();
    const std::chrono::duration<double> spent = Clock::now() - start;  // the timeout is for all hops together
    HttpResponse response = transfer_.perform(request, request.timeout_seconds - spent.count(), cancelled);
    const bool follow = request.follow_redirects && is_redirect(response.status) && !response.redirect_target.empty();
    if (!follow) {
      HttpResult result;
      result.status_code = response.status;
      for (auto& [name, value] : response.headers) result.headers.emplace(to_utf8(name), to_utf8(value));
      result.content = to_utf8(response.body);
      result.url = without_credentials(request.url);
      return result;
    }
    if (hops == kRedirectsMax) {
      throw rc::PermanentError("http_request: more than " + std::to_string(kRedirectsMax) + " redirects");
    }
    redirect(request, response.status, response.redirect_target);
  }
}

}  // namespace retire::handlers
