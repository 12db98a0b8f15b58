from __future__ import annotations

from typing import Iterator

import pytest
from fake_main import FakeMain


@pytest.fixture
def main() -> Iterator[FakeMain]:
    with FakeMain() as fake:
        yield fake
