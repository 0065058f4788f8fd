"""Reading `automations.yaml`: placeholders filled in, every mistake named by file, automation and field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from prefect.events.schemas.automations import AutomationCore
from prefect.server.events.schemas.automations import AutomationCreate
from pydantic import ValidationError

from aione.errors import ConfigError

FILE: Final = Path(__file__).with_name("automations.yaml")
PREFIX: Final = "aione: "
"""Begins the name of every automation that is ours; those of other names are never touched."""
FREE: Final = frozenset({"match", "match_related", "parameters", "job_variables"})
"""Fields whose keys are not Prefect's."""
_PLACEHOLDER: Final = re.compile(r"\$\{([^}]*)\}")

Resolve = Callable[[str], Any]
"""Returns what stands for a placeholder; `LookupError` for one that there is not."""


def read_automations(resolve: Resolve, path: Path = FILE) -> list[AutomationCore]:
    """Return the automations of a file, in its order.

    Raises
    ------
    ConfigError
        The file, a name, a field or a placeholder is wrong; all of them are told, a line each.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path.name}: {' '.join(str(error).split())}") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{path.name}: expected a list of automations")
    found: list[AutomationCore] = []
    mistakes: list[str] = []
    for number, entry in enumerate(entries, start=1):
        name = entry.get("name") or f"number {number}"
        mistakes += [f"{path.name}: {name}: {mistake}" for mistake in _take(entry, resolve, found)]
    names = [automation.name for automation in found]
    mistakes += [
        f"{path.name}: {name}: stands there twice" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return found


def _take(entry: dict[str, Any], resolve: Resolve, found: list[AutomationCore]) -> Iterator[str]:
    """Add an entry to what was found, and yield what is wrong with it."""
    if not str(entry.get("name", "")).startswith(PREFIX):
        yield f"name: must begin with {PREFIX!r}"
    missing: list[str] = []
    filled = _fill(entry, resolve, missing)
    if missing:
        yield from missing
        return
    try:
        AutomationCreate.model_validate(filled)  # the server's own form, which looks at the templates too
        automation = AutomationCore.model_validate(filled)
    except ValidationError as error:
        yield from (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False))
        return
    yield from _unknown(filled, automation.model_dump(mode="json"))
    found.append(automation)


def _fill(value: Any, resolve: Resolve, missing: list[str], where: str = "") -> Any:
    """Return a value with its placeholders filled in; one that stands alone keeps its type."""
    if isinstance(value, dict):
        return {key: _fill(one, resolve, missing, f"{where}.{key}".lstrip(".")) for key, one in value.items()}
    if isinstance(value, list):
        return [_fill(one, resolve, missing, f"{where}.{number}") for number, one in enumerate(value)]
    if not isinstance(value, str):
        return value

    def filled(name: str) -> Any:
        try:
            return resolve(name)
        except LookupError as error:
            missing.append(f"{where}: ${{{name}}}: {error.args[0]}")
            return ""

    alone = _PLACEHOLDER.fullmatch(value)
    if alone:
        return filled(alone[1])
    return _PLACEHOLDER.sub(lambda match: str(filled(match[1])), value)


def _unknown(given: Any, known: Any, where: str = "") -> Iterator[str]:
    """Yield the fields that Prefect does not know, which it would pass over in silence."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            if key not in known:
                yield f"{where}{key}: Prefect has no such field"
            elif key not in FREE:
                yield from _unknown(value, known[key], f"{where}{key}.")
    elif isinstance(given, list) and isinstance(known, list):
        for number, (one, other) in enumerate(zip(given, known, strict=False)):
            yield from _unknown(one, other, f"{where}{number}.")


__all__ = ["FILE", "PREFIX", "read_automations"]
