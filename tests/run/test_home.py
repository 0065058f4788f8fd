"""A home has one owner, and says who."""

import os
import subprocess
import sys

import pytest

from aione.errors import AlreadyRunning, InvalidInput, ServiceUnavailable
from aione.run.home import (
    forget_addresses,
    home_directory,
    owned,
    read_addresses,
    running_addresses,
    write_addresses,
)

HOLD = """
import sys, time
from pathlib import Path
from aione.run.home import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path):
    """Another process that owns the home."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_home_comes_from_the_environment_and_is_made(tmp_path):
    home = home_directory({"AIONE_HOME": str(tmp_path / "a" / "b")})
    assert home == tmp_path / "a" / "b"
    assert (home / "logs").is_dir()


def test_a_home_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidInput, match=r"file/home"):
        home_directory({"AIONE_HOME": str(tmp_path / "file" / "home")})


def test_the_second_owner_is_refused_and_told_the_first(tmp_path, owner):
    with pytest.raises(AlreadyRunning, match=f"process {owner.pid}"), owned(tmp_path):
        pass


def test_a_killed_owner_leaves_the_home_free(tmp_path, owner):
    owner.kill()
    owner.wait()
    with owned(tmp_path):
        assert (tmp_path / "up.lock").read_text() == str(os.getpid())


@pytest.mark.usefixtures("owner")
def test_addresses_are_found_while_a_system_runs(tmp_path):
    write_addresses(tmp_path, {"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert read_addresses(tmp_path) == {"REDIS_URL": "redis://127.0.0.1:1/0"}
    forget_addresses(tmp_path)
    with pytest.raises(ServiceUnavailable, match="still starting"):
        read_addresses(tmp_path)


def test_without_a_system_there_are_no_addresses(tmp_path):
    write_addresses(tmp_path, {"REDIS_URL": "redis://127.0.0.1:1/0"})
    with pytest.raises(ServiceUnavailable, match="no system runs"):
        read_addresses(tmp_path)


def test_what_the_environment_names_needs_no_system(monkeypatch, tmp_path):
    monkeypatch.setenv("AIONE_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
    assert running_addresses() == {"REDIS_URL": "redis://127.0.0.1:9/0"}


def test_a_named_prefect_server_stands_beside_the_homes_redis(monkeypatch, tmp_path):
    monkeypatch.setenv("AIONE_HOME", str(tmp_path))
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    write_addresses(tmp_path, {"REDIS_URL": "redis://127.0.0.1:1/0", "PREFECT_API_URL": "http://127.0.0.1:1/api"})
    with pytest.raises(ServiceUnavailable, match="no system runs"):
        running_addresses()
    with owned(tmp_path):
        assert running_addresses() == {
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "PREFECT_API_URL": "http://127.0.0.1:9/api",
        }
