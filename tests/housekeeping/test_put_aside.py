"""Events that a Prefect server has put aside."""

from __future__ import annotations

import os
import time

import pytest

from aione.errors import ServiceUnavailable
from aione.housekeeping.put_aside import forget_put_aside


def test_old_ones_are_deleted_and_young_ones_stay(tmp_path):
    for name, age_s in (("old", 200.0), ("older", 2000.0), ("young", 20.0)):
        (tmp_path / name).write_bytes(b"{}")
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    assert forget_put_aside(tmp_path, 100.0, is_dry=True) == 2
    assert len([*tmp_path.iterdir()]) == 3
    assert forget_put_aside(tmp_path, 100.0) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["young"]


def test_where_there_are_none_there_is_nothing_to_do(tmp_path):
    assert forget_put_aside(tmp_path / "dlq", 1.0) == 0


def test_a_disk_that_refuses_is_named(tmp_path, monkeypatch):
    (tmp_path / "old").touch()

    def refuse(*_, **__):
        raise PermissionError("no")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(ServiceUnavailable, match=str(tmp_path)):
        forget_put_aside(tmp_path, -1.0)
