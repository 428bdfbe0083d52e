"""One step of scheduling."""

from dataclasses import replace

from shared.domain.task import LatencyClass, Task
from shared.scheduling.backlog import Backlog
from shared.scheduling.forecast import Pace, forecast
from shared.scheduling.plan import plan
from shared.scheduling.policies.edf import EarliestDeadlineFirst
from tests.builders import a_backlog, a_task, a_worker


def test_the_earliest_deadline_takes_the_only_slot() -> None:
    late, soon = a_task("late", ttft_s=9), a_task("soon", ttft_s=1)

    decided = plan(a_backlog(late, soon), [a_worker()], now=0, starvation_s=60)

    assert [assignment.task for assignment in decided.dispatch] == [soon]


def test_a_worthless_task_is_given_up_even_when_no_slot_is_free() -> None:
    task = a_task(ttft_s=1, useful_s=1)

    decided = plan(a_backlog(task), [], now=2, starvation_s=60)

    assert decided.expired == (task,)
    assert decided.dispatch == ()


def test_a_task_is_not_worthless_at_the_very_end_of_its_use() -> None:
    decided = plan(a_backlog(a_task(ttft_s=1, useful_s=2)), [], now=2, starvation_s=60)

    assert decided.expired == ()


def test_whoever_starves_goes_first_whatever_the_policy_says() -> None:
    old = a_task("old", received_at=0)
    urgent = a_task("urgent", received_at=99, ttft_s=0.3)
    backlog = a_backlog(old, urgent, policy="class_priority")

    decided = plan(backlog, [a_worker()], now=100, starvation_s=60)

    assert [assignment.task for assignment in decided.dispatch] == [old]


def test_round_robin_gives_the_workers_their_turn_within_one_step() -> None:
    tasks = [a_task(str(n), received_at=n) for n in range(4)]
    fleet = [a_worker("a", slots=9), a_worker("b", slots=9)]

    decided = plan(a_backlog(*tasks, policy="round_robin"), fleet, now=10, starvation_s=60)

    assert [assignment.worker.name for assignment in decided.dispatch] == ["a", "b", "a", "b"]


def test_a_full_worker_gets_nothing() -> None:
    fleet = [a_worker("full", slots=2, held=2), a_worker("free", slots=2, held=1)]

    decided = plan(a_backlog(a_task("1"), a_task("2")), fleet, now=0, starvation_s=60)

    assert [assignment.worker.name for assignment in decided.dispatch] == ["free"]


def test_a_newcomer_waits_for_the_work_that_is_ranked_before_it() -> None:
    queued = [
        a_task(str(n), received_at=n / 1000, ttft_s=1, prompt_tokens=25_000) for n in range(4)
    ]
    backlog = a_backlog(*queued, policy="round_robin")

    waits = forecast(
        backlog, [a_worker("a"), a_worker("b")], typical=[queued[0]], pace=Pace(), now=1
    )

    # Four prompts of one second each, two workers; a decode share on top.
    wait = waits[LatencyClass.TTFT]
    assert wait.queued == 4
    assert 2.0 <= wait.wait_s <= 2.2


def test_a_newcomer_of_a_favoured_class_does_not_wait_for_the_others() -> None:
    batch = [a_task(f"batch-{n}", prompt_tokens=25_000) for n in range(4)]
    backlog = a_backlog(*batch, policy="class_priority")

    waits = forecast(backlog, [a_worker()], typical=[a_task(ttft_s=1)], pace=Pace(), now=1)

    assert waits[LatencyClass.TTFT].wait_s == 0


def test_the_pace_follows_what_is_really_settled() -> None:
    pace = Pace()

    for _ in range(600):
        pace.learn(settled_s=0.05, workers=1, elapsed_s=0.1)

    assert abs(pace.value - 0.5) < 0.01


def test_removing_a_task_leaves_no_trace_of_its_work() -> None:
    task = a_task(ttft_s=1)
    backlog = a_backlog(task)

    backlog.add(replace(task, priority=5))
    backlog.remove(task.id)

    assert len(backlog) == 0
    assert list(backlog.heads()) == []
    assert backlog.queued[LatencyClass.TTFT] == 0
    assert backlog.work_s[LatencyClass.TTFT] == 0


def test_a_policy_that_keeps_declining_is_asked_about_the_first_few_only() -> None:
    asked: list[str] = []

    class Declining(EarliestDeadlineFirst):
        work_conserving = False

        def place(self, task: Task, *_: object) -> None:
            asked.append(task.id)

    cost = a_backlog().cost
    backlog = Backlog(policy=Declining(), cost=cost)
    for number in range(1000):
        backlog.add(a_task(f"{number:04}", ttft_s=1 + number))

    decided = plan(backlog, [a_worker()], now=0, starvation_s=60)

    assert decided.dispatch == ()
    assert asked == [f"{number:04}" for number in range(64)]


def test_a_starving_task_is_not_shed() -> None:
    old = a_task("old", received_at=0, ttft_s=0.3, useful_s=1000)

    decided = plan(a_backlog(old, policy="cato"), [], now=999.99, starvation_s=60)

    assert decided.shed == decided.expired == ()
