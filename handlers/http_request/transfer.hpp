// One HTTP exchange over libcurl, without redirects. The only file that drives libcurl's handles.
#pragma once

#include <curl/curl.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "handlers/http_request/address_policy.hpp"
#include "handlers/http_request/request.hpp"

namespace retire::handlers {

inline constexpr std::size_t kHttpBodyMax = std::size_t{10} * 1024 * 1024;
inline constexpr double kHttpConnectSecondsMax = 10;  // for the name, the connection and TLS together
inline constexpr std::size_t kHttpHeadersMax = std::size_t{256} * 1024;

struct HttpResponse {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; repeated ones joined by ", "
  std::string body;                            // as it came
  std::string redirect_target;                 // absolute; empty unless it is a redirect with a target
};

// Keeps its connections open between requests. One thread at a time.
class Transfer {
 public:
  // Certificates of servers are held against those of SSL_CERT_FILE and SSL_CERT_DIR, each in place of the system's
  // own. Throws std::runtime_error when one of these cannot be read. `names`: what names lead to,
  // "HOST:PORT:ADDRESS[,ADDRESS]", in place of asking the resolver; for tests.
  explicit Transfer(AddressPolicy policy, std::vector<std::string> names = {});
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Throws PermanentError (`refused: …`, a limit, a certificate that is not to be trusted), Cancelled once `cancelled`
  // says so (asked about ten times a second), and std::runtime_error for what another attempt may do better.
  HttpResponse perform(const HttpRequest& request, double seconds, const std::function<bool()>& cancelled);

 private:
  struct Exchange;
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* exchange);
  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* exchange);
  static curl_socket_t on_open_socket(void* exchange, curlsocktype purpose, curl_sockaddr* address);

  void prepare(const HttpRequest& request, double seconds, Exchange& exchange);
  CURLcode drive(const std::function<bool()>& cancelled);
  [[noreturn]] void throw_failure(CURLcode code, const Exchange& exchange, double seconds) const;

  AddressPolicy policy_;
  std::string certificate_file_;  // empty: the system's
  std::string certificate_directory_;
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> names_;
  std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi_;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy_;
};

}  // namespace retire::handlers
