#include "handlers/http_request/request.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <retire_cluster/payload.hpp>

#include "handlers/http_request/json_text.hpp"

namespace retire::handlers {
namespace {

namespace rc = retire_cluster;

constexpr std::size_t kHeadersMax = 100;
constexpr std::size_t kHeaderBytesMax = std::size_t{64} * 1024;  // of all together
constexpr std::size_t kUrlBytesMax = std::size_t{16} * 1024;

// Sent to another origin too. Anything else may be a credential, whatever it is called.
constexpr std::array<std::string_view, 5> kHarmlessHeaders = {"accept", "accept-language", "user-agent", "content-type",
                                                              "range"};

using CurlText = std::unique_ptr<char, decltype(&curl_free)>;

class Url {
 public:
  explicit Url(const std::string& text) : handle_(curl_url(), &curl_url_cleanup) {
    error_ = curl_url_set(handle_.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME);
  }
  bool ok() const { return error_ == CURLUE_OK; }
  const char* problem() const { return curl_url_strerror(error_); }
  std::string part(CURLUPart what, unsigned flags = 0) const {
    char* raw = nullptr;
    if (curl_url_get(handle_.get(), what, &raw, flags) != CURLUE_OK) return {};
    const CurlText text(raw, &curl_free);
    return text.get();
  }
  void clear(CURLUPart what) { curl_url_set(handle_.get(), what, nullptr, 0); }

 private:
  std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> handle_;
  CURLUcode error_ = CURLUE_OK;
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// The characters of HTTP's names.
bool is_token(std::string_view text) {
  constexpr std::string_view kOther = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || kOther.find(c) != kOther.npos;
  });
}

void read_headers(const rc::Fields& headers, HttpRequest& request) {
  if (headers.size() > kHeadersMax) headers.refuse("", "must have at most 100 entries");
  std::size_t bytes = 0;
  for (std::uint32_t i = 0; i < headers.size(); ++i) {
    const std::string_view name = headers.key_at(i);
    if (!is_token(name)) headers.refuse(name, "is not a header name");
    const std::string folded = lower(name);
    if (folded == "content-length" || folded == "transfer-encoding") {
      headers.refuse(name, "cannot be set: it follows from the body");
    }
    if (headers.value_at(i).type == msgpack::type::NIL) continue;
    const std::string_view value = headers.text(name);
    const auto is_control = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; };
    if (std::any_of(value.begin(), value.end(), is_control)) {
      headers.refuse(name, "must not hold line breaks or other control characters");
    }
    bytes += name.size() + value.size();
    if (bytes > kHeaderBytesMax) headers.refuse("", "must be at most 64 KiB in all");
    request.headers.emplace_back(name, value);
  }
}

bool has_header(const HttpRequest& request, std::string_view folded_name) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [&](const auto& header) { return lower(header.first) == folded_name; });
}

}  // namespace

std::string origin_of(const std::string& url, const char* where) {
  const bool has_control =
      std::any_of(url.begin(), url.end(), [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; });
  if (has_control) throw rc::PermanentError(std::string(where) + " must not hold spaces or control characters");
  if (url.size() > kUrlBytesMax) throw rc::PermanentError(std::string(where) + " must be at most 16 KiB");
  const Url parsed(url);
  if (!parsed.ok()) {
    if (url.find("://") == url.npos && url.find(':') == url.npos) {
      throw rc::PermanentError(std::string(where) + " must begin with http:// or https://");
    }
    throw rc::PermanentError(std::string(where) + " is not a URL: " + parsed.problem());
  }
  const std::string scheme = lower(parsed.part(CURLUPART_SCHEME));
  if (scheme != "http" && scheme != "https") {
    throw rc::PermanentError("refused: scheme \"" + scheme.substr(0, 40) + "\" (only http and https)");
  }
  const std::string host = lower(parsed.part(CURLUPART_HOST));
  if (host.empty()) throw rc::PermanentError(std::string(where) + " names no host");
  return scheme + "://" + host + ":" + parsed.part(CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

std::string without_credentials(const std::string& url) {
  Url parsed(url);
  if (!parsed.ok()) return url;
  parsed.clear(CURLUPART_USER);
  parsed.clear(CURLUPART_PASSWORD);
  return parsed.part(CURLUPART_URL);
}

HttpRequest read_request(const msgpack::object& payload) {
  const rc::Fields fields(payload, {"url", "method", "headers", "body", "json", "timeout", "follow_redirects"});
  HttpRequest request;
  request.url = fields.text("url");
  origin_of(request.url, "field \"url\"");

  const std::string_view method = fields.text_or("method", "GET");
  if (!is_token(method) || method.size() > 32) fields.refuse("method", "must be an HTTP method, such as GET");
  request.method = method;
  for (char& c : request.method) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  if (request.method == "CONNECT") fields.refuse("method", "must not be CONNECT, which is for proxies");

  if (const auto headers = fields.map_or_none("headers")) read_headers(*headers, request);
  if (fields.has("body") && fields.has("json")) fields.refuse("json", "cannot be given together with \"body\"");
  if (const msgpack::object* body = fields.find("body")) {
    if (body->type == msgpack::type::BIN) {
      request.body.emplace(body->via.bin.ptr, body->via.bin.size);
    } else {
      request.body.emplace(fields.text("body"));
    }
  }
  if (const msgpack::object* json = fields.find("json")) {
    request.body = to_json(*json, "json");
    if (!has_header(request, "content-type")) request.headers.emplace_back("Content-Type", "application/json");
  }
  if (request.method == "HEAD" && request.body) fields.refuse("method", "must not be HEAD when there is a body");
  request.timeout_seconds = fields.number_or("timeout", kHttpSecondsUsual, 0, kHttpSecondsMax);
  if (request.timeout_seconds == 0) fields.refuse("timeout", "must be more than 0");
  request.follow_redirects = fields.boolean_or("follow_redirects", true);
  return request;
}

void redirect(HttpRequest& request, long status, const std::string& target) {
  const bool same_origin = origin_of(request.url, "the URL") == origin_of(target, "the redirect's target");
  const bool becomes_get =
      (status == 303 && request.method != "HEAD") || ((status == 301 || status == 302) && request.method == "POST");
  if (becomes_get) {
    request.method = "GET";
    request.body.reset();
    std::erase_if(request.headers, [](const auto& header) { return lower(header.first).starts_with("content-"); });
  }
  if (!same_origin) {
    std::erase_if(request.headers, [](const auto& header) {
      return std::find(kHarmlessHeaders.begin(), kHarmlessHeaders.end(), lower(header.first)) == kHarmlessHeaders.end();
    });
  }
  request.url = target;
}

}  // namespace retire::handlers
