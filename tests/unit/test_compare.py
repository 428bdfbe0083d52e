"""Policies side by side."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadgen.cli import main
from loadgen.compare import Row, compare_in
from loadgen.compare_table import markdown, slo_capacity
from tests.unit.test_simulator import SCENE


def a_row(policy: str = "cato", *, seed: int = 1, load: float = 1.0, attainment: float) -> Row:
    return Row(
        policy=policy,
        workers=2,
        load=load,
        arrivals="gamma",
        seed=seed,
        requests=100,
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
        capacity=24.8,
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


def test_slo_capacity_counts_only_what_somebody_could_have_kept() -> None:
    rows = [
        a_row(load=0.5, attainment=0.89),
        a_row(load=0.75, attainment=0.86),
        a_row(load=1.0, attainment=0.5),
    ]

    assert slo_capacity(rows, "cato", 0.95) == "0.75×"
    assert slo_capacity(rows, "cato", 0.99) == "none"


def test_the_command_writes_a_table_rows_and_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "--policies edf cato --loads 1 --seeds 7 --duration 5 --processes 1 --out"

    assert main(["compare", *told.split(), str(tmp_path)]) == 0

    rows = json.loads((tmp_path / "compare.json").read_bytes())
    assert [row["policy"] for row in rows] == ["edf", "cato"]
    assert rows[1]["by_kind"]["completion"]["attainment"] > 0.5
    assert "`cato`" in capsys.readouterr().out
    assert "<svg" in (tmp_path / "compare.html").read_text()
