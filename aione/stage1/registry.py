"""Which triggers there are and which of them are on: one module a trigger, third parties by entry point.

A built-in trigger is the module ``aione.stage1.triggers.<name>`` of a canonical name in ``TRIGGER_NAME_MAP``; a third
party's is an entry point of the group ``aione.triggers``, its name the trigger's, its object an
``evaluate(inputs) -> TriggerResult`` or a module that has one. A third party's trigger that cannot be loaded is
reported by its name and the run goes on without it; a built-in one that cannot be loaded stops the run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, Final

from aione.errors import ConfigError
from aione.stage1.inputs import Trigger
from config.settings import Settings

PACKAGE: Final = "aione.stage1.triggers"
ENTRY_POINT_GROUP: Final = "aione.triggers"


@dataclass(frozen=True, slots=True)
class TriggerSet:
    """The triggers of a run.

    Attributes
    ----------
    active : mapping canonical name -> trigger
        Those that are on, in alphabetical order.
    weights : mapping canonical name -> float in [0, 1]
        Weight of each active trigger in the evidence.
    foreign : frozenset of str
        The active ones that come from a third party.
    failures : mapping name -> str
        Third parties' triggers that could not be loaded, and why.
    """

    active: Mapping[str, Trigger]
    weights: Mapping[str, float]
    foreign: frozenset[str]
    failures: Mapping[str, str]


def select_triggers(settings: Settings, third_party: Mapping[str, EntryPoint] | None = None) -> TriggerSet:
    """Return the triggers that the settings leave on, with their weights.

    Parameters
    ----------
    settings : Settings
        Reads ``TRIGGER_NAME_MAP``, ``STAGE2_CONFIG.switches.triggers`` (a trigger is off as soon as one of its names
        is off; absent is on) and ``STAGE1_MONITOR_PARAMS.trigger_weights`` (absent takes
        ``default_trigger_weight``; an alias overrides the canonical name, which the defaults hold).
    third_party : mapping name -> entry point, optional
        Defaults to what is installed (`installed_triggers`); that choice is remembered for the settings object.

    Raises
    ------
    ConfigError
        A switch, a weight or the name map names a trigger that does not exist.
    """
    if third_party is None:
        third_party = installed_triggers()
        for known, installed, chosen in tuple(_chosen_before):
            if known is settings and installed is third_party:
                return chosen
        chosen = select_triggers(settings, third_party)
        _chosen_before.append((settings, third_party, chosen))
        return chosen
    names = settings.TRIGGER_NAME_MAP
    canonical = sorted({*names.values(), *third_party})
    params = settings.STAGE1_MONITOR_PARAMS
    switches = _by_canonical(settings.STAGE2_CONFIG.switches.triggers, names, canonical, "switches.triggers")
    weights = _by_canonical(params.trigger_weights, names, canonical, "trigger_weights")
    active: dict[str, Trigger] = {}
    failures: dict[str, str] = {}
    for name in canonical:
        if not all(switches.get(name, [True])):
            continue
        if _is_builtin(name):
            active[name] = _builtin(name)
            if name in third_party:
                failures[name] = f"{third_party[name].value}: the name is a built-in trigger's, which was used"
        elif name in third_party:
            _load_foreign(name, third_party[name], active, failures)
        else:
            raise ConfigError(f"TRIGGER_NAME_MAP: {name} is neither a module of {PACKAGE} nor an entry point")
    used = {name: float(weights.get(name, [params.default_trigger_weight])[-1]) for name in active}
    foreign = frozenset(name for name in active if not _is_builtin(name))
    return TriggerSet(active, used, foreign, failures)


_chosen_before: Final[deque[tuple[Settings, Mapping[str, EntryPoint], TriggerSet]]] = deque(maxlen=8)


def canonical_name(name: str, settings: Settings) -> str:
    """Return the canonical name of a trigger that a profile or a person may call otherwise.

    Raises
    ------
    ConfigError
        There is no trigger of this name.

    Examples
    --------
    >>> from config.settings import load_settings
    >>> canonical_name("volatility_spike", load_settings(environ={}))
    'volatility_burst'
    """
    if name in settings.TRIGGER_NAME_MAP:
        return settings.TRIGGER_NAME_MAP[name]
    if name in installed_triggers():
        return name
    raise ConfigError(f"there is no trigger {name}, expected one of {', '.join(sorted(settings.TRIGGER_NAME_MAP))}")


@lru_cache(maxsize=1)
def installed_triggers() -> Mapping[str, EntryPoint]:
    """Return the entry points of the group ``aione.triggers``; looked up once a process."""
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def _by_canonical(
    wanted: Mapping[str, Any], names: Mapping[str, str], canonical: list[str], where: str
) -> dict[str, list[Any]]:
    """Return canonical name -> what its names were given, that of the canonical name first."""
    found: dict[str, list[Any]] = {}
    for name in sorted(wanted, key=lambda key: (key in names and names[key] != key, key)):
        resolved = names.get(name, name)
        if resolved not in canonical:
            raise ConfigError(f"{where}: unknown trigger {name}, expected one of {', '.join(canonical)}")
        found.setdefault(resolved, []).append(wanted[name])
    return found


@lru_cache(maxsize=256)
def _is_builtin(name: str) -> bool:
    return name.isidentifier() and not name.startswith("_") and find_spec(f"{PACKAGE}.{name}") is not None


@lru_cache(maxsize=256)
def _builtin(name: str) -> Trigger:
    evaluate: Trigger = import_module(f"{PACKAGE}.{name}").evaluate
    return evaluate


def _load_foreign(name: str, point: EntryPoint, active: dict[str, Trigger], failures: dict[str, str]) -> None:
    try:
        loaded = point.load()
    except Exception as error:  # noqa: BLE001 - someone else's package may raise anything while it is imported
        failures[name] = f"{point.value} cannot be loaded: {type(error).__name__}: {error}"
        return
    evaluate = getattr(loaded, "evaluate", loaded)
    if callable(evaluate):
        active[name] = evaluate
    else:
        failures[name] = f"{point.value} must be a function or a module with evaluate, was {type(loaded).__name__}"


__all__ = ["ENTRY_POINT_GROUP", "PACKAGE", "TriggerSet", "canonical_name", "installed_triggers", "select_triggers"]
