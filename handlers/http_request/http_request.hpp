// http_request: one HTTP exchange with a global address, redirects followed.
#pragma once

#include <map>
#include <msgpack.hpp>
#include <retire_cluster/context.hpp>
#include <string>
#include <vector>

#include "handlers/http_request/transfer.hpp"

namespace retire::handlers {

struct HttpResult {
  long status_code = 0;
  std::map<std::string, std::string> headers;
  std::string content;  // UTF-8; what was not is replaced by U+FFFD
  std::string url;      // of the answer, after redirects
  MSGPACK_DEFINE_MAP(status_code, headers, content, url)
};

class HttpRequestHandler {
 public:
  // Reads "http_allow" of the worker's settings; throws when an entry is not a CIDR.
  explicit HttpRequestHandler(const retire_cluster::Setup& setup);
  // `names` as of Transfer.
  explicit HttpRequestHandler(AddressPolicy policy, std::vector<std::string> names = {})
      : transfer_(std::move(policy), std::move(names)) {}

  // An answer is a success whatever its status is.
  HttpResult run(const msgpack::object& payload, retire_cluster::Context& context);

 private:
  Transfer transfer_;
};

// The policy that the settings ask for.
AddressPolicy read_policy(retire_cluster::Bytes settings);

}  // namespace retire::handlers
