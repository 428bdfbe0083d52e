"""Admit only where neither the newcomer nor anybody running would miss."""

from shared.scheduling.plan import plan
from shared.scheduling.policies.saber import Saber
from shared.scheduling.policy import Begun, WorkerView
from tests.builders import COST, a_backlog, a_task

SABER = Saber()


def a_worker(*running: Begun, held: int | None = None, name: str = "worker-1") -> WorkerView:
    held = len(running) if held is None else held
    return WorkerView(name=name, to_partition=0, slots=64, held=held, tasks=running)


def test_whoever_would_miss_among_so_many_waits() -> None:
    task = a_task(ttft_s=0.3, prompt_tokens=1400)
    few, many = a_worker(held=4), a_worker(held=60)

    assert SABER.place(task, [few], 0.0, COST, 0.0) is few
    assert SABER.place(task, [many], 0.0, COST, 0.0) is None


def test_nobody_joins_where_one_more_would_make_a_running_task_late() -> None:
    running = a_task("running", e2e_s=1.6, prompt_tokens=1200, output_tokens=120)
    newcomer = a_task("newcomer", ttft_s=1, prompt_tokens=100)
    first_load_that_harms = next(
        held
        for held in range(1, 64)
        if SABER.place(newcomer, [a_worker(Begun(running, 0.0), held=held)], 0.0, COST, 0.0) is None
    )

    nearly_done = a_worker(Begun(running, -3.0), held=first_load_that_harms)

    assert SABER.place(newcomer, [nearly_done], 0.0, COST, 0.0) is nearly_done


def test_whoever_is_late_already_cannot_be_harmed() -> None:
    lost = a_worker(Begun(a_task("lost", received_at=-9, e2e_s=5, output_tokens=500), -1.0))

    assert SABER.place(a_task(ttft_s=1), [lost], 0.0, COST, 0.0) is lost


def test_whoever_can_only_be_late_comes_second_and_is_served_where_it_harms_nobody() -> None:
    late = a_task("late", received_at=-1, ttft_s=0.3, useful_s=100)
    timely = a_task("timely", ttft_s=0.3)
    backlog = a_backlog(late, timely, policy="saber")

    decided = plan(backlog, [a_worker()], now=0.0, starvation_s=60)

    assert [each.task.id for each in decided.dispatch] == ["timely", "late"]


def test_those_sent_in_the_same_step_are_not_forgotten() -> None:
    """Each is on time alone and late among two: the second waits."""
    alone_s = COST.alone_s(a_task(ttft_s=1, prompt_tokens=8000))
    tight = [a_task(f"task-{n}", ttft_s=1.01 * alone_s, prompt_tokens=8000) for n in range(2)]

    decided = plan(a_backlog(*tight, policy="saber"), [a_worker()], now=0.0, starvation_s=60)

    assert len(decided.dispatch) == 1
