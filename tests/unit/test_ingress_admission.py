"""Admission decides from numbers alone: who is let in, who hears when to come back."""

import pytest

from services.ingress.admission import Backlog, Wish, admit, wish_of
from shared.domain.errors import NoWorker, Overloaded, TaskRejected
from shared.domain.task import LatencyClass, Promise
from shared.messages.body import Body
from shared.messages.pool import BacklogReported, ClassBacklog


def a_backlog(
    *, workers: int = 1, is_full: bool = False, wait_s: float = 0.0, heard_at: float = 0.0
) -> Backlog:
    report = BacklogReported(
        model="m",
        epoch=1,
        at=0.0,
        workers=workers,
        slots=8,
        queued_bytes=0,
        is_full=is_full,
        classes={LatencyClass.TTFT: ClassBacklog(wait_s=wait_s)},
    )
    return Backlog(report=report, heard_at=heard_at)


def a_wish(*, useful_s: float | None = 10.0, size_bytes: int = 100) -> Wish:
    return Wish(
        kind="chat", latency_class=LatencyClass.TTFT, useful_s=useful_s, size_bytes=size_bytes
    )


def refusal_of(wish: Wish, backlog: Backlog | None, *, now: float = 1.0) -> TaskRejected | None:
    try:
        admit(wish, backlog, now=now, stale_s=5.0, open_bytes=0, room=1000)
    except TaskRejected as error:
        return error
    return None


def a_body(**fields: str) -> Body:
    return Body.model_validate({"route": "completions", "max_tokens": 8, **fields})


def a_wish_of(body: Body, **known: object) -> Wish:
    kind, promise = known.get("kind"), known.get("promise")
    timeout_s = known.get("read_timeout_s")
    assert kind is None or isinstance(kind, str)
    assert promise is None or isinstance(promise, Promise)
    assert timeout_s is None or isinstance(timeout_s, float)
    return wish_of(body, kind=kind, promise=promise, read_timeout_s=timeout_s, size_bytes=1)


def test_who_can_be_served_in_time_is_let_in() -> None:
    assert refusal_of(a_wish(), a_backlog(wait_s=9.9)) is None


def test_who_waits_for_ever_is_let_in_whatever_the_wait() -> None:
    assert refusal_of(a_wish(useful_s=None), a_backlog(wait_s=1e6)) is None


@pytest.mark.parametrize("backlog", [None, a_backlog(heard_at=-5), a_backlog(workers=0)])
def test_without_anybody_to_serve_it_a_request_is_refused(backlog: Backlog | None) -> None:
    refusal = refusal_of(a_wish(), backlog)

    assert isinstance(refusal, NoWorker)
    assert refusal.retry_after_s is not None


def test_the_wait_one_is_told_ends_when_asking_makes_sense_again() -> None:
    refusal = refusal_of(a_wish(useful_s=10), a_backlog(wait_s=13))

    assert isinstance(refusal, Overloaded)
    assert refusal.retry_after_s == 3


def test_a_full_queue_and_a_full_ingress_refuse_alike() -> None:
    full = refusal_of(a_wish(), a_backlog(is_full=True))
    too_big = refusal_of(a_wish(size_bytes=1001), a_backlog())

    assert isinstance(full, Overloaded)
    assert isinstance(too_big, Overloaded)


def test_a_request_of_unknown_kind_is_taken_for_the_more_patient_one() -> None:
    plain = a_wish_of(a_body(prompt="x"))
    in_the_middle = a_wish_of(a_body(prompt="x", suffix="y"))

    assert plain.useful_s == 10.0
    assert in_the_middle.useful_s == 0.3


def test_a_client_that_hangs_up_earlier_is_not_kept_waiting() -> None:
    assert a_wish_of(a_body(prompt="x"), read_timeout_s=4.0).useful_s == 4.0


def test_an_own_promise_decides_the_class() -> None:
    by_e2e = a_wish_of(a_body(prompt="x"), kind="review", promise=Promise(e2e_s=2.0))
    by_ttft = a_wish_of(a_body(prompt="x"), kind="review", promise=Promise(ttft_s=2.0))

    assert (by_e2e.latency_class, by_e2e.useful_s) == (LatencyClass.E2E, 6.0)
    assert by_ttft.latency_class is LatencyClass.TTFT
