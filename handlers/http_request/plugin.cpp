#include <retire_cluster/plugin.hpp>

#include "handlers/http_request/http_request.hpp"

RC_PLUGIN_MANIFEST(R"({"needs": {"network": true}})");

RC_PLUGIN("http_request", RC_VERSION,
          retire_cluster::handler<retire::handlers::HttpRequestHandler>(
              "http_request", "Makes an HTTP request to a global address", 0,
              R"({"type":"object","required":["url"],"additionalProperties":false,"properties":{)"
              R"("url":{"type":"string"},"method":{"type":["string","null"]},)"
              R"("headers":{"type":["object","null"],"additionalProperties":{"type":["string","null"]}},)"
              R"("body":{},"json":{},"timeout":{"type":["number","null"],"exclusiveMinimum":0,"maximum":3600},)"
              R"("follow_redirects":{"type":["boolean","null"]}}})"));
