"""A file of rules as its author writes it, checked: every name, operator, value and bound."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from aione.thresholds.actions import ACTIONS
from aione.thresholds.metrics import METRICS
from config.base import Model, NotNegative, Positive

Operator = Literal[">", ">=", "<", "<=", "==", "!=", "between", "in"]
Policy = Literal["last", "first", "max", "min", "weighted"]


def _known(name: str, names: tuple[str, ...], what: str) -> str:
    if name in names:
        return name
    near = get_close_matches(name, names, n=3)
    raise ValueError(f"there is no {what} {name!r}" + (f"; near: {', '.join(near)}" if near else ""))


Metric = Annotated[
    str, AfterValidator(lambda name: _known(name, METRICS, "metric")), Field(json_schema_extra={"enum": [*METRICS]})
]
Key = Annotated[
    str, AfterValidator(lambda name: _known(name, (*ACTIONS,), "key")), Field(json_schema_extra={"enum": [*ACTIONS]})
]
Smoothing = Annotated[float, Field(gt=0.0, le=1.0)]


class Condition(Model):
    """One comparison of a metric; what is unknown satisfies none."""

    metric: Metric
    op: Operator
    value: float | list[float] = Field(description="A number; [low, high] for between, a list for in")

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


class Group(Model):
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


class Limits(Model):
    """How often a rule may be put in force, and for how long it stays."""

    min_interval_s: NotNegative = Field(0.0, description="least time between two applications")
    hold_s: NotNegative = Field(0.0, description="its actions stay in force for so long after an application")
    max_apply_per_window: int | None = Field(None, ge=1, description="most applications within window_s")
    window_s: Positive = 3600.0


def _within(actions: dict[str, float]) -> dict[str, float]:
    for name, value in actions.items():
        key = ACTIONS[name]
        if not key.least <= value <= key.most:
            edge = 0.0 if key.least < 1e-300 else float(f"{key.least:g}")
            least = f"{'at least' if edge == key.least else 'above'} {edge:g}"
            most = "" if key.most > 1e300 else f" and at most {key.most:g}"
            raise ValueError(f"{name} must be {least}{most}, was {value:g}")
    return actions


class Rule(Model):
    """One rule; of two that set the same key the later in order decides, unless the key is merged otherwise."""

    id: Annotated[str, Field(min_length=1, pattern=r"^[\w.\-]+$")]
    priority: int = Field(0, description="higher is asked first; equal ones by id")
    enabled: bool = True
    when: Annotated[Annotated[Condition, Tag("condition")] | Annotated[Group, Tag("group")], Discriminator(_shape)]
    actions: Annotated[dict[Key, float], Field(min_length=1), AfterValidator(_within)]
    tags: list[str] = Field(default_factory=list)
    regime: str | None = Field(None, description="of the regimes that match at most one is active")
    weight: Positive = Field(1.0, description="in keys that are merged as weighted")
    limits: Limits = Limits()


class RuleFile(Model):
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


TAGS: Final = frozenset({"condition", "group"})
"""Words that the checker puts into the place of an error and that stand in no file."""

__all__ = ["TAGS", "Condition", "Group", "Key", "Limits", "Metric", "Operator", "Policy", "Rule", "RuleFile"]
