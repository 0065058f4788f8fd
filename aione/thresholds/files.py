"""From files to rules: names, YAML, every error with its place, and the JSON Schema for editors."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from aione.errors import RuleError
from aione.thresholds.model import TAGS, RuleFile

BASE: Final = "threshold_rules.yaml"
EXAMPLE: Final = "threshold_rules_example.yaml"
"""The layer of all symbols: your own where there is one, else the one that is shipped."""

_LAYER: Final = re.compile(r"threshold_rules_(?P<symbol>[^_]+?)(?:_(?P<timeframe>\d+[mhdw]))?\.yaml")


@dataclass(frozen=True, slots=True)
class FileName:
    """What a file's name says: ``symbol`` empty is every symbol, ``timeframe`` empty every one."""

    symbol: str = ""
    timeframe: str = ""

    @classmethod
    def of(cls, name: str) -> FileName | None:
        """Return what the name says; None for a file that is no layer of rules.

        Examples
        --------
        >>> FileName.of("threshold_rules_BTCUSDT_1m.yaml")
        FileName(symbol='BTCUSDT', timeframe='1m')
        """
        if name in {BASE, EXAMPLE}:
            return cls()
        found = _LAYER.fullmatch(name)
        return None if found is None else cls(found["symbol"], found["timeframe"] or "")


def read_sources(directory: Path) -> dict[str, str]:
    """Return the text of each layer in a directory by its name; of the two base layers your own alone.

    Raises
    ------
    RuleError
        The directory is missing, or a file cannot be read as UTF-8 text.
    """
    if not directory.is_dir():
        raise RuleError(f"{directory}: no such directory of threshold rules")
    sources = {}
    for path in sorted(directory.glob("threshold_rules*.yaml")):
        if FileName.of(path.name) is None:
            raise RuleError(f"{path}: expected {BASE}, threshold_rules_SYMBOL.yaml or threshold_rules_SYMBOL_1m.yaml")
        try:
            sources[path.name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RuleError(f"{path}: {error}") from error
    if BASE in sources:
        sources.pop(EXAMPLE, None)
    return sources


def parse_rules(text: str, source: str) -> RuleFile:
    """Return the rules of a file's text.

    Raises
    ------
    RuleError
        With a line for each error: file, rule, path in the file, what is wrong.
    """
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # a safe loader that refuses a key twice
    except yaml.YAMLError as error:
        raise RuleError(f"{source}: {' '.join(str(error).split())}") from error
    if content is None:
        return RuleFile()
    if not isinstance(content, dict):
        raise RuleError(f"{source}: expected a mapping with rules, was {type(content).__name__}")
    try:
        return RuleFile.model_validate(content)
    except ValidationError as error:
        raise RuleError("\n".join(_told(one, content, source) for one in error.errors())) from error


def _told(error: Mapping[str, Any], content: Mapping[str, Any], source: str) -> str:
    """Return an error as a line: file, rule, path, reason."""
    place = [part for part in error["loc"] if part not in TAGS and part != "[key]"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    rule = ""
    if len(place) > 1 and place[0] == "rules" and isinstance(place[1], int):
        named = content["rules"][place[1]]
        rule = f" rule {named.get('id', '?')}:" if isinstance(named, dict) else ""
    reason = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] not in {"value_error", "missing", "extra_forbidden"}:
        reason += f", was {error['input']!r}"
    return f"{source}:{rule} {path or 'the file'}: {reason}"


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
            seen.add(key)
        return super().construct_mapping(node, deep)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a rule file, for editors."""
    schema = RuleFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Threshold rules", **schema}


__all__ = ["BASE", "EXAMPLE", "FileName", "json_schema", "parse_rules", "read_sources"]
