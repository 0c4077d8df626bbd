from __future__ import annotations

import pytest

from chalicelib.capture import received_money


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the metrics that received money counts."""
    names: list[str] = []
    monkeypatch.setattr(received_money, "count", names.append)
    return names
