"""The JSON Schema of the payload, made from its structs; ``python -m aione.publish.schema [PATH]`` writes it."""

from __future__ import annotations

import sys
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from aione.publish.payload import SCHEMA_VERSION, Delta, Snapshot

SCHEMA_PATH: Final = Path(__file__).resolve().parents[2] / "docs" / "payload.schema.json"


def payload_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of what is published: a snapshot or a delta.

    Every field that this version writes is required, also where its value may be null.
    """
    (choice,), components = msgspec.json.schema_components([Snapshot | Delta], ref_template="#/$defs/{name}")
    definitions = {name: _written(component) for name, component in sorted(components.items())}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "AiOne_t asset state",
        "description": "Content of asset_state_snapshot and of each asset_state_update: an LZ4 frame of this JSON.",
        "version": SCHEMA_VERSION,
        **choice,
        "$defs": definitions,
    }


def _written(component: dict[str, Any]) -> dict[str, Any]:
    """Require every property, since a publisher leaves none out; defaults are of no use to a reader."""
    properties = {
        name: {key: value for key, value in schema.items() if key != "default"}
        for name, schema in component.get("properties", {}).items()
    }
    described = {**component, "description": cleandoc(component.get("description", ""))}
    return {**described, "properties": properties, "required": list(properties)} if properties else described


def schema_bytes() -> bytes:
    """Return the schema as the file holds it."""
    return orjson.dumps(payload_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def main(arguments: list[str]) -> int:
    """Write the schema to the path in ``arguments``, or to `SCHEMA_PATH`."""
    (Path(arguments[0]) if arguments else SCHEMA_PATH).write_bytes(schema_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

__all__ = ["SCHEMA_PATH", "main", "payload_schema", "schema_bytes"]
