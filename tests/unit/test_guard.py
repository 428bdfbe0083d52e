"""What a policy or a prediction could not answer is seen by those who watch the house."""

import logging
import math
from dataclasses import replace

import pytest
from prometheus_client import generate_latest

from services.scheduler.measures import Measures
from shared.telemetry.service import use_service
from tests.builders import COST, a_backlog, a_task


def test_every_fallback_is_counted_by_the_question_and_the_latest_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backlog = a_backlog(policy="least_slack")
    believed = replace(COST.profile.step_time, base_s=math.nan)
    backlog.cost = replace(COST, profile=replace(COST.profile, step_time=believed))
    backlog.add(a_task("mad", e2e_s=5))

    with use_service("tests"), caplog.at_level(logging.WARNING):
        Measures(model="cato-demo").stepped(0.001, backlog.guard)
        exposed = generate_latest().decode()

    assert 'cato_scheduler_fallbacks_total{cato_reason="rank"} 1.0' in exposed
    assert 'cato_scheduler_fallbacks_total{cato_reason="cost"} 1.0' in exposed
    assert [record.getMessage() for record in caplog.records] == ["planned by earliest deadline"]


def test_where_all_is_well_nothing_is_counted() -> None:
    backlog = a_backlog(a_task(ttft_s=1), policy="cato")

    assert backlog.guard.take_lapses() == {}
