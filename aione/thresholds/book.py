"""`RuleBook`: the layers of rules laid on one another, for every symbol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

import numpy as np

from aione.errors import RuleError
from aione.panel import B1, F8
from aione.thresholds.files import FileName, parse_rules
from aione.thresholds.model import Policy, Rule, RuleFile


@dataclass(frozen=True, slots=True)
class LaidRule:
    """A rule and the file that it stands in; ``key`` is its name among all files."""

    rule: Rule
    source: str

    @property
    def key(self) -> str:
        """Return what its counters are kept under: the same id in another file is another rule."""
        return f"{self.source}#{self.rule.id}"


@dataclass(frozen=True, slots=True)
class Profile:
    """The rules of some symbols in the order in which they are asked, and how their keys are decided."""

    rules: tuple[LaidRule, ...]
    merge: Mapping[str, Policy]
    smoothing: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of S symbols on a timeframe.

    Attributes
    ----------
    rules : tuple of (LaidRule, bool (S,))
        In the order in which they are asked, each with the symbols that it is for. The order is the same for every
        symbol, for an id stands once among the rules of one.
    merge : mapping action key -> tuple of (policy, bool (S,))
        Every symbol under one of the policies; a key that is not here is decided by the last.
    smoothing : mapping action key -> float64 (S,)
        Share of the way each bar; NaN is all of it.
    """

    rules: tuple[tuple[LaidRule, B1], ...]
    merge: Mapping[str, tuple[tuple[Policy, B1], ...]]
    smoothing: Mapping[str, F8]


class RuleBook:
    """Every layer of a directory.

    Parameters
    ----------
    files : mapping file name -> RuleFile

    Attributes
    ----------
    rules : tuple of LaidRule
        Every rule of every file, those that are not enabled too.
    digests : mapping rule key -> str
        What tells a rule from the same one edited.
    fingerprint : str
        What tells the book from any other.

    Notes
    -----
    The layers of a symbol, each upon the one before: the base, the symbol's, the symbol's of the timeframe. A rule
    with the same id below replaces the one above, as do the entries of ``merge`` and ``smoothing``.

    Examples
    --------
    >>> rule = "{id: loud, when: {metric: volume_z, op: '>', value: 4}, actions: {stage1.vwap_z: %s}}"
    >>> files = {"threshold_rules.yaml": 2.5, "threshold_rules_BTCUSDT.yaml": 3.0}
    >>> book = RuleBook.parse({name: f"rules: [{rule % value}]" for name, value in files.items()})
    >>> [laid.source for symbol in ("ETHUSDT", "BTCUSDT") for laid in book.profile(symbol, "1m").rules]
    ['threshold_rules.yaml', 'threshold_rules_BTCUSDT.yaml']
    """

    def __init__(self, files: Mapping[str, RuleFile]) -> None:
        self.files = dict(files)
        self.rules = tuple(LaidRule(rule, name) for name, file in self.files.items() for rule in file.rules)
        self.digests = {laid.key: sha256(laid.rule.model_dump_json().encode()).hexdigest()[:16] for laid in self.rules}
        told = "".join(f"{key}={digest};" for key, digest in self.digests.items())
        merged = "".join(file.model_dump_json(exclude={"rules"}) for file in self.files.values())
        self.fingerprint = sha256((told + merged).encode()).hexdigest()[:16]
        self._layers: dict[FileName, tuple[str, RuleFile]] = {}
        for name, file in files.items():
            place = FileName.of(name)
            if place is None:
                raise RuleError(f"{name}: no name of a layer of rules")
            self._layers[place] = (name, file)
        self._profiles: dict[tuple[FileName, ...], Profile] = {}
        self._plans: dict[str, tuple[tuple[str, ...], Plan]] = {}

    @classmethod
    def parse(cls, sources: Mapping[str, str]) -> RuleBook:
        """Return the book of the texts of its files; `RuleError` tells every error of every file."""
        return _parsed(tuple(sorted(sources.items())))

    def profile(self, symbol: str, timeframe: str) -> Profile:
        """Return the rules of a symbol; symbols without layers of their own share one object."""
        wanted = (FileName(), FileName(symbol), FileName(symbol, timeframe))
        places = tuple(place for place in wanted if place in self._layers)
        if places not in self._profiles:
            self._profiles[places] = self._laid(places)
        return self._profiles[places]

    def plan(self, symbols: tuple[str, ...], timeframe: str) -> Plan:
        """Return the rules of S symbols together; the last one of a timeframe is remembered."""
        known = self._plans.get(timeframe)
        if known is None or known[0] != symbols:
            known = (symbols, _planned([self.profile(symbol, timeframe) for symbol in symbols]))
            self._plans[timeframe] = known
        return known[1]

    def _laid(self, places: tuple[FileName, ...]) -> Profile:
        rules: dict[str, LaidRule] = {}
        merge: dict[str, Policy] = {}
        smoothing: dict[str, float] = {}
        for place in places:
            name, file = self._layers[place]
            rules |= {rule.id: LaidRule(rule, name) for rule in file.rules}
            merge |= file.merge
            smoothing |= file.smoothing
        enabled = (laid for laid in rules.values() if laid.rule.enabled)
        return Profile(tuple(sorted(enabled, key=_order)), merge, smoothing)


NO_RULES: Final = RuleBook({})


def _order(laid: LaidRule) -> tuple[int, str, str]:
    return (-laid.rule.priority, laid.rule.id, laid.source)


def _planned(profiles: list[Profile]) -> Plan:
    """Turn each symbol's rules into each rule's symbols."""
    size = len(profiles)
    numbers = np.array([id(profile) for profile in profiles], dtype=np.uint64)
    rules: dict[str, tuple[LaidRule, B1]] = {}
    merge: dict[str, dict[Policy, B1]] = {}
    smoothing: dict[str, F8] = {}
    distinct = {id(profile): profile for profile in profiles}.values()
    for profile in distinct:
        mine = numbers == id(profile)
        for laid in profile.rules:
            rules.setdefault(laid.key, (laid, np.zeros(size, dtype=np.bool_)))[1][mine] = True
        for key, alpha in profile.smoothing.items():
            smoothing.setdefault(key, np.full(size, np.nan))[mine] = alpha
        for key in {key for one in distinct for key in one.merge}:
            of_key = merge.setdefault(key, {})
            of_key.setdefault(profile.merge.get(key, "last"), np.zeros(size, dtype=np.bool_))[mine] = True
    in_order = tuple(sorted(rules.values(), key=lambda pair: _order(pair[0])))
    return Plan(in_order, {key: tuple(of_key.items()) for key, of_key in merge.items()}, smoothing)


@lru_cache(maxsize=4)
def _parsed(sources: tuple[tuple[str, str], ...]) -> RuleBook:
    files, errors = {}, []
    for name, text in sources:
        try:
            files[name] = parse_rules(text, name)
        except RuleError as error:
            errors.append(str(error))
    if errors:
        raise RuleError("\n".join(errors))
    return RuleBook(files)


__all__ = ["NO_RULES", "LaidRule", "Plan", "Profile", "RuleBook"]
