"""What passes between a worker's command and the process that forks."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from deployments.warm import wire


@pytest.fixture
def both():
    asker, server = socket.socketpair()
    with asker, server:
        yield asker, server


def test_a_request_brings_environment_directory_and_files(both, monkeypatch, tmp_path):
    asker, server = both
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIONE_TEST", "їжак")
    wire.send_request(asker)
    environ, directory, files = wire.read_request(server)
    assert environ["AIONE_TEST"] == "їжак"
    assert directory == str(tmp_path)
    assert [os.fstat(file).st_ino for file in files] == [os.fstat(file).st_ino for file in wire.STANDARD_FILES]
    for file in files:
        os.close(file)


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\x09{}"])
def test_a_request_that_breaks_off_is_an_error_and_leaves_no_file_open(both, sent):
    asker, server = both
    asker.sendall(sent)
    asker.close()
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(EOFError):
        wire.read_request(server)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_numbers_pass_and_an_end_is_an_error(both):
    asker, server = both
    for number in (0, 1, -9, 2**31 - 1, wire.COLD):
        wire.send_number(asker, number)
        assert wire.read_number(server) == number
    asker.close()
    with pytest.raises(EOFError, match="expected 4 bytes"):
        wire.read_number(server)


def test_the_socket_is_in_the_home_and_has_a_short_name_where_that_is_too_long(monkeypatch, tmp_path):
    monkeypatch.setenv("AIONE_HOME", "/h")
    assert str(wire.socket_path()) == "/h/flows.sock"
    monkeypatch.setenv("AIONE_HOME", str(tmp_path / ("x" * 100)))
    first = wire.socket_path()
    assert len(os.fsencode(first)) <= wire.MOST_BYTES
    monkeypatch.setenv("AIONE_HOME", str(tmp_path / ("y" * 100)))
    assert wire.socket_path() != first
