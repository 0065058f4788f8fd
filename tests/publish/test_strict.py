"""The strict twin of a type refuses what the type ignores, however deep, and takes everything else alike."""

from __future__ import annotations

import msgspec
import pytest

from aione.publish.strict import strict_type


class Inner(msgspec.Struct):
    name: str
    value: float | None = None


class Outer(msgspec.Struct):
    one: Inner | None = None
    many: list[Inner] = []
    named: dict[str, Inner] = {}
    word: str | float | None = None


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"one": None},
        {"one": {"name": "a"}, "word": 1.5},
        {"many": [{"name": "a", "value": None}], "named": {"x": {"name": "b", "value": 2.0}}, "word": "w"},
    ],
)
def test_it_takes_what_the_type_takes(content) -> None:
    kept = msgspec.convert(content, strict_type(Outer))
    for name, value in content.items():
        assert msgspec.to_builtins(getattr(kept, name)) == msgspec.to_builtins(
            getattr(msgspec.convert(content, Outer), name)
        )
        assert value is None or getattr(kept, name) is not None


@pytest.mark.parametrize(
    "content",
    [
        {"mood": 1},
        {"one": {"name": "a", "mood": 1}},
        {"many": [{"name": "a"}, {"name": "b", "mood": 1}]},
        {"named": {"x": {"name": "b", "mood": 1}}},
    ],
)
def test_it_refuses_what_the_type_ignores(content) -> None:
    msgspec.convert(content, Outer)
    with pytest.raises(msgspec.ValidationError, match="mood"):
        msgspec.convert(content, strict_type(Outer))


def test_what_is_required_stays_required() -> None:
    with pytest.raises(msgspec.ValidationError, match="name"):
        msgspec.convert({"one": {}}, strict_type(Outer))
