"""Who may be sent a task, and in which order."""

import math

from hypothesis import given
from hypothesis import strategies as st

from shared.scheduling.fleet import Fleet
from shared.scheduling.policy import WorkerView

WINDOW_S = 0.5
# Few values, so that many are equal.
instants = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0])


@st.composite
def workers(draw: st.DrawFn) -> list[WorkerView]:
    return [
        WorkerView(
            name=f"worker-{number}",
            to_partition=number,
            slots=3,
            held=draw(st.integers(0, 3)),
            served_at=draw(instants),
            drained_at=draw(instants),
        )
        for number in range(draw(st.integers(0, 6)))
    ]


def begins_a_prompt(worker: WorkerView, now: float) -> tuple[float, int, float, float, int]:
    drained_at = worker.drained_at
    return max(now, drained_at), worker.held, worker.served_at, drained_at, worker.to_partition


@given(before=workers(), after=workers(), looks=st.lists(instants, max_size=3))
def test_the_soonest_drained_come_first_however_the_fleet_has_changed(
    before: list[WorkerView], after: list[WorkerView], looks: list[float]
) -> None:
    fleet = Fleet(before)

    for now in sorted(looks):
        fleet.open(now, WINDOW_S)
    for worker in before:
        fleet.remove(worker)
    for worker in after:
        fleet.add(worker)

    now = max(looks, default=0.0)
    free = [worker for worker in after if worker.is_free()]
    open_ = [worker for worker in free if worker.drained_at - WINDOW_S <= now]
    later = [worker.drained_at - WINDOW_S for worker in free if worker not in open_]
    assert list(fleet.open(now, WINDOW_S)) == sorted(open_, key=lambda w: begins_a_prompt(w, now))
    assert fleet.is_open(now, WINDOW_S) == bool(open_)
    assert fleet.opens_at(now, WINDOW_S) == min(later, default=math.inf)


@given(before=workers())
def test_what_becomes_of_a_copy_leaves_the_fleet_as_it_was(before: list[WorkerView]) -> None:
    fleet = Fleet(before)
    was = list(fleet.open(1.0, WINDOW_S))

    copy = fleet.copy()
    for worker in before:
        copy.remove(worker)
    copy.open(9.0, WINDOW_S)

    assert not copy.is_open(9.0, math.inf)
    assert list(fleet.open(1.0, WINDOW_S)) == was


def test_who_never_says_when_it_is_drained_can_be_taken_out_whatever_the_clock_says() -> None:
    nonsense = WorkerView(
        name="mad", to_partition=0, slots=3, held=0, served_at=0.0, drained_at=math.nan
    )
    fleet = Fleet([nonsense])

    assert list(fleet.open(math.inf, WINDOW_S)) == [nonsense]
    fleet.remove(nonsense)

    assert list(fleet.open(math.inf, WINDOW_S)) == []
