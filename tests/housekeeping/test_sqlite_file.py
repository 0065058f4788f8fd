"""A database file in write-ahead mode: what it takes, what a deletion frees, what a compaction wins."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from aione.errors import ServiceUnavailable
from aione.housekeeping.sqlite_file import compact, empty_wal, sqlite_facts
from config.housekeeping_models import HousekeepingParams

PARAMS = HousekeepingParams(compact_from_mb=1.0)


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "prefect.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE run (id INTEGER PRIMARY KEY, text TEXT)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO run (text) VALUES (?)", [("x" * 1000,)] * 5000)
        connection.execute("COMMIT")
        yield path, connection


def test_no_file_has_no_facts(tmp_path):
    assert sqlite_facts(tmp_path / "none.db") is None
    assert compact(tmp_path / "none.db", PARAMS) == 0


def test_what_is_deleted_becomes_room_for_what_comes(database):
    path, connection = database
    empty_wal(path)
    before = sqlite_facts(path)
    connection.execute("DELETE FROM run")
    empty_wal(path)
    after = sqlite_facts(path)
    assert after.file == before.file, "a file without auto_vacuum does not shrink"
    assert after.unused > 0.9 * after.file
    connection.executemany("INSERT INTO run (text) VALUES (?)", [("y" * 1000,)] * 4900)
    empty_wal(path)
    assert sqlite_facts(path).file == before.file, "and does not grow before its room is used up"


def test_the_log_is_emptied_while_another_process_holds_the_file_open(database):
    path, _ = database
    assert sqlite_facts(path).wal > 1_000_000
    assert empty_wal(path) is True
    assert sqlite_facts(path).wal == 0


def test_the_log_stays_where_somebody_reads(database, monkeypatch):
    monkeypatch.setattr("aione.housekeeping.sqlite_file.WAIT_S", 0.05)
    path, connection = database
    empty_wal(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM run").fetchone()
        connection.execute("INSERT INTO run (text) VALUES ('z')")
        assert empty_wal(path) is False
        assert sqlite_facts(path).wal > 0


def test_a_compaction_wins_the_unused_pages_and_only_where_they_are_worth_it(database):
    path, connection = database
    assert compact(path, PARAMS) == 0
    connection.execute("DELETE FROM run WHERE id > 100")
    connection.close()
    won = compact(path, PARAMS)
    facts = sqlite_facts(path)
    assert won > 4_000_000
    assert (facts.unused, facts.wal) == (0, 0)
    assert facts.total < 300_000
    with closing(sqlite3.connect(path)) as again:
        assert again.execute("SELECT count(*) FROM run").fetchone() == (100,)


def test_a_compaction_of_a_file_in_use_is_refused_and_harms_nothing(database, monkeypatch):
    monkeypatch.setattr("aione.housekeeping.sqlite_file.WAIT_S", 0.05)
    path, connection = database
    connection.execute("DELETE FROM run WHERE id > 100")
    empty_wal(path)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(ServiceUnavailable, match=r"prefect\.db cannot be compacted"):
        compact(path, PARAMS)
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT count(*) FROM run").fetchone() == (100,)


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "prefect.db"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(ServiceUnavailable, match=r"prefect\.db"):
        sqlite_facts(path)
