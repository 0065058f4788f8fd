"""The rules again, one symbol and one rule at a time, written from their description and not from the code."""

from __future__ import annotations

import math

OPS = {
    ">": lambda x, v: x > v,
    ">=": lambda x, v: x >= v,
    "<": lambda x, v: x < v,
    "<=": lambda x, v: x <= v,
    "==": lambda x, v: x == v,
    "!=": lambda x, v: x != v,
    "between": lambda x, v: v[0] <= x <= v[1],
    "in": lambda x, v: x in v,
}


def true(condition, values):
    x = values[condition["metric"]]
    return not math.isnan(x) and OPS[condition["op"]](x, condition["value"])


def matches(when, values):
    if "metric" in when:
        return true(when, values)
    has_all = all(true(one, values) for one in when.get("all", []))
    return has_all and (not when.get("any") or any(true(one, values) for one in when["any"]))


def laid(*files):
    """Return the rules and the sections of a symbol whose layers are these contents, the weakest first."""
    rules, merge, smoothing = {}, {}, {}
    for content in files:
        for rule in content.get("rules", []):
            rules[rule["id"]] = rule
        merge.update(content.get("merge", {}))
        smoothing.update(content.get("smoothing", {}))
    return [rule for rule in rules.values() if rule.get("enabled", True)], merge, smoothing


class Reference:
    """Rules of one symbol."""

    def __init__(self, rules, merge, smoothing=None, base=1.0):
        self.rules = sorted(rules, key=lambda rule: (-rule.get("priority", 0), rule["id"]))
        self.merge, self.smoothing, self.base = merge, smoothing or {}, base
        self.applied = {rule["id"]: [] for rule in rules}
        self.at = {}

    def smoothed_bar(self, values, now_s):
        """Return key -> value in force on a bar, after smoothing."""
        said = {key: value for key, (value, _) in self.bar(values, now_s).items()}
        for key, alpha in self.smoothing.items():
            start = self.at.get(key, self.base)
            now = start + alpha * (said.get(key, self.base) - start)
            if key not in said and (key not in self.at or abs(now - self.base) <= 1e-3 * self.base):
                self.at.pop(key, None)
            else:
                self.at[key] = said[key] = now
        return said

    def bar(self, values, now_s):
        """Return key -> (value, rule id) in force on a bar."""
        match = {rule["id"]: matches(rule["when"], values) for rule in self.rules}
        held = {rule["id"]: self.is_held(rule, now_s) for rule in self.rules}
        regime = next(
            (rule["regime"] for rule in self.rules if rule.get("regime") and (match[rule["id"]] or held[rule["id"]])),
            None,
        )
        voices = {}
        for rule in self.rules:
            name = rule["id"]
            may = not rule.get("regime") or rule["regime"] == regime
            is_applied = match[name] and may and self.is_free(rule, now_s)
            if is_applied:
                self.applied[name].append(now_s)
            if is_applied or (held[name] and may):
                for key, value in rule["actions"].items():
                    voices.setdefault(key, []).append((value, name, rule.get("weight", 1.0)))
        return {key: self.decided(self.merge.get(key, "last"), said) for key, said in voices.items()}

    def is_held(self, rule, now_s):
        hold = rule.get("limits", {}).get("hold_s", 0)
        return bool(self.applied[rule["id"]]) and now_s < self.applied[rule["id"]][-1] + hold

    def is_free(self, rule, now_s):
        limits, past = rule.get("limits", {}), self.applied[rule["id"]]
        if past and now_s - past[-1] < limits.get("min_interval_s", 0):
            return False
        most, window = limits.get("max_apply_per_window"), limits.get("window_s", 3600)
        return most is None or len([at for at in past if now_s - at < window]) < most

    @staticmethod
    def decided(policy, said):
        if policy == "first":
            return said[0][:2]
        if policy in {"max", "min"}:
            best = (max if policy == "max" else min)(value for value, _, _ in said)
            return [one for one in said if one[0] == best][-1][:2]
        if policy == "weighted":
            heaviest = max(weight for _, _, weight in said)
            mean = sum(value * weight for value, _, weight in said) / sum(weight for _, _, weight in said)
            return mean, [one for one in said if one[2] == heaviest][-1][1]
        return said[-1][:2]
