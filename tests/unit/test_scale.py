"""Days whose rate changes, the fleets that follow them, and what a rule buys."""

import json
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from loadgen.cli import main
from loadgen.scale import KNOBS, Frontier, ScaleRow, completed, trials
from loadgen.simulator.scaling import Shift, play_scaled
from loadgen.workloads.days import DAYS, times, traced
from loadgen.workloads.mixes import MIXES
from tests.builders import REFERENCE


def a_row(rule: str = "cato", *, workers: float, attainment: float, knob: float = 1.0) -> ScaleRow:
    return ScaleRow(
        rule=rule,
        knob=knob,
        day="ramp",
        load_s=30,
        seed=1,
        requests=100,
        attainment=attainment,
        workers=workers,
    )


def a_frontier(*points: tuple[float, float]) -> Frontier:
    rows = [a_row(workers=w, attainment=a, knob=w) for w, a in points]
    return Frontier.of(rows)


def a_shift(**told: object) -> Shift:
    facts = {
        "mix": MIXES["reference"],
        "profile": REFERENCE,
        "day": "ramp",
        "trace": None,
        "seconds": 60,
        "seed": 1,
        "load_s": 10.0,
        "most": 4,
        "policy": "cato",
    }
    return Shift(**{**facts, **told})  # type: ignore[arg-type]  # mypy cannot see which is which


@pytest.mark.parametrize("name", DAYS)
def test_a_day_has_a_rate_for_every_second(name: str) -> None:
    rates = DAYS[name](600, Random(1))

    assert len(rates) == 600
    assert min(rates) > 0
    assert max(rates) > 2 * min(rates)


def test_requests_come_as_often_as_the_second_says() -> None:
    rates = [1.0] * 200 + [0.0] * 100 + [4.0] * 200

    at = list(times(rates, 10.0, Random(1)))

    assert all(early <= late for early, late in pairwise(at))
    assert not any(200.5 < each < 299.5 for each in at)
    assert sum(each < 200 for each in at) == pytest.approx(2000, rel=0.15)
    assert sum(each > 300 for each in at) == pytest.approx(8000, rel=0.15)


def test_a_traced_day_is_a_stretch_of_the_trace_in_its_own_time(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    rows = [f"2023-11-16 18:{n // 60:02}:{n % 60:02}.0,{100 + n},7" for n in range(600)]
    trace.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]))

    day = traced(trace, 60, Random(1))

    assert {row.prompt_tokens for row in day} <= set(range(100, 700))
    assert len({row.prompt_tokens for row in day}) == pytest.approx(60, abs=4)
    assert day == sorted(day, key=lambda row: row.at_s)


def test_between_two_knobs_the_frontier_is_straight() -> None:
    curve = a_frontier((1, 0.6), (3, 0.8))

    assert curve.attainment_at(2) == pytest.approx(0.7)
    assert curve.workers_for(0.7) == pytest.approx(2)


def test_beyond_what_was_tried_nothing_is_claimed() -> None:
    curve = a_frontier((1, 0.6), (3, 0.8))

    assert curve.attainment_at(0.5) is None
    assert curve.attainment_at(9) == 0.8
    assert curve.workers_for(0.9) is None
    assert Frontier(()).attainment_at(1) is None


def test_a_knob_that_costs_more_and_keeps_less_is_no_part_of_the_frontier() -> None:
    assert a_frontier((1, 0.6), (2, 0.5), (3, 0.8)).points == ((1, 0.6), (3, 0.8))


def test_seeds_are_averaged_before_knobs_are_compared() -> None:
    rows = [a_row(workers=1, attainment=0.5), a_row(workers=3, attainment=0.9)]

    assert Frontier.of(rows).attainment_at(2) == pytest.approx(0.7)
    assert Frontier.of(rows).attainment_at(1) is None


def test_a_fixed_fleet_is_played_once_and_shown_beside_every_load() -> None:
    wanted = trials([a_shift(load_s=30.0), a_shift(load_s=120.0)], ["fixed"], hold_s=60)
    shown = completed([a_row("fixed", workers=1, attainment=0.5)], [30.0, 120.0])

    assert len(wanted) == len(KNOBS["fixed"])
    assert [row.load_s for row in shown] == [30, 120]


def test_a_fixed_fleet_pays_for_what_it_is() -> None:
    shift = a_shift(seconds=30)

    scaled = play_scaled(shift, shift.workload(), rule="fixed", knob=2, hold_s=60)

    assert scaled.workers == pytest.approx(2.0)


@pytest.mark.parametrize("rule", [name for name in KNOBS if name != "fixed"])
def test_every_rule_lets_the_fleet_grow_with_the_day_and_pays_for_it(rule: str) -> None:
    shift = a_shift()
    generous = KNOBS[rule][-1]

    scaled = play_scaled(shift, shift.workload(), rule=rule, knob=generous, hold_s=10)
    fixed = play_scaled(shift, shift.workload(), rule="fixed", knob=1, hold_s=10)

    assert 1.0 < scaled.workers <= 4.0
    assert scaled.attainment > fixed.attainment


def test_the_command_writes_its_table_and_its_rows(tmp_path: Path) -> None:
    told = ["--days", "ramp", "--rules", "fixed", "--seeds", "1", "--load-s", "30"]

    status = main(["scale", *told, "--seconds", "5", "--processes", "1", "--out", str(tmp_path)])

    assert status == 0
    assert "| `fixed` |" in (tmp_path / "scale.md").read_text()
    assert len(json.loads((tmp_path / "scale.json").read_text())) == len(KNOBS["fixed"])


def test_without_a_day_there_is_nothing_to_play(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "--days"]) == 2
    assert "name one with --days, or --trace FILE" in capsys.readouterr().err
