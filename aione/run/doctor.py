"""``aione doctor``: every part of the running system looked at, each ok or what to do.

A check is a small coroutine that returns its findings; it has a time limit, and none hides another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from aione.errors import AioneError

CHECK_WITHIN_S: Final = 10.0


class Health(StrEnum):
    """How a part is; the worst of all decides the exit status."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one part.

    Attributes
    ----------
    part : str
        ``exchange``, ``redis``, ``stream`` ...
    health : Health
    text : str
        What was found, for a person.
    advice : str
        What to do; empty where all is well.
    facts : dict
        The same as plain values.
    """

    part: str
    health: Health
    text: str
    advice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


Check = Callable[[], Awaitable[Sequence[Finding]]]


async def examine(checks: dict[str, Check]) -> list[Finding]:
    """Run every check at once and return all findings, in the order of ``checks``."""
    found = await asyncio.gather(*(_one(part, check) for part, check in checks.items()))
    return [finding for findings in found for finding in findings]


async def _one(part: str, check: Check) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(CHECK_WITHIN_S):
            return await check()
    except TimeoutError:
        return [Finding(part, Health.FAIL, f"no answer within {CHECK_WITHIN_S:g} s", f"look at the log of {part}")]
    except (AioneError, OSError) as error:
        return [Finding(part, Health.FAIL, str(error) or repr(error), "start it, or correct its address")]
    except Exception as error:  # noqa: BLE001  # what stands there was written by others, and no part hides another
        text = f"what is there cannot be judged: {error!r}"
        return [Finding(part, Health.FAIL, text, "run one version of everything; if it stays so, report it")]


def as_text(findings: Sequence[Finding], *, is_coloured: bool) -> str:
    """Return the findings as aligned lines, and what to do below each that is not ok."""
    colours = {Health.OK: "32", Health.WARN: "33", Health.FAIL: "31"}
    width = max((len(finding.part) for finding in findings), default=0)
    lines = []
    for finding in findings:
        mark = finding.health.value.ljust(4)
        if is_coloured:
            mark = f"\x1b[{colours[finding.health]}m{mark}\x1b[0m"
        lines.append(f"{mark}  {finding.part.ljust(width)}  {finding.text}")
        if finding.advice and finding.health is not Health.OK:
            lines.append(f"{'':{width + 8}}→ {finding.advice}")
    return "\n".join(lines)


def as_facts(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings as plain values."""
    rows = [{"part": f.part, "health": f.health.value, "text": f.text, "advice": f.advice, **f.facts} for f in findings]
    return {"health": worst(findings).value, "at_ms": time.time_ns() // 1_000_000, "findings": rows}


def worst(findings: Sequence[Finding]) -> Health:
    """Return the worst health of all; ok where there are none."""
    order = [Health.OK, Health.WARN, Health.FAIL]
    return max((finding.health for finding in findings), key=order.index, default=Health.OK)


__all__ = ["Check", "Finding", "Health", "as_facts", "as_text", "examine", "worst"]
