"""One step of scheduling, decided as a value: who starts where, and who is given up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from shared.domain.task import Task, TaskId
from shared.scheduling.backlog import Backlog
from shared.scheduling.policy import WorkerView


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    task: Task
    worker: WorkerView


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`expired`: those whose answer has become worthless. Whoever is not named here waits."""

    dispatch: tuple[Assignment, ...]
    expired: tuple[Task, ...]


def plan(backlog: Backlog, fleet: Sequence[WorkerView], *, now: float, starvation_s: float) -> Plan:
    """Fill the free slots in the policy's order.

    Whoever has waited longer than `starvation_s` goes before that order, oldest first, whatever the
    policy says. Reads the backlog, changes nothing.
    """
    expired = tuple(backlog.worthless(now))
    gone = {task.id for task in expired}
    waiting = chain(backlog.older_than(now - starvation_s), backlog.heads())
    return Plan(dispatch=tuple(_fill(backlog, waiting, fleet, gone, now)), expired=expired)


def _fill(
    backlog: Backlog,
    waiting: Iterator[Task],
    fleet: Sequence[WorkerView],
    gone: set[TaskId],
    now: float,
) -> Iterator[Assignment]:
    free = {worker.name: worker for worker in fleet if worker.is_free()}
    while free:
        task = next((task for task in waiting if task.id not in gone), None)
        if task is None:
            return
        gone.add(task.id)
        worker = backlog.policy.place(task, tuple(free.values()))
        yield Assignment(task=task, worker=worker)
        served = replace(worker, held=worker.held + 1, served_at=_after(worker, now))
        free[worker.name] = served
        if not served.is_free():
            del free[worker.name]


def _after(worker: WorkerView, now: float) -> float:
    """Strictly later than before, so that the workers keep taking turns within one step."""
    return max(now, worker.served_at + 1e-6)
