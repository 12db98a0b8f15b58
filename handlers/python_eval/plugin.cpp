#include <retire_cluster/plugin.hpp>

#include "handlers/python_eval/python_eval.hpp"

// The system's Python.
RC_PLUGIN_MANIFEST(R"({"needs": {"subprocess": true}})");

RC_PLUGIN("python_eval", RC_VERSION,
          retire_cluster::handler<retire::handlers::PythonEval>(
              "python_eval", "Evaluates one Python expression, of a safe subset", RC_OFF_BY_DEFAULT,
              R"({"type":"object","required":["expression"],"additionalProperties":false,)"
              R"("properties":{"expression":{"type":"string","minLength":1,"maxLength":65536}}})"));
