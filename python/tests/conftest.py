from __future__ import annotations

from typing import Iterator

import pytest
from fake_main import FakeMain


@pytest.fixture
def main(request: pytest.FixtureRequest) -> Iterator[FakeMain]:
    """A fake main; its peers take 5 s of silence for its end, or 0.4 s in tests marked quick_silence."""
    quick = request.node.get_closest_marker("quick_silence")
    with FakeMain(offline_after_ms=400 if quick else 5000) as fake:
        yield fake
