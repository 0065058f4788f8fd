"""What the compose file says is so: its commands exist, its variables are known, nothing of it is left to chance."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings.legacy import _get_settings_fields
from prefect.settings.models.root import Settings
from prefect_redis.cleanup_queue import RedisWorkerCleanupQueueSettings
from prefect_redis.client import RedisMessagingSettings

from aione.housekeeping.prefect_settings import server_environment
from aione.run.system import WORKER_ENV
from aione.stream.shard import Shard
from config.housekeeping_models import HousekeepingParams
from config.settings import load_settings

from .compose import COMPOSE, OF_OURS, PROJECT, services

GIVEN = {"POSTGRES_PASSWORD": "one", "REDIS_PASSWORD": "two"}
SERVICES = services(GIVEN)
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith(OF_OURS)}
ONCE = {"database", "register"}
WITHOUT_A_PORT = {"prefect-services"}
"""Nothing can be asked of it; the compose file says so."""
WITHOUT_HELP = {("python", "-m", "deployments.warm.serve")}
"""It takes no argument, and begins its work whatever it is given."""
PROGRAMS = {"python": [], "prefect": ["-m", "prefect"], "aione": ["-m", "aione"]}
DEPLOYMENTS = PROJECT / "deployments"


def environment_file(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def known_to_prefect(name: str) -> bool:
    through_redis = {
        f"PREFECT_REDIS_{part}_{field.upper()}"
        for part, settings in (
            ("MESSAGING", RedisMessagingSettings),
            ("WORKER_CLEANUP_QUEUE", RedisWorkerCleanupQueueSettings),
        )
        for field in settings.model_fields
    }
    return name in _get_settings_fields(Settings) or name in through_redis


def test_retention_and_prefetch_are_those_of_one_machine():
    wanted = server_environment(HousekeepingParams())
    for name in ("database", "prefect-server", "prefect-services"):
        assert wanted.items() <= SERVICES[name]["environment"].items(), name
    for name in ("flows", "worker"):
        assert WORKER_ENV.items() <= SERVICES[name]["environment"].items(), name


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_pinned_bounded_and_started_again(name):
    service = SERVICES[name]
    assert re.fullmatch(r"[\w./-]+:v?\d+(\.\d+)+[\w.-]*", service["image"]), service["image"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    assert service["restart"] == ("on-failure" if name in ONCE else "unless-stopped")
    assert ("healthcheck" in service) == (name not in ONCE | WITHOUT_A_PORT)


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_of_ours_has_no_rights_it_does_not_need(name):
    assert OURS[name]["cap_drop"] == ["ALL"]
    assert OURS[name]["security_opt"] == ["no-new-privileges:true"]
    assert "USER aione" in (DEPLOYMENTS / "Dockerfile").read_text()


def test_ports_are_published_to_this_machine_alone():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_what_a_service_waits_for_can_be_waited_for():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_completed_successfully":
                assert other in ONCE, (name, other)
            else:
                assert how["condition"] == "service_healthy"
                assert "healthcheck" in SERVICES[other], (name, other)


def test_no_secret_has_a_value_of_its_own():
    asked = environment_file(DEPLOYMENTS / ".env.example")
    assert asked == dict.fromkeys(GIVEN, "")
    for name in GIVEN:
        with pytest.raises(KeyError, match=name):
            services({**GIVEN, name: ""})


@pytest.mark.parametrize("command", sorted({tuple(service["command"]) for service in OURS.values()}), ids=" ".join)
def test_a_command_exists_with_every_option_it_is_given(command):
    program, *arguments = command
    if command in WITHOUT_HELP:
        assert importlib.util.find_spec(arguments[-1]) is not None
        return
    names = [argument for argument in arguments if not argument.startswith("--")]
    if "--pool" in arguments:
        names.remove("aione")
    said = subprocess.run(
        [sys.executable, *PROGRAMS[program], *names, "--help"], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert said.returncode == 0, said.stderr[-2000:]
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert option in said.stdout, option


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_variable_is_one_that_somebody_reads(name):
    given = OURS[name]["environment"]
    load_settings(environ=given)  # refuses an AIONE_ name that is no constant
    unknown = [one for one in given if one.startswith("PREFECT_") and not known_to_prefect(one)]
    assert not unknown


def test_prefect_would_not_know_a_misspelt_variable():
    assert not known_to_prefect("PREFECT_MESSAGE_BROKER")


def test_several_servers_share_messages_order_leases_cleanup_and_background_tasks():
    """Each of these is kept in one process's memory by default."""
    environment = OURS["prefect-server"]["environment"]
    modules = {value for value in environment.values() if value.startswith("prefect_redis.")}
    assert {importlib.import_module(name).__name__.rpartition(".")[2] for name in modules} == {
        "messaging",
        "ordering",
        "lease_storage",
        "cleanup_queue",
    }
    addresses = ("PREFECT_REDIS_MESSAGING_URL", "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL", "PREFECT_SERVER_DOCKET_URL")
    assert {environment[name] for name in addresses} == {"redis://:two@redis:6379/1"}
    in_memory = [
        name
        for name, setting in _get_settings_fields(Settings).items()
        if name.startswith("PREFECT_SERVER") and "memory" in str(setting.value())
    ]
    aliases = {"PREFECT_SERVER_EVENTS_MESSAGING_BROKER", "PREFECT_SERVER_EVENTS_MESSAGING_CACHE"}
    assert set(in_memory) <= set(environment) | aliases, "Prefect keeps something more in memory by default"
    for name in ("prefect-services", "database"):
        assert environment.items() <= OURS[name]["environment"].items()


def test_the_stream_workers_take_every_share_once():
    shards = [
        Shard.parse(one["environment"]["AIONE_STREAM_SHARD"])
        for one in OURS.values()
        if "AIONE_STREAM_SHARD" in one["environment"]
    ]
    assert sorted(shard.index for shard in shards) == list(range(1, len(shards) + 1))
    assert {shard.of for shard in shards} == {len(shards)}


def test_every_volume_and_file_is_there():
    text = COMPOSE.read_text(encoding="utf-8")
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOYMENTS / source).exists() if source.startswith(".") else f"\n  {source}: {{}}" in text


def test_the_image_holds_what_runs():
    lines = (DEPLOYMENTS / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert all((PROJECT / name).exists() for name in kept)
    assert kept >= {"aione", "flows", "tasks", "blocks", "config", "deployments", "prefect.yaml", "requirements.lock"}
    first = re.search(r"^FROM (\S+)$", (DEPLOYMENTS / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", first[1])
