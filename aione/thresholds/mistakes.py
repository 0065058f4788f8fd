"""What is wrong with a file of rules, in words that name the place and what was expected there."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from aione.thresholds.model import TAGS, Condition, Group, Limits, Rule, RuleFile
from config.base import Model

_IN_WORDS: Final = {
    "missing": "is missing",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "list_type": "expected a list",
    "too_short": "expected at least one",
    "string_pattern_mismatch": "expected letters, digits, dots, dashes and underscores",
}
_NO_VALUE: Final = frozenset({"value_error", "missing", "extra_forbidden", "too_short"})


def told(error: Mapping[str, Any], content: Mapping[str, Any], source: str) -> str:
    """Return an error of validation as a line: file, rule, path in the file, reason.

    Parameters
    ----------
    error : mapping
        One of pydantic's: ``type``, ``loc``, ``msg``, ``input``.
    content : mapping
        The whole file, in which the rule's id is looked up.
    source : str
        Name of the file.
    """
    place = [part for part in error["loc"] if part not in TAGS and part != "[key]"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    rule = ""
    if len(place) > 1 and place[0] == "rules" and isinstance(place[1], int):
        written = content["rules"][place[1]]
        rule = f" rule {written.get('id', '?')}:" if isinstance(written, dict) else ""
    return f"{source}:{rule} {path or 'the file'}: {_reason(error)}"


def _reason(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        *parents, name = error["loc"]
        names = [*_model_at(parents).model_fields]
        near = get_close_matches(str(name), names, n=1)
        return "there is no such key" + (f"; near: {near[0]}" if near else f", expected one of {', '.join(names)}")
    reason = _IN_WORDS.get(error["type"], str(error["msg"]).removeprefix("Value error, "))
    return reason if error["type"] in _NO_VALUE else f"{reason}, was {error['input']!r}"


def _model_at(place: list[Any]) -> type[Model]:
    """Return what should stand at a place in the file."""
    words = [part for part in place if isinstance(part, str)]
    if not words:
        return RuleFile
    known: dict[str, type[Model]] = {"rules": Rule, "limits": Limits, "group": Group}
    return known.get(words[-1], Condition)


__all__ = ["told"]
