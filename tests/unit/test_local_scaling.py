"""Bounds of a laptop's fleet that contradict each other are refused before anything starts."""

from pathlib import Path

import pytest

from deploy.local.command import main
from deploy.local.house import Blueprint, House
from deploy.local.processes import Household
from deploy.local.workers import WorkerProcesses


def test_a_fleet_that_would_begin_above_its_bound_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["up", "--out", str(tmp_path), "--workers", "3", "--scale-to", "2"])

    assert status == 1
    assert capsys.readouterr().err.splitlines() == [
        "cato: --scale-to 2 is below --workers 3, with which the house begins;"
        " name at least as many"
    ]


async def test_a_last_worker_that_ended_by_itself_meanwhile_needs_not_be_let_go(
    tmp_path: Path,
) -> None:
    blueprint = Blueprint(directory=tmp_path)
    house = House(
        blueprint=blueprint,
        base_url="",
        kafka_servers="",
        redis_url="",
        household=Household(logs=tmp_path, drain_s=0.0),
        broker=None,
        redis=None,
    )

    async with WorkerProcesses.of(house, blueprint.pools[0], drain_s=0.0) as workers:
        await workers.drain()

        assert await workers.count() == 0
