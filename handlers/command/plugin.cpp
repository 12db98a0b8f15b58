#include <retire_cluster/plugin.hpp>

#include "handlers/command/command.hpp"

// What it runs has no network at --sandbox strict: whoever wants that wants it for commands above all.
RC_PLUGIN_MANIFEST(R"({"needs": {"subprocess": true}})");

RC_PLUGIN("command", RC_VERSION,
          retire_cluster::handler<retire::handlers::Command>(
              "command", "Runs a program or a shell line", RC_OFF_BY_DEFAULT,
              R"({"type":"object","required":["command"],"additionalProperties":false,"properties":{)"
              R"("command":{"anyOf":[{"type":"string","minLength":1},)"
              R"({"type":"array","minItems":1,"items":{"type":"string"}}]},)"
              R"("timeout":{"type":["number","null"],"exclusiveMinimum":0},"cwd":{"type":["string","null"]},)"
              R"("env":{"type":["object","null"],"additionalProperties":{"type":"string"}},)"
              R"("stdin":{"type":["string","null"]},"check":{"type":["boolean","null"]}}})"));
