"""What the house's own policy does that no other does."""

from dataclasses import replace

import pytest

from shared.domain.task import Promise, Task, TaskId
from shared.scheduling.plan import plan
from shared.scheduling.policies import favouring
from shared.scheduling.policies.cato import Cato
from shared.scheduling.policy import WorkerView, side
from tests.builders import COST, a_backlog, a_task

CATO = Cato()
CALM_S, RUSH_S = 0.0, 10.0
EVEN = WorkerView(name="even", to_partition=0, slots=9, held=0, side=0)
ODD = WorkerView(name="odd", to_partition=1, slots=9, held=0, side=1)
COMPLETION = a_task("completion", ttft_s=0.3, useful_s=0.3, prompt_tokens=1400, output_tokens=14)
SUMMARY = a_task("summary", e2e_s=5, useful_s=15, prompt_tokens=1200, output_tokens=120)
GENERATION = replace(
    a_task("generation", ttft_s=1, useful_s=10, prompt_tokens=500, output_tokens=250),
    promise=Promise(ttft_s=1, tpot_s=0.05),
)


@pytest.mark.parametrize("task", [COMPLETION, SUMMARY, GENERATION])
def test_with_little_waiting_any_worker_takes_anything(task: Task) -> None:
    assert CATO.place(task, [EVEN], 0, COST, CALM_S) is EVEN
    assert CATO.place(task, [ODD], 0, COST, CALM_S) is ODD


def test_in_a_rush_whole_answers_and_answers_read_along_keep_apart() -> None:
    placed: dict[str, set[WorkerView | None]] = {
        task.id: {CATO.place(task, [worker], 0, COST, RUSH_S) for worker in (EVEN, ODD)}
        for task in (COMPLETION, SUMMARY, GENERATION)
    }

    assert placed["completion"] == {EVEN, ODD}
    assert placed["summary"] == {EVEN, None}
    assert placed["generation"] == {None, ODD}


@pytest.mark.parametrize("task", [COMPLETION, SUMMARY, GENERATION])
def test_the_only_worker_takes_anything_in_a_rush_too(task: Task) -> None:
    alone = replace(ODD, side=side(0, workers=1))

    assert CATO.place(task, [alone], 0, COST, RUSH_S) is alone


def test_a_fleet_of_two_has_both_sides() -> None:
    assert {side(number, workers=2) for number in range(2)} == {0, 1}


@pytest.mark.parametrize("task", [SUMMARY, GENERATION])
def test_answers_so_short_that_long_steps_will_do_go_anywhere_in_a_rush_too(task: Task) -> None:
    short = replace(task, prediction=replace(task.prediction, output_tokens_p50=10))

    assert {CATO.place(short, [side], 0, COST, RUSH_S) for side in (EVEN, ODD)} == {EVEN, ODD}


def test_a_whole_answer_of_few_tokens_may_wait_longer_than_one_of_many() -> None:
    """Answers are as long as this house's people ask for, not as the kinds' priors."""
    short = replace(SUMMARY, prediction=replace(SUMMARY.prediction, output_tokens_p50=10))

    assert CATO.doomed_at(SUMMARY, COST) < 1.0
    assert CATO.doomed_at(short, COST) > 3.0


def test_in_a_rush_the_shorter_prompt_goes_before_the_earlier_deadline() -> None:
    long = replace(COMPLETION, prediction=replace(COMPLETION.prediction, prompt_tokens=4000))
    short = replace(COMPLETION, received_at=0.2)

    assert CATO.rank(short, COST, RUSH_S) < CATO.rank(long, COST, RUSH_S)


def test_a_whole_answer_pays_for_its_tokens_too() -> None:
    longer = replace(SUMMARY, prediction=replace(SUMMARY.prediction, output_tokens_p50=140))
    price_s = CATO.rank(longer, COST, CALM_S)[0] - CATO.rank(SUMMARY, COST, CALM_S)[0]

    assert price_s == pytest.approx(CATO.price_calm * 2 * (1 - CATO.favour) * CATO.token_s * 20)


def test_favour_goes_from_as_many_promises_as_possible_to_every_kind_alike() -> None:
    promises, kinds = (favouring("cato", favour).rank(SUMMARY, COST, RUSH_S) for favour in (0, 1))

    assert promises > CATO.rank(SUMMARY, COST, RUSH_S) > kinds
    assert favouring("cato", 0).rank(COMPLETION, COST, RUSH_S) == CATO.rank(
        COMPLETION, COST, RUSH_S
    )


def test_the_more_all_kinds_are_favoured_the_greater_the_rush_in_which_they_keep_apart() -> None:
    keep_apart = [
        [
            favouring("cato", favour).place(SUMMARY, [ODD], 0, COST, rush_s) is None
            for favour in (0, 0.75, 1)
        ]
        for rush_s in (0.15, 0.3, 0.9)
    ]

    assert keep_apart == [[False, False, False], [True, False, False], [True, True, False]]


def test_favour_leaves_other_policies_as_they_are() -> None:
    assert favouring("edf", 1).rank(SUMMARY, COST, RUSH_S) == (SUMMARY.deadline_at,)


def test_batch_work_and_the_late_are_no_rush() -> None:
    batch = [a_task(f"batch-{n}", prompt_tokens=8000) for n in range(50)]
    late = [replace(SUMMARY, id=TaskId(f"late-{n}")) for n in range(50)]
    backlog = a_backlog(*batch, *late, policy="cato")

    plan(backlog, [], now=5, starvation_s=60)

    assert backlog.pressure_s() == pytest.approx(0)


def test_who_can_only_be_late_waits_while_there_are_many() -> None:
    """A rush ends in a second; who came too late for it is waiting longer, and says that the fleet
    cannot keep up: a late answer would cost one that is on time."""
    late = [replace(SUMMARY, id=TaskId(f"late-{n}")) for n in range(20)]
    few, many = (a_backlog(*late[:count], policy="cato") for count in (3, 20))

    busy = replace(ODD, held=1)
    served, declined = (plan(each, [busy], now=5, starvation_s=60) for each in (few, many))

    assert few.late_s() < CATO.late_limit_s < many.late_s()
    assert [each.task for each in served.dispatch] == late[:1]
    assert declined.dispatch == ()
    assert 5 < declined.look_again_at < 6


def test_an_idle_worker_serves_the_late_however_many_they_are() -> None:
    late = [replace(SUMMARY, id=TaskId(f"late-{n}")) for n in range(20)]

    decided = plan(a_backlog(*late, policy="cato"), [ODD], now=5, starvation_s=60)

    assert [each.task for each in decided.dispatch] == late[:1]


def test_a_starving_task_is_never_declined() -> None:
    rush = [replace(SUMMARY, id=TaskId(f"rush-{n}"), received_at=100) for n in range(200)]
    starving = replace(SUMMARY, useful_s=None)
    backlog = a_backlog(starving, *rush, policy="cato")

    decided = plan(backlog, [ODD], now=100.5, starvation_s=60)

    assert backlog.pressure_s() > CATO.apart_s
    assert [each.task for each in decided.dispatch] == [starving]


@pytest.mark.parametrize(
    ("prompt_tokens", "is_sent"), [((200, 200), True), ((200, 600), False), ((1400, 200), False)]
)
def test_short_prompts_are_sent_together_so_that_they_share_a_step(
    prompt_tokens: tuple[int, int], is_sent: bool
) -> None:
    first = a_task("first", ttft_s=1, prompt_tokens=prompt_tokens[0])
    second = a_task("second", ttft_s=9, prompt_tokens=prompt_tokens[1])

    decided = plan(a_backlog(first, second, policy="cato"), [ODD], now=0, starvation_s=60)

    assert [each.task.id for each in decided.dispatch] == [first.id, second.id][: 1 + is_sent]
