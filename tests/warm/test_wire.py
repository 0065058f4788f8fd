"""What passes between a worker's command and the process that forks."""

from __future__ import annotations

import array
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
    request = wire.read_request(server, 1.0)
    assert request.environ["AIONE_TEST"] == "їжак"
    assert request.directory == str(tmp_path)
    assert [os.fstat(file).st_ino for file in request.files] == [os.fstat(file).st_ino for file in wire.STANDARD_FILES]
    request.close()


@pytest.mark.parametrize(
    "sent", [b"\0\0\0\x09{}", b"\0\0\0\x02{}", b"\0\0\0\x02[]", b"\xff\xff\xff\xff", b"\0\0\0\x01{"]
)
def test_a_request_that_is_none_is_an_error_and_leaves_no_file_open(both, sent):
    asker, server = both
    files = array.array("i", wire.STANDARD_FILES).tobytes()
    asker.sendmsg([sent[:4]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    asker.sendall(sent[4:])
    asker.close()
    before = open_files()
    with pytest.raises((EOFError, ValueError)):
        wire.read_request(server, 1.0)
    assert open_files() == before


def test_a_request_that_does_not_come_whole_in_time_is_an_error(both):
    asker, server = both
    files = array.array("i", wire.STANDARD_FILES).tobytes()
    asker.sendmsg([b"\0\0\0\x09"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    with pytest.raises(TimeoutError):
        wire.read_request(server, 0.1)


@pytest.mark.parametrize("sent", [b"", b"\0\0"])
def test_a_request_without_files_is_an_error(both, sent):
    asker, server = both
    asker.sendall(sent)
    asker.close()
    with pytest.raises(EOFError, match="3 files"):
        wire.read_request(server, 1.0)


def test_both_ends_are_of_this_user(both):
    assert all(map(wire.is_own_peer, both))


def open_files():
    return len([*Path("/proc/self/fd").iterdir()])


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
    assert len(os.fsencode(first)) <= wire.MOST_PATH_BYTES
    monkeypatch.setenv("AIONE_HOME", str(tmp_path / ("y" * 100)))
    assert wire.socket_path() != first
