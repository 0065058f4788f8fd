"""Results of the engine as JSON and back: dataclasses of arrays, exactly, without pickle.

1. ``None``, booleans, whole numbers, texts and finite floats are themselves.
2. Everything else is an object ``{"!": kind, ...}``: a tuple, a mapping whose keys are no texts, an array (its bytes in
   base64), an enumeration's member, an instance of a class of this project.
3. An instance or an array that occurs a second time is a reference to the first.
4. Reading makes instances of classes of this project alone, of modules that are loaded already, with exactly the
   fields that those have: what another release has stored is refused, and a document from elsewhere can hold wrong
   numbers only.
"""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, Final

import msgspec
import numpy as np
import orjson
from pydantic import BaseModel

from aione.errors import InvalidInput

PACKAGES: Final = ("aione.", "config.")
"""Where classes may come from."""

_KIND: Final = "!"


def dump_object(value: Any) -> bytes:
    """Return JSON that `load_object` turns into an equal value.

    Raises
    ------
    InvalidInput
        A part that has no place in it, such as a function or an open connection; the message names its type.
    """
    try:
        return orjson.dumps(_Writer().plain(value))
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise InvalidInput(f"cannot be stored as JSON: {error}") from error


def load_object(data: bytes) -> Any:
    """Return what `dump_object` was given.

    Raises
    ------
    InvalidInput
        The data is not such a document, or of a release whose classes were others.
    """
    try:
        return _Reader().value(orjson.loads(data))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"expected an object that this release has stored: {error!r}") from error


class _Writer:
    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []

    def plain(self, value: Any) -> Any:
        """Return what stands for a value; see the module's numbered points."""
        kind = type(value)
        if value is None or kind in {bool, int, str}:
            return value
        if kind is float:
            return value if math.isfinite(value) else {_KIND: "float", "v": repr(value)}
        if kind is list:
            return [self.plain(one) for one in value]
        if kind is tuple:
            return {_KIND: "tuple", "v": [self.plain(one) for one in value]}
        if kind in {set, frozenset}:
            return {_KIND: kind.__name__, "v": [self.plain(one) for one in value]}
        if isinstance(value, Enum):
            return {_KIND: "enum", "c": _name(kind), "v": value.name}
        if isinstance(value, np.generic):
            return {_KIND: "number", "t": value.dtype.str, "v": base64.b64encode(value.tobytes()).decode()}
        if isinstance(value, Mapping) and not _is_ours(kind):
            return self._mapping(value)
        return self._shared(value)

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        if all(type(key) is str for key in value) and _KIND not in value:
            return {key: self.plain(one) for key, one in value.items()}
        pairs = [[self.plain(key), self.plain(one)] for key, one in value.items()]
        return {_KIND: "map", "v": pairs}

    def _shared(self, value: Any) -> Any:
        if (number := self._seen.get(id(value))) is not None:
            return {_KIND: "ref", "v": number}
        self._seen[id(value)] = len(self._kept)
        self._kept.append(value)  # an id is a name only while the object lives
        if isinstance(value, np.ndarray):
            return _array(value)
        name = _name(type(value))
        return {_KIND: "object", "c": name, "v": {field: self.plain(one) for field, one in _fields(value).items()}}


class _Reader:
    def __init__(self) -> None:
        self._kept: list[Any] = []

    def value(self, plain: Any) -> Any:
        if isinstance(plain, list):
            return [self.value(one) for one in plain]
        if not isinstance(plain, dict):
            return plain
        kind = plain.get(_KIND)
        if kind is None:
            return {key: self.value(one) for key, one in plain.items()}
        return getattr(self, f"_read_{kind}")(plain)

    def _read_float(self, plain: dict[str, Any]) -> float:
        return float(plain["v"])

    def _read_tuple(self, plain: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(self.value(one) for one in plain["v"])

    def _read_set(self, plain: dict[str, Any]) -> set[Any]:
        return {self.value(one) for one in plain["v"]}

    def _read_frozenset(self, plain: dict[str, Any]) -> frozenset[Any]:
        return frozenset(self._read_set(plain))

    def _read_map(self, plain: dict[str, Any]) -> dict[Any, Any]:
        return {self.value(key): self.value(one) for key, one in plain["v"]}

    def _read_enum(self, plain: dict[str, Any]) -> Any:
        return _class(plain["c"])[plain["v"]]

    def _read_number(self, plain: dict[str, Any]) -> Any:
        return np.frombuffer(base64.b64decode(plain["v"]), dtype=np.dtype(plain["t"]))[0]

    def _read_ref(self, plain: dict[str, Any]) -> Any:
        return self._kept[plain["v"]]

    def _read_array(self, plain: dict[str, Any]) -> Any:
        data = np.frombuffer(base64.b64decode(plain["v"]), dtype=np.dtype(plain["t"]))
        array = data.reshape(plain["s"]).copy()
        self._kept.append(array)
        return array

    def _read_object(self, plain: dict[str, Any]) -> Any:
        kind = _class(plain["c"])
        if (lacking := _names(kind) ^ plain["v"].keys()) and _names(kind):
            raise ValueError(f"{plain['c']} differs in {', '.join(sorted(lacking))}")
        if issubclass(kind, msgspec.Struct):
            return self._struct(kind, plain)
        made = object.__new__(kind)
        self._kept.append(made)
        values = {name: self.value(one) for name, one in plain["v"].items()}
        if issubclass(kind, BaseModel):
            return self._model(kind, made, values)
        for name, one in {**_remembered(kind), **values}.items():
            object.__setattr__(made, name, one)
        return made

    def _struct(self, kind: type[msgspec.Struct], plain: dict[str, Any]) -> Any:
        place = len(self._kept)
        self._kept.append(None)
        made = kind(**{name: self.value(one) for name, one in plain["v"].items()})
        self._kept[place] = made
        return made

    def _model(self, kind: type[BaseModel], made: Any, values: dict[str, Any]) -> Any:
        model = kind.model_construct(**values)
        for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
            object.__setattr__(made, name, getattr(model, name))
        return made


def _array(value: np.ndarray[Any, Any]) -> dict[str, Any]:
    if value.dtype.hasobject:
        raise InvalidInput("an array of Python objects cannot be stored as JSON")
    data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
    return {_KIND: "array", "t": value.dtype.str, "s": list(value.shape), "v": data}


def _fields(value: Any) -> dict[str, Any]:
    """Return what makes a value; what it only remembers, to be fast, is left out."""
    return {name: getattr(value, name) for name in _names(type(value)) or vars(value)}


def _names(kind: Any) -> set[str]:
    """Return the fields that make an instance; none where its class does not say."""
    if issubclass(kind, BaseModel):
        return set(kind.model_fields)
    if issubclass(kind, msgspec.Struct):
        return set(kind.__struct_fields__)
    if is_dataclass(kind):
        return {field.name for field in fields(kind) if field.init}
    return {name for name in getattr(kind, "__slots__", ()) if not name.startswith("__")}


def _remembered(kind: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that are not of its making, as they are at first."""
    left_out = [field for field in fields(kind) if not field.init] if is_dataclass(kind) else []
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory() for field in left_out
    }


def _is_ours(kind: type) -> bool:
    return f"{kind.__module__}.".startswith(PACKAGES)


def _name(kind: type) -> str:
    if not _is_ours(kind):
        raise InvalidInput(f"{kind.__module__}.{kind.__qualname__} cannot be stored as JSON")
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> Any:
    module, _, qualname = name.partition(":")
    if not f"{module}.".startswith(PACKAGES):
        raise ValueError(f"{name} is no class of this project")
    found: Any = sys.modules[module]
    for part in qualname.split("."):
        found = getattr(found, part)
    if not isinstance(found, type):
        raise TypeError(f"{name} is no class")
    return found


__all__ = ["dump_object", "load_object"]
