"""Policies side by side."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadgen.cli import main
from loadgen.compare import Row, compare_in
from loadgen.compare_table import markdown, slo_capacity, student_t
from loadgen.extra import ExtraMissing, extra
from tests.builders import REFERENCE
from tests.unit.test_simulator import SCENE

PROMISED_FIELDS = """policy workers load arrivals seed requests attainment kind_mean goodput by_kind
    completion_rate shed late cancelled infeasible useful_utilization hindsight upper_bound
    capacity"""


def a_row(policy: str = "cato", *, seed: int = 1, load: float = 1.0, attainment: float) -> Row:
    return Row(
        policy=policy,
        workers=2,
        load=load,
        arrivals="gamma",
        seed=seed,
        requests=110,
        counted=100,
        attainment=attainment,
        kind_mean=attainment,
        goodput=1.0,
        by_kind={},
        completion_rate=1.0,
        shed=0,
        late=0,
        cancelled=0,
        infeasible=10,
        useful_utilization=0.5,
        wasted_utilization=0.03,
        hindsight=0.95,
        upper_bound=0.97,
        capacity=24.8,
        fairness=1.0,
    )


def test_all_policies_meet_the_same_requests() -> None:
    compared = compare_in(replace(SCENE, duration_s=5), ["round_robin", "cato"])

    first, second = (each.row for each in compared)
    assert first.requests == second.requests > 50
    assert first.infeasible == second.infeasible


def test_differences_are_paired_by_seed() -> None:
    rows = [
        *(a_row("edf", seed=seed, attainment=0.1 * seed) for seed in (1, 2, 3)),
        *(a_row("cato", seed=seed, attainment=0.1 * seed + 0.02) for seed in (1, 2, 3)),
    ]

    told = markdown(rows)

    assert "| `edf` | +2.0 ± 0.0 / +2.0 ± 0.0 |" in told
    assert "| `cato` | 0.220/0.220 |" in told


def test_more_seeds_than_the_table_knows_make_no_interval_narrower_than_95_percent() -> None:
    exact = {11: 2.228, 12: 2.201, 31: 2.042}

    assert all(student_t(seeds) >= t for seeds, t in exact.items())


def test_ours_is_held_against_whoever_is_best_at_each_load() -> None:
    rows = [
        *(a_row("edf", seed=seed, load=0.5, attainment=0.9) for seed in (1, 2)),
        *(a_row("hybrid", seed=seed, load=0.5, attainment=0.8) for seed in (1, 2)),
        *(a_row("edf", seed=seed, load=2.0, attainment=0.1) for seed in (1, 2)),
        *(a_row("hybrid", seed=seed, load=2.0, attainment=0.5) for seed in (1, 2)),
        *(a_row("cato", seed=seed, load=0.5, attainment=0.89) for seed in (1, 2)),
        *(a_row("cato", seed=seed, load=2.0, attainment=0.6) for seed in (1, 2)),
    ]

    told = next(line for line in markdown(rows).splitlines() if "the best of them" in line)

    assert "-1.0 ± 0.0 (`edf`)" in told
    assert "+10.0 ± 0.0 (`hybrid`)" in told


def test_hindsight_and_bound_stand_below_the_policies() -> None:
    told = markdown([a_row(attainment=0.9), a_row(load=2.0, attainment=0.9)])

    assert "| hindsight | 0.950 | 0.950 |" in told
    assert "| upper bound (LP) | 0.970 | 0.970 |" in told


def test_what_was_wasted_stands_beside_what_was_useful() -> None:
    assert "| `cato` | 0.500/0.030 |" in markdown([a_row(attainment=0.9)])


def test_a_bound_that_knows_of_no_prefix_cache_is_not_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["compare", "--typing", "--prefix-share", "0.75"]) == 2
    assert "add --no-limits" in capsys.readouterr().err


def test_limits_that_nobody_asked_for_are_not_told() -> None:
    told = markdown([replace(a_row(attainment=0.9), hindsight=None, upper_bound=None)])

    assert "hindsight" not in told


def test_slo_capacity_counts_only_what_somebody_could_have_kept() -> None:
    rows = [
        a_row(load=0.5, attainment=0.89),
        a_row(load=0.75, attainment=0.86),
        a_row(load=1.0, attainment=0.5),
    ]

    assert slo_capacity(rows, "cato", 0.90) == "0.78×"
    assert slo_capacity(rows, "cato", 0.99) == "none"
    assert slo_capacity(rows, "cato", 0.50) == "≥ 1×"
    assert "Nobody keeps 99%" not in markdown(rows)


def test_where_nobody_reaches_the_slo_the_table_says_so() -> None:
    assert "Nobody keeps 95% of the feasible" in markdown([a_row(attainment=0.5)])


def test_hindsight_is_no_lower_than_any_policy_and_no_higher_than_the_bound() -> None:
    compared = compare_in(replace(SCENE, load=1.5, duration_s=3), ["edf", "cato"], steps=12)

    for row in (each.row for each in compared):
        assert row.hindsight is not None
        assert row.upper_bound is not None
        assert row.attainment <= row.hindsight <= row.upper_bound


def test_the_command_writes_a_table_rows_and_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "--policies edf cato --loads 1 --seeds 7 --duration 3 --processes 1 --hindsight 3 --out"

    assert main(["compare", *told.split(), str(tmp_path)]) == 0

    rows = json.loads((tmp_path / "compare.json").read_bytes())
    assert [row["policy"] for row in rows] == ["edf", "cato"]
    assert rows[0].keys() >= set(PROMISED_FIELDS.split())
    assert rows[1]["by_kind"]["completion"]["attainment"] > 0.5
    assert "`cato`" in capsys.readouterr().out
    plots = {path.name for path in tmp_path.glob("*.svg")}
    assert plots == {f"{name}-2-gamma.svg" for name in ("attainment", "utilization", "latency")}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "expected a readable file"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "expected at least one request"),
        (
            '{"timestamp": NaN, "input_length": 1, "output_length": 1}',
            "expected a finite timestamp",
        ),
        (
            '{"timestamp": 0, "input_length": 900000, "output_length": 1}',
            "choose a profile with more context",
        ),
    ],
)
def test_a_trace_that_cannot_be_replayed_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, told: str
) -> None:
    trace = tmp_path / "trace"
    if content is not None:
        trace.write_text(content)

    assert main(["compare", "--arrivals", "trace", "--trace", str(trace)]) == 2

    (line,) = capsys.readouterr().err.strip().splitlines()
    assert told in line


def test_what_is_not_installed_is_named_with_what_brings_it() -> None:
    with pytest.raises(ExtraMissing, match=r'no_such_solver is not installed; .*"cato\[load\]"'):
        extra("no_such_solver.optimize")


def test_the_capacity_of_a_fleet_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--workers", "2"]) == 0

    assert "24.4 requests/s: 2 x reference" in capsys.readouterr().out


def test_the_capacity_for_a_trace_is_that_for_requests_of_its_lengths(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"timestamp": 0, "input_length": 2048, "output_length": 1}\n')

    scene = replace(SCENE, arrivals="trace", trace=trace)

    one_step_s = REFERENCE.step_time.base_s + 2048 * REFERENCE.step_time.prefill_s
    assert scene.capacity_per_s == pytest.approx(scene.workers / one_step_s, rel=1e-3)
