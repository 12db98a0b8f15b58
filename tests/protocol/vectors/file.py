"""One JSON file in the making."""

from __future__ import annotations

import json
from typing import Any

from .wire import frame, plain


class File:
    def __init__(self, name: str, description: str) -> None:
        self.name = name
        self.description = description
        self.vectors: list[dict[str, Any]] = []

    def valid(
        self, name: str, kind: Any, body: Any, reading: Any = None, correlation: Any = 1, version: Any = 1
    ) -> None:
        """A message that is read. `reading` is the body that a decoder sees, if it is not `body` as it
        stands.
        """
        self.vectors.append(
            {
                "name": name,
                "hex": frame(kind, body, correlation, version).hex(),
                "reading": {
                    "type": plain(kind),
                    "correlation": plain(correlation),
                    "body": plain(body if reading is None else reading),
                },
            }
        )

    def refused(self, name: str, data: bytes, error: str) -> None:
        self.vectors.append({"name": name, "hex": data.hex(), "error": error})

    def refused_body(self, name: str, kind: str, body: Any, error: str) -> None:
        self.refused(name, frame(kind, body), error)

    def text(self) -> str:
        lines = ",\n".join("  " + json.dumps(v, ensure_ascii=True) for v in self.vectors)
        return f'{{"description": {json.dumps(self.description)},\n "vectors": [\n{lines}\n ]}}\n'
