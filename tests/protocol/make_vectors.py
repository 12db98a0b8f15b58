#!/usr/bin/env python3
"""Makes the protocol's test vectors: `make_vectors.py` writes the JSON files beside it, `make_vectors.py
--check` compares them with what it would write and exits 1 if they differ.

Each file is made by the module of its name in vectors/. They share nothing with the codecs under test: bytes
come from the small encoder in vectors/wire.py, and what a decoder has to read is said by hand wherever it is
not simply what was encoded. Only Python's standard library is needed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from vectors import (
    invalid_bytes,
    invalid_envelope,
    invalid_items,
    invalid_types,
    invalid_values,
    valid_client,
    valid_envelope,
    valid_every_type,
    valid_session,
    valid_worker,
)

HERE = Path(__file__).resolve().parent
MODULES = [
    valid_every_type,
    valid_envelope,
    valid_session,
    valid_client,
    valid_worker,
    invalid_bytes,
    invalid_envelope,
    invalid_types,
    invalid_items,
    invalid_values,
]


def make() -> dict[str, str]:
    """Every file: its name and what stands in it."""
    return {f.name: f.text() for f in (module.build() for module in MODULES)}


def main() -> int:
    files = make()
    if sys.argv[1:] == ["--check"]:
        wrong = [
            n for n, text in files.items() if not (HERE / n).exists() or (HERE / n).read_text("utf-8") != text
        ]
        wrong += [p.name for p in HERE.glob("*.json") if p.name not in files]
        for name in wrong:
            print(f"{name} is not what make_vectors.py makes: run it and commit the result", file=sys.stderr)
        return 1 if wrong else 0
    for name, text in files.items():
        (HERE / name).write_text(text, "utf-8")
        vectors = json.loads(text)["vectors"]
        names = [v["name"] for v in vectors]
        assert len(names) == len(set(names)), [n for n in names if names.count(n) > 1]
        print(f"{name}: {len(vectors)} vectors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
