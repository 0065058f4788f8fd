"""Types that refuse what they do not know, made from those that ignore it."""

from __future__ import annotations

from functools import reduce
from operator import or_
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec


def strict_type(kind: Any) -> Any:
    """Return a type that is as ``kind``, but whose structs refuse fields that they do not know.

    A reader must ignore what a newer version added; who builds an asset must not lose what the engine said.
    """
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields: list[Any] = [
            (field.name, strict_type(field.type), *(() if field.required else (None,)))
            for field in msgspec.structs.fields(kind)
        ]
        return msgspec.defstruct(kind.__name__, fields, forbid_unknown_fields=True, kw_only=True, gc=False)
    if get_origin(kind) in {Union, UnionType}:
        return reduce(or_, (strict_type(part) for part in get_args(kind)))
    if get_origin(kind) in {list, dict}:
        return get_origin(kind)[tuple(strict_type(part) for part in get_args(kind))]
    return kind


__all__ = ["strict_type"]
