"""What the tools that will read the files of deployments/ say of them; a missing tool is a failure."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from .compose import COMPOSE, PROJECT
from .stores import program
from .test_compose import GIVEN, SERVICES

DEPLOYMENTS = PROJECT / "deployments"
RULES = DEPLOYMENTS / "prometheus"
UNITS = DEPLOYMENTS / "systemd"


def run(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program(str(command[0])), *command[1:]],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# ── Compose ──


def composed(**given: str) -> subprocess.CompletedProcess[str]:
    plugin = (
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if shutil.which("docker")
        else None
    )
    compose = ["docker", "compose"] if plugin is not None and plugin.returncode == 0 else ["docker-compose"]
    return run(*compose, "--file", COMPOSE, "config", **given)


def test_compose_accepts_the_file_and_reads_it_as_we_do():
    said = composed(**GIVEN)
    assert said.returncode == 0, said.stderr
    seen = yaml.safe_load(said.stdout)["services"]
    assert set(seen) == set(SERVICES)
    for name, service in SERVICES.items():
        ours = {key: str(value) for key, value in service.get("environment", {}).items()}
        assert {key: str(value) for key, value in seen[name].get("environment", {}).items()} == ours
        assert seen[name]["command"] == service["command"]


def test_compose_refuses_to_start_without_a_password():
    said = composed(POSTGRES_PASSWORD="", REDIS_PASSWORD="two")
    assert said.returncode != 0
    assert "POSTGRES_PASSWORD" in said.stderr


# ── HAProxy ──


def test_haproxy_accepts_its_configuration(tmp_path):
    said = run("haproxy", "-c", "-f", DEPLOYMENTS / "haproxy.cfg")
    assert said.returncode == 0, said.stderr
    wrong = (DEPLOYMENTS / "haproxy.cfg").read_text(encoding="utf-8").replace("balance leastconn", "balance leastcon")
    (tmp_path / "haproxy.cfg").write_text(wrong, encoding="utf-8")
    assert run("haproxy", "-c", "-f", tmp_path / "haproxy.cfg").returncode != 0


# ── Prometheus ──


def test_prometheus_accepts_its_configuration(tmp_path):
    for path in RULES.glob("*.yaml"):
        text = path.read_text(encoding="utf-8").replace("/etc/prometheus", str(tmp_path))
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    said = run("promtool", "check", "config", tmp_path / "prometheus.yaml")
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_fires_when_it_should_and_none_in_a_healthy_system():
    said = run("promtool", "test", "rules", RULES / "rules.test.yaml")
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_test_of_the_alerts_can_fail(tmp_path):
    shutil.copy(RULES / "rules.yaml", tmp_path)
    text = (RULES / "rules.test.yaml").read_text(encoding="utf-8").replace("300x80", "2300x80", 1)
    (tmp_path / "rules.test.yaml").write_text(text, encoding="utf-8")
    assert run("promtool", "test", "rules", tmp_path / "rules.test.yaml").returncode != 0


# ── systemd ──


@pytest.fixture
def root(tmp_path):
    """A file system as the how-to leaves it: the units, and programs where they look for them."""
    units = tmp_path / "etc" / "systemd" / "system"
    shutil.copytree(UNITS, units)
    shutil.copytree("/lib/systemd/system", tmp_path / "usr" / "lib" / "systemd" / "system", symlinks=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    programs = tmp_path / "opt" / "aione" / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "prefect", "aione"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    return tmp_path


def verified(root: Path) -> str:
    units = sorted((root / "etc" / "systemd" / "system").glob("aione*.*"))
    files = [path for path in units if path.suffix in {".service", ".target"}]
    said = run("systemd-analyze", "verify", f"--root={root}", *files)
    return said.stdout + said.stderr + ("" if said.returncode == 0 else f"status {said.returncode}")


def test_systemd_accepts_every_unit(root):
    assert verified(root) == ""


def test_systemd_would_tell_of_a_missing_program_and_of_a_misspelt_line(root):
    (root / "opt" / "aione" / ".venv" / "bin" / "aione").unlink()
    assert "aione is not executable" in verified(root)
    unit = root / "etc" / "systemd" / "system" / "aione-worker.service"
    unit.write_text(unit.read_text().replace("Restart=", "Restrat="))
    assert "Restrat" in verified(root)


@pytest.mark.parametrize("unit", [path.name.replace("@.", "@1.") for path in sorted(UNITS.glob("*.service"))])
def test_a_unit_is_confined(root, unit):
    """The common drop-in reaches it; without it the exposure is 9.6 of 10."""
    said = run("systemd-analyze", "security", "--offline=true", f"--root={root}", unit)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)
    assert level is not None, said.stderr
    assert float(level[1]) < 2.0, said.stdout[-2000:]
