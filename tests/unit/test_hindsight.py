"""A schedule made by somebody who knew what would come."""

from dataclasses import replace

import pytest

from loadgen.bound.hindsight import hindsight
from loadgen.bound.upper_bound import upper_bound
from loadgen.simulator.playing import Scene, play
from loadgen.simulator.simulation import Simulation
from tests.unit.test_simulator import SCENE, an_arrival

RUSH = replace(SCENE, load=2.0, duration_s=3.0)


def attained(scene: Scene, *policies: str) -> dict[str, float]:
    workload = scene.workload()
    totals = {policy: play(scene, policy, workload).figures.total for policy in policies}
    return {policy: total.attainment or 0.0 for policy, total in totals.items()}


def in_hindsight(scene: Scene, *policies: str, steps: int) -> float:
    workload = scene.workload()
    played = {policy: play(scene, policy, workload) for policy in policies}
    return hindsight(scene, workload, played, steps=steps)


@pytest.mark.parametrize("policies", [("edf",), ("round_robin", "cato")])
@pytest.mark.parametrize("scene", [RUSH, replace(RUSH, seed=3, is_typing=True)])
def test_hindsight_lies_between_the_best_policy_and_the_bound(
    scene: Scene, policies: tuple[str, ...]
) -> None:
    known = in_hindsight(scene, *policies, steps=16)

    assert known >= max(attained(scene, *policies).values())
    assert known <= upper_bound(scene.workload(), scene.profile, scene.workers).attainment


def test_without_a_step_hindsight_is_the_best_policy() -> None:
    assert in_hindsight(RUSH, "edf", "cato", steps=0) == max(attained(RUSH, "edf", "cato").values())


def test_knowing_what_comes_pays_in_a_rush() -> None:
    assert in_hindsight(RUSH, "edf", steps=12) > attained(RUSH, "edf")["edf"] + 0.2


def test_where_everything_is_kept_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = [an_arrival(0.5 * i) for i in range(5)]
    played = {"cato": play(SCENE, "cato", workload)}

    monkeypatch.delattr(Simulation, "run")

    assert hindsight(SCENE, workload, played, steps=1000) == 1.0
