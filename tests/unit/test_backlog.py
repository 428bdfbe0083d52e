"""What waits, in two lanes."""

from dataclasses import replace

from shared.scheduling.plan import plan
from shared.scheduling.policies import POLICIES
from tests.builders import COST, a_backlog, a_task, a_worker


def test_who_can_only_be_late_goes_behind_all_others() -> None:
    doomed = a_task("doomed", ttft_s=1, useful_s=10)
    fresh = a_task("fresh", received_at=2, ttft_s=1, useful_s=10)
    backlog = a_backlog(doomed, fresh, policy="cato")

    decided = plan(backlog, [a_worker(slots=2)], now=2, starvation_s=60)

    assert [a.task.id for a in decided.dispatch] == ["fresh"]
    assert [task.id for task in backlog.latecomers()] == ["doomed"]


def test_the_late_are_served_when_a_worker_has_nothing_else() -> None:
    doomed = a_task("doomed", ttft_s=1, useful_s=10)

    decided = plan(a_backlog(doomed, policy="cato"), [a_worker()], now=2, starvation_s=60)

    assert [a.task.id for a in decided.dispatch] == ["doomed"]


def test_whose_answer_would_come_when_it_is_worth_nothing_is_given_up_before_it_starts() -> None:
    task = a_task("completion", ttft_s=0.3, useful_s=0.3, prompt_tokens=5000)

    decided = plan(a_backlog(task, policy="cato"), [a_worker()], now=0.2, starvation_s=60)

    assert decided.shed == (task,)
    assert decided.dispatch == ()


def test_a_long_prompt_is_not_given_up_where_an_engine_holds_most_of_it() -> None:
    task = a_task("completion", ttft_s=0.3, useful_s=0.3, prompt_tokens=8000)
    backlog, alone = a_backlog(policy="cato"), a_backlog(task, policy="cato")

    backlog.add(task, cached_tokens=7500)

    decided = [plan(each, [a_worker()], now=0, starvation_s=60) for each in (backlog, alone)]
    assert [each.shed for each in decided] == [(), (task,)]
    assert [a.task for a in decided[0].dispatch] == [task]


def test_a_long_prompt_gives_way_sooner_the_more_waits() -> None:
    short = a_task("short", received_at=0.2, ttft_s=1, prompt_tokens=100)
    long = a_task("long", ttft_s=1, prompt_tokens=2000)
    backlog, cato = a_backlog(policy="cato"), POLICIES["cato"]()

    assert cato.rank(long, COST, 0.0) > cato.rank(short, COST, 0.0)
    margins = [
        cato.rank(long, COST, wait_s)[0] - cato.rank(short, COST, wait_s)[0]
        for wait_s in (0.0, 0.5, 1.0, 5.0)
    ]
    assert margins == sorted(margins)
    assert backlog.pressure_s() == 0


def test_pressure_is_the_work_that_waits_over_those_who_share_it() -> None:
    backlog = a_backlog(*(a_task(str(n), ttft_s=9, prompt_tokens=25_000) for n in range(4)))
    alone_s = backlog.pressure_s()

    backlog.workers = 4

    assert alone_s > 4
    assert backlog.pressure_s() == alone_s / 4


def test_a_relegated_task_can_still_be_removed() -> None:
    task = a_task("doomed", ttft_s=1, useful_s=10)
    backlog = a_backlog(task, policy="cato")

    backlog.relegate(5)
    backlog.remove(task.id)
    backlog.add(replace(task, received_at=9))

    assert [each.id for each in backlog.heads()] == ["doomed"]
    assert list(backlog.latecomers()) == []


def test_two_are_drawn_by_lot_and_the_less_busy_one_is_taken() -> None:
    fleet = [a_worker(str(n), slots=9, held=n) for n in range(8)]
    policy = POLICIES["power_of_two"]()

    placed = [policy.place(a_task(str(n)), fleet, 0, COST, 0) for n in range(400)]
    taken = [worker.held for worker in placed if worker]

    assert placed[7] == policy.place(a_task("7"), fleet, 0, COST, 0)
    assert 7 not in taken
    assert taken.count(0) > taken.count(3) > taken.count(6)
