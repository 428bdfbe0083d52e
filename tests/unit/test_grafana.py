"""A dashboard that asks for what nobody emits stays empty, and such an alert never fires."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, ConfigDict

from shared.tasks import TASKS
from shared.telemetry import instruments
from shared.telemetry.service import use_service

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "dashboards" / "cato.json"
RULES: Final = ROOT / "deploy" / "prometheus" / "rules.yml"
SELECTOR: Final = re.compile(r"\b((?:cato|gen_ai)_[a-z_]+)(?:\{([^}]*)\})?")
GROUPING: Final = re.compile(r"\bby \(([^)]*)\)")


class Target(BaseModel):
    expr: str


class Step(BaseModel):
    value: float | None


class Thresholds(BaseModel):
    steps: list[Step]


class Defaults(BaseModel):
    thresholds: Thresholds = Thresholds(steps=[])


class FieldConfig(BaseModel):
    defaults: Defaults


class Panel(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: int
    title: str
    targets: list[Target]
    fieldConfig: FieldConfig

    def line(self) -> float | None:
        return next((s.value for s in self.fieldConfig.defaults.thresholds.steps if s.value), None)

    def kinds(self) -> set[str]:
        named = re.findall(r'cato_task_kind=~"([^"]*)"', self.targets[0].expr)
        return {kind for group in named for kind in group.split("|")}


def panels() -> list[Panel]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [Panel.model_validate(panel) for panel in dashboard["panels"]]


def rules() -> Iterator[str]:
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def expressions() -> list[str]:
    return [target.expr for panel in panels() for target in panel.targets] + list(rules())


@cache
def emitted() -> dict[str, frozenset[str]]:
    """Sample name -> labels, as Prometheus reads them off a process that used every instrument."""
    with use_service("tests"):
        for name, instrument in vars(instruments).items():
            labels = dict.fromkeys(instruments.LABELS.get(name, ()), "x")
            for verb in ("record", "add", "set"):
                getattr(instrument, verb, lambda *_: None)(1, labels)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return {name: frozenset(labels) for name, labels in found.items()}


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_and_label_asked_for_is_emitted(expression: str) -> None:
    without_rules = re.sub(r"\bcato:[a-z0-9_:]+", "", expression)
    selected = SELECTOR.findall(GROUPING.sub("", without_rules))

    assert {name for name, _ in selected} <= set(emitted())
    known = frozenset().union(*(emitted()[name] for name, _ in selected))
    asked = {
        *(label for _, filters in selected for label in re.findall(r"(\w+)[=!]", filters)),
        *(label.strip() for group in GROUPING.findall(without_rules) for label in group.split(",")),
    }
    assert asked <= known


def test_lines_are_drawn_where_the_catalogue_promises() -> None:
    drawn = {kind: panel.line() for panel in panels() if panel.line() for kind in panel.kinds()}

    promised = {name: task.promise.ttft_s or task.promise.e2e_s for name, task in TASKS.items()}
    assert drawn == {kind: limit_s for kind, limit_s in promised.items() if limit_s is not None}


def test_panels_can_be_told_apart() -> None:
    found = panels()

    assert len({panel.id for panel in found}) == len({panel.title for panel in found}) == len(found)
