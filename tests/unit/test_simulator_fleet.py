"""A simulated fleet whose workers come and go."""

from functools import partial

import pytest

from loadgen.report.observation import Observation
from loadgen.simulator.setting import House
from loadgen.simulator.simulation import Simulation
from loadgen.simulator.world import tasks
from loadgen.workloads.arrival import Arrival
from shared.scheduling.cost import Cost
from shared.scheduling.feeding import FEEDERS
from shared.scheduling.policies import POLICIES
from tests.builders import REFERENCE
from tests.unit.test_simulator import an_arrival


def a_simulation(seen: list[Observation], *, workers: int = 1) -> Simulation:
    policy = POLICIES["least_loaded"]()
    house = House(
        policy=policy,
        feeder=FEEDERS[policy.feeder](REFERENCE),
        profile=REFERENCE,
        cost=Cost(profile=REFERENCE, company=16.0),
        workers=workers,
        window_s=100.0,
        slots=REFERENCE.max_sequences,
    )
    return Simulation(house=house, judge=seen.append)


def one_a_second(seconds: int) -> list[Arrival]:
    return [an_arrival(float(at_s), kind="summarization", output=20) for at_s in range(seconds)]


def test_a_worker_that_joins_serves_once_its_model_is_loaded() -> None:
    seen: list[Observation] = []
    simulation = a_simulation(seen)
    simulation.at(2.0, partial(simulation.join, load_s=3.5))

    simulation.run(tasks(one_a_second(10)))

    served = {each.at_s for each in seen if each.worker == "worker-2"}
    assert min(served) == 6.0
    assert simulation.provisioned_s(10.0) == pytest.approx(18.0)


def test_a_drained_worker_gets_nothing_new_and_leaves_when_its_last_task_has_ended() -> None:
    seen: list[Observation] = []
    simulation = a_simulation(seen, workers=2)
    long = an_arrival(0.0, kind="translation", output=400)
    simulation.at(1.0, partial(simulation.drain, simulation.workers[0]))

    simulation.run(tasks([long, *one_a_second(10)[1:]]))

    first = next(each for each in seen if each.kind == "translation")
    assert (first.worker, first.ending.value) == ("worker-1", "answered")
    assert {each.worker for each in seen if each.at_s >= 1.0} == {"worker-2"}
    assert first.e2e_s is not None
    assert simulation.workers[0].left_at == pytest.approx(first.e2e_s, abs=0.02)


def test_a_worker_drained_while_it_loads_never_serves() -> None:
    seen: list[Observation] = []
    simulation = a_simulation(seen)
    joined = simulation.join(0.0, load_s=3.0)
    simulation.at(2.0, partial(simulation.drain, joined))

    simulation.run(tasks(one_a_second(6)))

    assert {each.worker for each in seen} == {"worker-1"}
    assert joined.left_at == 2.0


def test_the_last_worker_that_serves_stays() -> None:
    simulation = a_simulation([])

    with pytest.raises(ValueError, match="let another join first"):
        simulation.drain(simulation.workers[0], 0.0)
