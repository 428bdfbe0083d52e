"""What the door learns from those it let in, played against a pool in virtual time."""

import heapq
from collections import Counter
from dataclasses import dataclass, field

import pytest

from services.ingress.admission import Backlog, admit, first_guess, shape_of, wish_of
from services.ingress.experience import Experience, Ticket
from shared.domain.errors import Overloaded
from shared.domain.fence import Fence
from shared.domain.outcome import Outcome
from shared.domain.task import LatencyClass, ReplyAddress, TaskId
from shared.messages.body import Body
from shared.messages.catalogue import TaskEnded
from shared.messages.pool import BacklogReported, ClassBacklog

PLAIN = Body(route="completions", prompt="def f():", max_tokens=64)


def an_ending(
    task_id: str, outcome: Outcome = Outcome.COMPLETED, *, kind: str = "completion", at: float = 1.0
) -> TaskEnded:
    return TaskEnded(
        task_id=TaskId(task_id),
        kind=kind,
        latency_class=LatencyClass.TTFT,
        tenant="local",
        outcome=outcome,
        fence=Fence(1, 1),
        reply_to=ReplyAddress(0, "me"),
        received_at=0.0,
        ended_at=at,
    )


def a_ticket(experience: Experience, *, at: float = 0.0, body: Body = PLAIN) -> Ticket:
    shape = shape_of(body, model="m", kind=None)
    wish = wish_of(
        experience.likely_kind(shape),
        promise=None,
        read_timeout_s=None,
        is_detached=False,
        size_bytes=1,
    )
    return Ticket(at=at, shape=shape, wish=wish)


def test_requests_are_taken_for_what_their_like_turned_out_to_be() -> None:
    experience = Experience()
    longer = shape_of(PLAIN.model_copy(update={"max_tokens": 1024}), model="m", kind=None)

    experience.let_in(TaskId("1"), a_ticket(experience))
    experience.learn(an_ending("1", kind="completion"))

    assert experience.likely_kind(shape_of(PLAIN, model="m", kind=None)) == "completion"
    assert experience.likely_kind(longer) == first_guess(longer)


def test_new_habits_of_clients_replace_old_ones() -> None:
    experience = Experience()

    for number, kind in enumerate(["completion"] * 200 + ["chat"] * 60):
        experience.let_in(TaskId(str(number)), a_ticket(experience))
        experience.begin(TaskId(str(number)))
        experience.learn(an_ending(str(number), kind=kind))

    assert experience.likely_kind(shape_of(PLAIN, model="m", kind=None)) == "chat"


def test_a_burst_of_broken_promises_is_one_sign_not_many() -> None:
    experience = Experience()
    tickets = [a_ticket(experience) for _ in range(64)]
    for number, ticket in enumerate(tickets):
        experience.let_in(TaskId(str(number)), ticket)

    for number in range(64):
        experience.learn(an_ending(str(number), Outcome.LATE))

    assert experience.most[tickets[0].shape].value == pytest.approx(48, abs=1)


def test_a_single_accident_shuts_out_nobody() -> None:
    experience = Experience()
    ticket = a_ticket(experience)
    for number in range(20):
        experience.let_in(TaskId(str(number)), ticket)
        experience.learn(an_ending(str(number), Outcome.LATE if number == 9 else Outcome.COMPLETED))

    assert experience.most[ticket.shape].value >= 256


def test_a_lost_ending_stands_in_nobodys_way_for_ever() -> None:
    experience = Experience()
    experience.let_in(TaskId("lost"), a_ticket(experience, at=0.0))
    ticket = a_ticket(experience, at=200.0)
    experience.let_in(TaskId("next"), ticket)

    crowd = experience.crowd(ticket.shape, ticket.wish, since=0.0, now=200.0)

    assert crowd.alike == 1


def test_whoever_waits_too_long_is_noticed_before_the_end() -> None:
    experience = Experience()
    ticket = a_ticket(experience)
    for number in range(40):
        experience.let_in(TaskId(str(number)), ticket)

    early = experience.crowd(ticket.shape, ticket.wish, since=0.0, now=0.9)
    late = experience.crowd(ticket.shape, ticket.wish, since=0.0, now=1.1)

    assert early.most == 256
    assert late.most < 40


def test_a_client_still_waits_when_the_ending_overtakes_the_first_token() -> None:
    experience = Experience()
    ticket = a_ticket(experience)
    experience.let_in(TaskId("1"), ticket)

    experience.learn(an_ending("1"))
    waiting = experience.crowd(ticket.shape, ticket.wish, since=0.0, now=0.9)
    experience.begin(TaskId("1"))
    begun = experience.crowd(ticket.shape, ticket.wish, since=0.0, now=0.9)

    assert (waiting.alike, begun.alike) == (1, 0)


@dataclass
class Pool:
    """Serves `slots` tasks at a time, each for `service_s`; what waits is seen every 100 ms."""

    slots: int
    service_s: float
    sees_queue: bool
    promised_s: float = 0.3
    experience: Experience = field(default_factory=Experience)
    now: float = 0.0
    free_at: list[float] = field(default_factory=list)
    ending: list[tuple[float, str, Outcome | None]] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    def offer(self, rate: float, seconds: float, *, at_once: int = 1) -> None:
        began_at = reported_at = self.now
        self.free_at = self.free_at or [0.0] * self.slots
        backlog = self.report(None, began_at)
        for number in range(int(rate * seconds)):
            self.now = now = began_at + number // at_once * at_once / rate
            while reported_at + 0.1 <= now:
                reported_at += 0.1
                backlog = self.report(backlog, reported_at)
            self.settle(now)
            self.ask(f"{began_at}/{number}", backlog, now)

    def ask(self, name: str, backlog: Backlog, now: float) -> None:
        ticket = a_ticket(self.experience, at=now)
        crowd = self.experience.crowd(
            ticket.shape, ticket.wish, since=backlog.report.at - 0.05, now=now
        )
        try:
            admit(ticket.wish, backlog, crowd=crowd, now=now, stale_s=5, open_bytes=0, room=1000)
        except Overloaded:
            self.answers["refused"] += 1
            return
        self.experience.let_in(TaskId(name), ticket)
        starts_at = max(now, heapq.heappop(self.free_at))
        heapq.heappush(self.free_at, starts_at + self.service_s)
        in_time = starts_at + 0.05 - now <= self.promised_s
        outcome = Outcome.COMPLETED if in_time else Outcome.LATE
        # Its first token, and its end.
        heapq.heappush(self.ending, (starts_at + 0.05, name, None))
        heapq.heappush(self.ending, (starts_at + self.service_s, name, outcome))

    def settle(self, now: float) -> None:
        while self.ending and self.ending[0][0] <= now:
            at, name, outcome = heapq.heappop(self.ending)
            if outcome is None:
                self.experience.begin(TaskId(name))
                continue
            self.answers[outcome.value] += 1
            self.experience.learn(an_ending(name, outcome, at=at))

    def report(self, before: Backlog | None, now: float) -> Backlog:
        waits_s = max(0.0, min(self.free_at) - now) if self.sees_queue else 0.0
        queued = round(waits_s * self.slots / self.service_s)
        waiting = ClassBacklog(queued=queued, wait_s=waits_s, work_s=waits_s)
        report = BacklogReported(
            model="m",
            epoch=1,
            at=now,
            workers=1,
            slots=self.slots,
            queued_bytes=0,
            is_full=False,
            classes={LatencyClass.TTFT: waiting},
        )
        if before is None:
            return Backlog(report=report, heard_at=now)
        return before.followed_by(report, now)


@pytest.mark.parametrize("sees_queue", [True, False], ids=["queue seen", "queue in the engine"])
@pytest.mark.parametrize("at_once", [1, 50])
def test_under_ten_times_the_load_nine_of_ten_who_are_let_in_are_served_in_time(
    sees_queue: bool, at_once: int
) -> None:
    pool = Pool(slots=8, service_s=0.4, sees_queue=sees_queue)

    pool.offer(200, 60, at_once=at_once)
    pool.answers.clear()
    pool.offer(200, 60, at_once=at_once)

    served = pool.answers["completed"] + pool.answers["late"]
    assert pool.answers["completed"] / served >= 0.9
    # And the pool, which can serve twenty a second, is not left idle.
    assert served >= (0.85 if at_once == 1 else 0.5) * 20 * 60


def test_within_its_capacity_a_pool_refuses_nobody() -> None:
    pool = Pool(slots=8, service_s=0.4, sees_queue=True)

    pool.offer(18, 60)

    assert pool.answers["refused"] == 0
