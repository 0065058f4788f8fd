"""`RuleBook`: the layers of rules laid on one another, for every symbol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aione.errors import RuleError
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


class RuleBook:
    """Every layer of a directory.

    Parameters
    ----------
    files : mapping file name -> RuleFile

    Notes
    -----
    The layers of a symbol, each upon the one before: the base, the symbol's, the symbol's of the timeframe. A rule
    with the same id below replaces the one above, as do the entries of ``merge`` and ``smoothing``.
    """

    def __init__(self, files: Mapping[str, RuleFile]) -> None:
        self.files = dict(files)
        self._layers: dict[FileName, tuple[str, RuleFile]] = {}
        for name, file in files.items():
            place = FileName.of(name)
            if place is None:
                raise RuleError(f"{name}: no name of a layer of rules")
            self._layers[place] = (name, file)
        self._profiles: dict[tuple[FileName, ...], Profile] = {}

    @classmethod
    def parse(cls, sources: Mapping[str, str]) -> RuleBook:
        """Return the book of the texts of its files; `RuleError` tells every error of every file."""
        return _parsed(tuple(sorted(sources.items())))

    @property
    def rules(self) -> tuple[LaidRule, ...]:
        """Return every rule of every file."""
        return tuple(LaidRule(rule, name) for name, file in self.files.items() for rule in file.rules)

    def profile(self, symbol: str, timeframe: str) -> Profile:
        """Return the rules of a symbol; symbols without layers of their own share one object."""
        wanted = (FileName(), FileName(symbol), FileName(symbol, timeframe))
        places = tuple(place for place in wanted if place in self._layers)
        if places not in self._profiles:
            self._profiles[places] = self._laid(places)
        return self._profiles[places]

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
        return Profile(tuple(sorted(enabled, key=lambda laid: (-laid.rule.priority, laid.rule.id))), merge, smoothing)


NO_RULES: Final = RuleBook({})


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


__all__ = ["NO_RULES", "LaidRule", "Profile", "RuleBook"]
