"""Attainment is of the last minute, and of those who waited."""

from shared.domain.outcome import Outcome
from shared.telemetry.attainment import RecentPromises


def test_late_shed_and_failed_tasks_broke_their_promise() -> None:
    recent = RecentPromises()

    for outcome in (Outcome.COMPLETED, Outcome.LATE, Outcome.SHED, Outcome.FAILED):
        recent.ended("completion", outcome, now=10.0)

    assert recent.shares(now=11.0) == {"completion": 0.25}


def test_who_left_says_nothing_about_promises() -> None:
    recent = RecentPromises()

    recent.ended("chat", Outcome.COMPLETED, now=10.0)
    recent.ended("chat", Outcome.CANCELLED, now=10.0)
    recent.ended("completion", Outcome.SUPERSEDED, now=10.0)

    assert recent.shares(now=10.0) == {"chat": 1.0}


def test_what_happened_before_the_window_is_forgotten() -> None:
    recent = RecentPromises(window_s=60.0)

    recent.ended("chat", Outcome.LATE, now=0.0)
    recent.ended("chat", Outcome.COMPLETED, now=50.0)

    assert recent.shares(now=61.0) == {"chat": 1.0}
    assert recent.shares(now=200.0) == {}
    assert recent.rates(now=200.0) == {"chat": 0.0}


def test_goodput_counts_kept_promises_a_second() -> None:
    recent = RecentPromises(window_s=60.0)

    for number in range(120):
        recent.ended("chat", Outcome.COMPLETED if number % 2 else Outcome.LATE, now=number / 2)

    assert recent.rates(now=60.0) == {"chat": 1.0}
