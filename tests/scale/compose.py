"""The compose file as data: what each service runs, with which variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = PROJECT / "deployments" / "compose.yaml"
OF_OURS = "aione:"
"""How the image of every service that runs our code begins."""
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def services(given: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return every service by name, with the variables of ``given`` put in as ``docker compose`` does."""
    parsed = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return _filled(parsed["services"], given)


def _filled(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, given) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, given) for item in value]
    return VARIABLE.sub(lambda found: _variable(found, given), value) if isinstance(value, str) else value


def _variable(found: re.Match[str], given: Mapping[str, str]) -> str:
    name, kind, rest = found["name"], found["kind"], found["rest"]
    if given.get(name):
        return given[name]
    if kind == "-":
        return rest
    raise KeyError(f"{COMPOSE.name} needs {name}: {rest}")
