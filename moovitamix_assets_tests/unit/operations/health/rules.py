"""The alert rules applied to what the exporter emits, as far as comparisons joined by `or` go.

The rest of PromQL is for promtool, see `deploy/alert_rules_test.yml`. No assertion belongs here.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import yaml
from prometheus_client import Metric

RULES = {
    rule["alert"]: rule
    for group in yaml.safe_load((Path(__file__).parents[4] / "deploy" / "alert_rules.yml").read_text())[
        "groups"
    ]
    for rule in group["rules"]
}

_COMPARED = {">": operator.gt, "<": operator.lt, "==": operator.eq}
_TERM = re.compile(
    r"(?P<age>time\(\) - )?(?P<metric>moovitamix_\w+)(?:\{(?P<labels>[^}]*)\})?"
    r" (?P<compared>[<>]|==) (?P<limit>[\d.e* ]+)"
)
_LABEL = re.compile(r'(\w+)(=~?)"([^"]*)"')


@dataclass(frozen=True)
class Selector:
    """A metric as a rule selects it.

    Attributes:
        metric: With the prefix.
        labels: A regular expression that the whole value has to match, by the label.
    """

    metric: str
    labels: Mapping[str, str]

    @classmethod
    def of(cls, metric: str, text: str | None) -> "Selector":
        labels = _LABEL.findall(text or "")
        return cls(metric, {name: value if how == "=~" else re.escape(value) for name, how, value in labels})

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(re.fullmatch(value, labels.get(name, "")) for name, value in self.labels.items())


def selectors(alert: str) -> Iterator[Selector]:
    """Every metric that the expression of an alert names."""
    for metric, _, labels in re.findall(r"(moovitamix_\w+)(\{([^}]*)\})?", RULES[alert]["expr"]):
        yield Selector.of(metric, labels)


def firing(alert: str, families: list[Metric], at: float) -> list[dict[str, str]]:
    """The labels of the samples for which an alert's expression is true at a moment (Unix time).

    Raises:
        ValueError: If the expression is more than comparisons joined by `or`.
    """
    found = []
    for term in RULES[alert]["expr"].split(" or "):
        match = _TERM.fullmatch(" ".join(term.split()))
        if match is None:
            raise ValueError(f"{alert}: {term!r} is for promtool.")
        selected = Selector.of(match["metric"], match["labels"])
        compared: Callable[[float, float], bool] = _COMPARED[match["compared"]]
        limit = prod(map(float, match["limit"].split("*")))
        found += [
            dict(sample.labels)
            for family in families
            for sample in family.samples
            if sample.name == selected.metric
            and selected.selects(sample.labels)
            and compared(at - sample.value if match["age"] else sample.value, limit)
        ]
    return found
