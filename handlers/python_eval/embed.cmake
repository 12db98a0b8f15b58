# Writes the text of FROM as a C++ constant to TO.
file(READ "${FROM}" text)
file(WRITE "${TO}" "// Made from evaluator.py.\n#pragma once\n\nnamespace retire::handlers {\n
inline constexpr char kEvaluatorSource[] = R\"PY(${text})PY\";\n\n}  // namespace retire::handlers\n")
