"""A file of rules as its author writes it, checked: every name, operator, value and bound."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from aione.thresholds.actions import ACTIONS
from aione.thresholds.metrics import METRICS
from config.base import Model

Operator = Literal[">", ">=", "<", "<=", "==", "!=", "between", "in"]
Policy = Literal["last", "first", "max", "min", "weighted"]
LONGEST_S: Final = 86_400
"""The longest that a limit of a rule may last."""


class Written(Model):
    """What a person writes: a number in quotes is no number, and ``yes`` is none either."""

    model_config = ConfigDict(strict=True)


def _known(name: str, names: tuple[str, ...], what: str) -> str:
    if name in names:
        return name
    near = get_close_matches(name, names, n=3)
    expected = f"near: {', '.join(near)}" if near else f"docs/threshold-rules.md lists the {len(names)} that there are"
    raise ValueError(f"there is no {what} {name!r}; {expected}")


Metric = Annotated[
    str, AfterValidator(lambda name: _known(name, METRICS, "metric")), Field(json_schema_extra={"enum": [*METRICS]})
]
Key = Annotated[
    str, AfterValidator(lambda name: _known(name, (*ACTIONS,), "key")), Field(json_schema_extra={"enum": [*ACTIONS]})
]
Smoothing = Annotated[float, Field(gt=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0, le=LONGEST_S)]
Value = Annotated[
    Annotated[float, Tag("number")] | Annotated[list[float], Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "number"),
]


class Condition(Written):
    """One comparison of a metric; what is unknown satisfies none."""

    metric: Metric
    op: Operator
    value: Value = Field(description="A number; [low, high] for between, both included; a list for in")

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        is_list = isinstance(self.value, list)
        if self.op == "between":
            if not (isinstance(self.value, list) and len(self.value) == 2 and self.value[0] <= self.value[1]):
                raise ValueError(f"between needs [low, high] with low <= high, was {self.value}")
        elif self.op == "in":
            if not (is_list and self.value):
                raise ValueError(f"in needs a list of at least one number, was {self.value}")
        elif is_list:
            raise ValueError(f"{self.op} needs one number, was {self.value}")
        return self


class Group(Written):
    """Conditions together: every one of ``all`` and, where there are any, at least one of ``any``."""

    all: list[Condition] = Field(default_factory=list)
    any: list[Condition] = Field(default_factory=list)

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not (self.all or self.any):
            raise ValueError("at least one condition is needed in all or any")
        return self


def _shape(value: Any) -> str:
    is_single = isinstance(value, Condition) or (isinstance(value, dict) and not value.keys() & {"all", "any"})
    return "condition" if is_single else "group"


class Limits(Written):
    """How often a rule may be put in force, and for how long it stays."""

    min_interval_s: Seconds = Field(0.0, description="least time between two applications")
    hold_s: Seconds = Field(0.0, description="its actions stay in force for so long after an application")
    max_apply_per_window: Annotated[int, Field(ge=1, le=1440)] | None = Field(
        None, description="most applications within window_s"
    )
    window_s: Annotated[float, Field(gt=0.0, le=LONGEST_S)] = 3600.0

    @model_validator(mode="after")
    def _window_is_of_something(self) -> Self:
        if "window_s" in self.model_fields_set and self.max_apply_per_window is None:
            raise ValueError("window_s limits nothing without max_apply_per_window")
        return self

    @property
    def are_set(self) -> bool:
        """Return whether there is any limit, so that applications have to be remembered."""
        return bool(self.min_interval_s or self.hold_s or self.max_apply_per_window)


def _within(actions: dict[str, float]) -> dict[str, float]:
    wrong = [
        f"{name} must be {ACTIONS[name].bounds}, was {value:g}"
        for name, value in actions.items()
        if not ACTIONS[name].least <= value <= ACTIONS[name].most
    ]
    if wrong:
        raise ValueError("; ".join(wrong))
    return actions


class Rule(Written):
    """One rule; of two that set the same key the later in order decides, unless the key is merged otherwise."""

    id: Annotated[str, Field(min_length=1, pattern=r"^[\w.\-]+$")]
    priority: int = Field(0, description="higher is asked first; equal ones by id")
    enabled: bool = True
    when: Annotated[Annotated[Condition, Tag("condition")] | Annotated[Group, Tag("group")], Discriminator(_shape)]
    actions: Annotated[dict[Key, float], Field(min_length=1), AfterValidator(_within)]
    tags: list[str] = Field(default_factory=list)
    regime: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="of the regimes that match at most one is active"
    )
    weight: Annotated[float, Field(gt=0.0)] = Field(1.0, description="in keys that are merged as weighted")
    limits: Limits = Limits()

    @field_validator("when", mode="before")
    @classmethod
    def _asks_something(cls, when: Any) -> Any:
        if when is None or when in ({}, []):
            raise ValueError("is empty: expected a condition {metric, op, value}, or all, or any")
        return when


class RuleFile(Written):
    """A file of rules."""

    rules: list[Rule] = Field(default_factory=list)
    merge: dict[Key, Policy] = Field({}, description="how a key is decided that several rules set; last by default")
    smoothing: dict[Key, Smoothing] = Field({}, description="share of the way to its target that a key goes each bar")

    @field_validator("rules")
    @classmethod
    def _ids_are_unique(cls, rules: list[Rule]) -> list[Rule]:
        seen: dict[str, int] = {}
        for at, rule in enumerate(rules):
            if rule.id in seen:
                raise ValueError(f"rules[{at}] has the id {rule.id!r} of rules[{seen[rule.id]}]")
            seen[rule.id] = at
        return rules


TAGS: Final = frozenset({"condition", "group", "number", "list"})
"""Words that the checker puts into the place of an error and that stand in no file."""

__all__ = [
    "LONGEST_S",
    "TAGS",
    "Condition",
    "Group",
    "Key",
    "Limits",
    "Metric",
    "Operator",
    "Policy",
    "Rule",
    "RuleFile",
]
