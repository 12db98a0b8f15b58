#include "handlers/http_request/transfer.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <retire_cluster/error.hpp>
#include <stdexcept>

namespace retire::handlers {
namespace {

namespace rc = retire_cluster;

constexpr int kPollMs = 100;  // how late a cancellation may be noticed

using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

void append(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

void init_library() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) throw std::runtime_error(std::string("libcurl: ") + curl_easy_strerror(code));
}

CURLM* new_multi() {
  init_library();
  CURLM* multi = curl_multi_init();
  if (multi == nullptr) throw std::bad_alloc();
  return multi;
}

// What an environment variable names; empty without it. Told at once, not by each request that fails for it.
std::string readable_from(const char* variable) {
  const char* value = std::getenv(variable);
  const std::string path = value == nullptr ? "" : value;
  if (!path.empty() && path.find(':') == path.npos && access(path.c_str(), R_OK) != 0) {
    throw std::runtime_error("http_request: " + std::string(variable) + " names " + path +
                             ", which handlers cannot read: " + std::strerror(errno));
  }
  return path;
}

// Failures that the same request would meet again.
bool is_permanent(CURLcode code) {
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: return true;
    default: return false;
  }
}

}  // namespace

// What the callbacks of one exchange share. Callbacks are C: nothing may be thrown through libcurl.
struct Transfer::Exchange {
  const AddressPolicy* policy = nullptr;
  HttpResponse response;
  std::size_t header_bytes = 0;
  std::string refused;  // the first address that was refused, and why
  bool opened = false;  // a socket was opened to some address
  bool body_too_large = false;
  bool headers_too_large = false;
  bool in_headers = true;  // not yet at the end of them
  HeaderList headers{nullptr, &curl_slist_free_all};
  std::array<char, CURL_ERROR_SIZE> detail{};
};

Transfer::Transfer(AddressPolicy policy, std::vector<std::string> names)
    : policy_(std::move(policy)),
      certificate_file_(readable_from("SSL_CERT_FILE")),
      certificate_directory_(readable_from("SSL_CERT_DIR")),
      names_(nullptr, &curl_slist_free_all),
      multi_(new_multi(), &curl_multi_cleanup),
      easy_(curl_easy_init(), &curl_easy_cleanup) {
  if (!easy_) throw std::bad_alloc();
  for (const std::string& name : names) append(names_, name);
}

Transfer::~Transfer() = default;

std::size_t Transfer::on_body(char* data, std::size_t size, std::size_t count, void* opaque) try {
  auto& exchange = *static_cast<Exchange*>(opaque);
  const std::size_t bytes = size * count;
  if (bytes > kHttpBodyMax - exchange.response.body.size()) {
    exchange.body_too_large = true;
    return CURL_WRITEFUNC_ERROR;
  }
  exchange.response.body.append(data, bytes);
  return bytes;
} catch (...) {
  return CURL_WRITEFUNC_ERROR;
}

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count, void* opaque) try {
  auto& exchange = *static_cast<Exchange*>(opaque);
  const std::size_t bytes = size * count;
  exchange.header_bytes += bytes;
  if (exchange.header_bytes > kHttpHeadersMax) {
    exchange.headers_too_large = true;
    return CURL_WRITEFUNC_ERROR;
  }
  const std::string_view line(data, bytes);
  if (line.starts_with("HTTP/")) {  // a new answer begins: what stood before was a 1xx
    exchange.response.headers.clear();
    exchange.in_headers = true;
    return bytes;
  }
  if (trimmed(line).empty()) exchange.in_headers = false;
  const std::size_t colon = line.find(':');
  if (colon == line.npos) return bytes;
  std::string name(trimmed(line.substr(0, colon)));
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const std::string_view value = trimmed(line.substr(colon + 1));
  const auto [entry, is_new] = exchange.response.headers.try_emplace(std::move(name), value);
  if (!is_new) entry->second.append(", ").append(value);
  return bytes;
} catch (...) {
  return CURL_WRITEFUNC_ERROR;
}

// The border: every connection passes here, with the address it really goes to.
curl_socket_t Transfer::on_open_socket(void* opaque, curlsocktype, curl_sockaddr* to) try {
  auto& exchange = *static_cast<Exchange*>(opaque);
  const std::optional<Address> address = to_address(&to->addr);
  const char* why = address ? exchange.policy->why_refused(*address) : "neither IPv4 nor IPv6";
  if (why != nullptr) {
    if (exchange.refused.empty()) exchange.refused = (address ? to_text(*address) : "address") + " is " + why;
    return CURL_SOCKET_BAD;
  }
  const int fd = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  exchange.opened = true;
  return fd;
} catch (...) {
  return CURL_SOCKET_BAD;
}

void Transfer::prepare(const HttpRequest& request, double seconds, Exchange& exchange) {
  CURL* easy = easy_.get();
  curl_easy_reset(easy);  // keeps connections and the cache of names
  const auto set = [&](CURLoption option, auto value) {
    if (const CURLcode code = curl_easy_setopt(easy, option, value); code != CURLE_OK) {
      throw std::runtime_error(std::string("http_request: libcurl: ") + curl_easy_strerror(code));
    }
  };
  set(CURLOPT_ERRORBUFFER, exchange.detail.data());
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);  // each hop comes through here again, see HttpRequestHandler
  set(CURLOPT_PROXY, "");           // none, whatever the environment says
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  if (!certificate_file_.empty()) set(CURLOPT_CAINFO, certificate_file_.c_str());
  if (!certificate_directory_.empty()) set(CURLOPT_CAPATH, certificate_directory_.c_str());
  set(CURLOPT_TIMEOUT_MS, std::max(1L, std::lround(seconds * 1000)));
  set(CURLOPT_CONNECTTIMEOUT_MS, std::max(1L, std::lround(std::min(seconds, kHttpConnectSecondsMax) * 1000)));
#if LIBCURL_VERSION_NUM >= 0x075700
  set(CURLOPT_QUICK_EXIT, 1L);  // the end of an exchange does not wait for a resolver that hangs
#endif
  set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::on_open_socket);
  set(CURLOPT_OPENSOCKETDATA, &exchange);
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(CURLOPT_WRITEDATA, &exchange);
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, &exchange);
  if (names_) set(CURLOPT_RESOLVE, names_.get());
  set(CURLOPT_USERAGENT, "retire-cluster/" RC_VERSION);

  for (const auto& [name, value] : request.headers) {
    std::string line = name;
    line.append(value.empty() ? ";" : ": ").append(value);
    append(exchange.headers, line);
  }
  append(exchange.headers, "Expect:");  // no 100-continue round trip
  if (request.body) {
    set(CURLOPT_POSTFIELDS, request.body->data());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
    append(exchange.headers, "Content-Type:");  // libcurl's own guess, unless the request brings one
  }
  if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else {
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  set(CURLOPT_HTTPHEADER, exchange.headers.get());
}

// Until the end of the exchange. Throws Cancelled.
CURLcode Transfer::drive(const std::function<bool()>& cancelled) {
  struct Membership {  // whichever way this ends, the handle is free for the next exchange
    CURLM* multi;
    CURL* easy;
    ~Membership() { curl_multi_remove_handle(multi, easy); }
  };
  if (curl_multi_add_handle(multi_.get(), easy_.get()) != CURLM_OK) throw std::bad_alloc();
  const Membership membership{multi_.get(), easy_.get()};
  while (true) {
    int running = 0;
    if (const CURLMcode code = curl_multi_perform(multi_.get(), &running); code != CURLM_OK) {
      throw std::runtime_error(std::string("http_request: libcurl: ") + curl_multi_strerror(code));
    }
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg == CURLMSG_DONE) return message->data.result;
    }
    if (cancelled()) throw rc::Cancelled();
    curl_multi_poll(multi_.get(), nullptr, 0, kPollMs, nullptr);
  }
}

void Transfer::throw_failure(CURLcode code, const Exchange& exchange, double seconds) const {
  if (exchange.body_too_large) {
    throw rc::PermanentError("http_request: the body is over the limit of " + std::to_string(kHttpBodyMax) + " bytes");
  }
  if (exchange.headers_too_large) {
    throw rc::PermanentError("http_request: the headers are over the limit of " + std::to_string(kHttpHeadersMax) +
                             " bytes");
  }
  if (exchange.opened && exchange.in_headers && code == CURLE_OUT_OF_MEMORY) {  // how it says that a line is too long
    throw rc::PermanentError("http_request: a line of the headers is over the limit of 100 KiB");
  }
  if (!exchange.refused.empty() && !exchange.opened) {
    throw rc::PermanentError("refused: " + exchange.refused + " (a worker allows addresses with --http-allow CIDR)");
  }
  if (code == CURLE_OPERATION_TIMEDOUT) {
    std::string text = std::to_string(seconds);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    throw std::runtime_error("http_request: timed out after " + text + " s");
  }
  const char* detail = exchange.detail[0] != '\0' ? exchange.detail.data() : curl_easy_strerror(code);
  const std::string message = std::string("http_request: ") + detail;
  if (is_permanent(code)) throw rc::PermanentError(message);
  throw std::runtime_error(message);
}

HttpResponse Transfer::perform(const HttpRequest& request, double seconds, const std::function<bool()>& cancelled) {
  Exchange exchange;
  exchange.policy = &policy_;
  prepare(request, seconds, exchange);
  const CURLcode code = drive(cancelled);
  if (code != CURLE_OK) throw_failure(code, exchange, request.timeout_seconds);
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &exchange.response.status);
  char* target = nullptr;
  curl_easy_getinfo(easy_.get(), CURLINFO_REDIRECT_URL, &target);
  if (target != nullptr) exchange.response.redirect_target = target;
  return std::move(exchange.response);
}

}  // namespace retire::handlers
