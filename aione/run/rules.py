"""``aione rules``: are the files of rules right, and what do they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from aione.errors import RuleError
from aione.thresholds.book import LaidRule
from aione.thresholds.files import json_schema, parse_rules, read_text
from aione.thresholds.model import Condition, Rule
from aione.thresholds.run import SHIPPED
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at: files, their rules, and every error as one line."""

    files: tuple[str, ...]
    rules: tuple[LaidRule, ...]
    errors: tuple[str, ...]


def rules_directory(settings: Settings) -> Path:
    """Return where the rules in use are."""
    named = settings.STAGE2_CONFIG.dynamic.rules_dir
    return Path(named) if named else SHIPPED


def check_paths(paths: Sequence[Path], settings: Settings) -> Checked:
    """Read every file, and of each directory every ``threshold_rules*.yaml``; none means the rules in use."""
    files: list[Path] = []
    errors: list[str] = []
    for path in paths or [rules_directory(settings)]:
        found = sorted(path.glob("threshold_rules*.yaml")) if path.is_dir() else [path]
        if path.is_dir() and not found:
            errors.append(f"{path}: holds no threshold_rules*.yaml")
        files += found
    rules: list[LaidRule] = []
    for file in files:
        try:
            rules += [LaidRule(rule, file.name) for rule in _read(file)]
        except RuleError as error:
            errors += str(error).splitlines()
    return Checked(tuple(map(str, files)), tuple(rules), tuple(errors))


def _read(path: Path) -> list[Rule]:
    return parse_rules(read_text(path), str(path)).rules


# ── Forms ──


def as_text(found: Checked) -> str:
    """Return the errors, or else what the rules are, for a person."""
    if found.errors:
        return "\n".join([*found.errors, f"{_count(found.errors, 'error')} in {_count(found.files, 'file')}"])
    rows = [_facts(laid) for laid in found.rules]
    width = {
        key: max([len(key), *(len(str(row[key])) for row in rows)]) for key in ("file", "rule", "priority", "regime")
    }
    head = "  ".join(key.ljust(size) for key, size in width.items())
    lines = [f"{head}  when -> actions"] if rows else []
    for row in rows:
        cells = "  ".join(str(row[key]).ljust(size) for key, size in width.items())
        lines.append(f"{cells}  {', '.join(row['metrics'])} -> {', '.join(row['actions'])}")
    lines.append(f"{_count(rows, 'rule')} in {_count(found.files, 'file')}, no error")
    return "\n".join(lines)


def as_json(found: Checked) -> str:
    """Return the same as one JSON object."""
    facts = {"files": found.files, "rules": [_facts(laid) for laid in found.rules], "errors": found.errors}
    return orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode()


def schema_text() -> str:
    """Return the JSON Schema of a file of rules."""
    return orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _facts(laid: LaidRule) -> dict[str, Any]:
    rule = laid.rule
    when = [rule.when] if isinstance(rule.when, Condition) else [*rule.when.all, *rule.when.any]
    return {
        "file": laid.source,
        "rule": rule.id if rule.enabled else f"{rule.id} (off)",
        "priority": rule.priority,
        "regime": rule.regime or "",
        "metrics": [*Counter(condition.metric for condition in when)],
        "actions": [f"{key} {value:g}" for key, value in rule.actions.items()],
        "tags": rule.tags,
    }


def _count(things: Sequence[Any], name: str) -> str:
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")


__all__ = ["Checked", "as_json", "as_text", "check_paths", "rules_directory", "schema_text"]
