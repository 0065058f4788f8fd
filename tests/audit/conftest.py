"""A bus of each test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aione.audit import AuditBus


@pytest.fixture
def bus() -> Iterator[AuditBus]:
    made = AuditBus()
    yield made
    made.close(2.0)
