"""The systemd units start what the compose file starts, with the same variables."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from config.settings import load_settings

from .compose import PROJECT
from .test_compose import OURS, environment_file, known_to_prefect

UNITS = PROJECT / "deployments" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
INSTALLED = "/opt/aione/.venv/bin/"


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read(UNITS / name, encoding="utf-8")
    return parser


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_runs_what_the_compose_file_runs(name):
    part = name.removeprefix("aione-").removesuffix(".service").rstrip("@")
    program, *arguments = unit(name)["Service"]["ExecStart"].split()
    assert program.startswith(INSTALLED)
    command = [program.removeprefix(INSTALLED), *arguments]
    if part == "stream":
        assert command == ["aione", "stream", "--shard", "%i/${AIONE_STREAM_SHARDS}"]
    else:
        assert command == OURS[part]["command"]


def test_every_part_of_ours_has_a_unit():
    parts = {name.removeprefix("aione-").removesuffix(".service").rstrip("@") for name in SERVICES}
    assert parts == {"stream" if name.startswith("stream") else name for name in OURS}


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_belongs_to_the_target_and_is_started_again(name):
    service = unit(name)["Service"]
    once = service.get("Type") == "oneshot"
    assert unit(name)["Install"]["WantedBy"] == "aione.target"
    assert service["Restart"] == ("on-failure" if once else "always")
    assert "MemoryMax" in service


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_reads_an_environment_of_which_there_is_an_example(name):
    file = Path(unit(name)["Service"]["EnvironmentFile"])
    assert file.parent == Path("/etc/aione")
    assert (UNITS / f"{file.name}.example").is_file()


def test_the_servers_of_systemd_have_the_variables_of_the_compose_file():
    values = environment_file(UNITS / "prefect-server.env.example")
    composed = OURS["prefect-services"]["environment"]
    assert set(values) == set(composed) - {"DO_NOT_TRACK"}
    same = [name for name in values if "HOST" not in name and "URL" not in name and "PASSWORD" not in name]
    assert {name: values[name] for name in same} == {name: composed[name] for name in same}


def test_the_parts_of_systemd_read_variables_that_exist():
    values = environment_file(UNITS / "aione.env.example")
    shards = values.pop("AIONE_STREAM_SHARDS")
    assert int(shards) == sum(name.startswith("stream") for name in OURS)
    load_settings(environ=values)
    assert all(known_to_prefect(name) for name in values if name.startswith("PREFECT_"))
    assert set(OURS["worker"]["environment"]) - {"DO_NOT_TRACK", "AIONE_METRICS_PORT"} <= set(values)
