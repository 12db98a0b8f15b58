// The payload of http_request, read and checked; no I/O.
#pragma once

#include <msgpack.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace retire::handlers {

inline constexpr double kHttpSecondsUsual = 30;
inline constexpr double kHttpSecondsMax = 3600;
inline constexpr int kRedirectsMax = 5;

struct HttpRequest {
  std::string url;
  std::string method = "GET";
  std::vector<std::pair<std::string, std::string>> headers;  // as given
  std::optional<std::string> body;
  double timeout_seconds = kHttpSecondsUsual;
  bool follow_redirects = true;
};

// Throws PayloadError naming the field. A scheme other than http and https is a PermanentError that begins "refused: ".
HttpRequest read_request(const msgpack::object& payload);

// Scheme, host and port of a URL, in one form; the port is always there. Throws PermanentError: a URL that makes no
// sense, or `refused: …` for a scheme that is not http or https. `where` begins the message.
std::string origin_of(const std::string& url, const char* where);

// The URL without its user and password, which belong in no result.
std::string without_credentials(const std::string& url);

// Turns the request into the one that a redirect with this status asks for. On the way to another origin only headers
// that say nothing of the sender stay.
void redirect(HttpRequest& request, long status, const std::string& target);

}  // namespace retire::handlers
