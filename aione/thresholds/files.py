"""From files to rules: their names, their text, YAML, and the JSON Schema for editors."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from aione.errors import RuleError
from aione.thresholds.mistakes import told
from aione.thresholds.model import RuleFile

BASE: Final = "threshold_rules.yaml"
EXAMPLE: Final = "threshold_rules_example.yaml"
"""The layer of all symbols: your own where there is one, else the one that is shipped."""

_LAYER: Final = re.compile(r"threshold_rules_(?P<symbol>[^_]+?)(?:_(?P<timeframe>\d+[mhdw]))?\.yaml")
_RESERVED: Final = re.compile(r"\bop:\s*[>!=|&*%@]")
NAMES: Final = f"{BASE} or {EXAMPLE}, threshold_rules_BTCUSDT.yaml, threshold_rules_BTCUSDT_1m.yaml"
"""What a file of rules may be called, by example."""


@dataclass(frozen=True, slots=True)
class FileName:
    """What a file's name says: ``symbol`` empty is every symbol, ``timeframe`` empty every one."""

    symbol: str = ""
    timeframe: str = ""

    @classmethod
    def of(cls, name: str) -> FileName | None:
        """Return what the name says; None for a file that is no layer of rules.

        A symbol is written as the exchange writes it, in capitals: another one would never be met.

        Examples
        --------
        >>> FileName.of("threshold_rules_BTCUSDT_1m.yaml")
        FileName(symbol='BTCUSDT', timeframe='1m')
        """
        if name in {BASE, EXAMPLE}:
            return cls()
        found = _LAYER.fullmatch(name)
        if found is None or found["symbol"] != found["symbol"].upper():
            return None
        return cls(found["symbol"], found["timeframe"] or "")


def read_sources(directory: Path) -> dict[str, str]:
    """Return the text of each layer in a directory by its name; of the two base layers your own alone.

    Raises
    ------
    RuleError
        The directory is missing; or, a line for each, a file's name is none of a layer, a file cannot be read.
    """
    if not directory.is_dir():
        raise RuleError(f"{directory}: no such directory of threshold rules")
    sources, errors = {}, []
    for path in sorted(directory.glob("threshold_rules*.yaml")):
        try:
            sources[path.name] = read_text(path)
        except RuleError as error:
            errors.append(str(error))
    if errors:
        raise RuleError("\n".join(errors))
    if BASE in sources:
        sources.pop(EXAMPLE, None)
    return sources


def read_text(path: Path) -> str:
    """Return the text of a file of rules; `RuleError` for a wrong name, or a file that cannot be read as UTF-8."""
    if FileName.of(path.name) is None:
        raise RuleError(f"{path}: the name tells whom the rules are for, expected one like {NAMES}")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"{path}: {error}") from error


def parse_rules(text: str, source: str) -> RuleFile:
    """Return the rules of a file's text.

    Raises
    ------
    RuleError
        With a line for each error: file, rule, path in the file, what is wrong.

    Examples
    --------
    >>> parse_rules("rules: [{id: loud, when: {metric: volum_z, op: '>', value: 4}, actions: {stage1.vwap_z: 3}}]", "f")
    Traceback (most recent call last):
    aione.errors.RuleError: f: rule loud: rules[0].when.metric: there is no metric 'volum_z'; near: volume_z, ...
    """
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # a safe loader that refuses a key twice
    except yaml.YAMLError as error:
        raise RuleError(f"{source}: {_no_yaml(error, text)}") from error
    if not text.strip():
        # Who saves in two steps leaves an empty file for a moment: that is not the wish to have no rules.
        raise RuleError(f"{source}: the file is empty; `rules: []` says that there are none")
    if content is None:
        return RuleFile()
    if not isinstance(content, dict):
        raise RuleError(f"{source}: expected a mapping with rules, was {type(content).__name__}")
    try:
        return RuleFile.model_validate(content)
    except ValidationError as error:
        raise RuleError("\n".join(told(one, content, source) for one in error.errors())) from error


def _no_yaml(error: yaml.YAMLError, text: str) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    what = " ".join(filter(None, (getattr(error, "context", None), getattr(error, "problem", None))))
    hint = '; YAML keeps some signs for itself, write op: ">="' if _RESERVED.search(line) else ""
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}{hint}"


class _StrictLoader(yaml.SafeLoader):
    """A key that stands twice in a mapping is an error: one of the two would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file of rules, for editors."""
    schema = RuleFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Threshold rules"}


__all__ = ["BASE", "EXAMPLE", "NAMES", "FileName", "json_schema", "parse_rules", "read_sources", "read_text"]
