"""A large value on its way from task to task."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Carried(Generic[T]):
    """Holds a value that Prefect must not look into.

    Prefect searches every argument of a task for results of other tasks, field by field; in the arrays, settings and
    contracts of a minute that takes longer than the work. This is one object without fields to search: the task that
    made it is still found, and so is the edge in the graph of the run.
    """

    __slots__ = ("__weakref__", "value")

    def __init__(self, value: T) -> None:
        self.value = value


__all__ = ["Carried"]
