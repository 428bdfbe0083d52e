"""Admission decides from numbers alone: who is let in, who hears when to come back."""

import pytest

from services.ingress.admission import Backlog, Crowd, Wish, admit, first_guess, shape_of, wish_of
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


def a_wish(*, patience_s: float | None = 10.0, size_bytes: int = 100) -> Wish:
    return Wish(
        kind="chat", latency_class=LatencyClass.TTFT, patience_s=patience_s, size_bytes=size_bytes
    )


def refusal_of(
    wish: Wish, backlog: Backlog | None, *, crowd: Crowd | None = None, now: float = 1.0
) -> TaskRejected | None:
    try:
        admit(wish, backlog, crowd=crowd or Crowd(), now=now, stale_s=5.0, open_bytes=0, room=1000)
    except TaskRejected as error:
        return error
    return None


def a_body(**fields: str) -> Body:
    return Body.model_validate({"route": "completions", "max_tokens": 8, **fields})


def a_wish_of(
    kind: str,
    promise: Promise | None = None,
    read_timeout_s: float | None = None,
    *,
    is_detached: bool = False,
) -> Wish:
    return wish_of(
        kind,
        promise=promise,
        read_timeout_s=read_timeout_s,
        is_detached=is_detached,
        size_bytes=1,
    )


def test_who_can_be_served_in_time_is_let_in() -> None:
    assert refusal_of(a_wish(), a_backlog(wait_s=9.9)) is None


def test_who_waits_for_ever_is_let_in_whatever_the_wait() -> None:
    assert refusal_of(a_wish(patience_s=None), a_backlog(wait_s=1e6)) is None


@pytest.mark.parametrize("backlog", [None, a_backlog(heard_at=-5), a_backlog(workers=0)])
def test_without_anybody_to_serve_it_a_request_is_refused(backlog: Backlog | None) -> None:
    refusal = refusal_of(a_wish(), backlog)

    assert isinstance(refusal, NoWorker)
    assert refusal.retry_after_s is not None


def test_the_wait_one_is_told_ends_when_asking_makes_sense_again() -> None:
    refusal = refusal_of(a_wish(patience_s=10), a_backlog(wait_s=13))

    assert isinstance(refusal, Overloaded)
    assert refusal.retry_after_s == 3


def test_a_full_queue_and_a_full_ingress_refuse_alike() -> None:
    full = refusal_of(a_wish(), a_backlog(is_full=True))
    too_big = refusal_of(a_wish(size_bytes=1001), a_backlog())

    assert isinstance(full, Overloaded)
    assert isinstance(too_big, Overloaded)


def test_who_went_in_since_the_report_is_counted() -> None:
    backlog = a_backlog(wait_s=1.0).followed_by(
        BacklogReported(
            model="m",
            epoch=1,
            at=1.0,
            workers=1,
            slots=8,
            queued_bytes=0,
            is_full=False,
            classes={LatencyClass.TTFT: ClassBacklog(queued=10, wait_s=1.0, work_s=2.0)},
        ),
        1.0,
    )
    wish = a_wish(patience_s=3.0)

    def after(admitted: int) -> TaskRejected | None:
        return refusal_of(wish, backlog, crowd=Crowd(since={LatencyClass.TTFT: admitted}))

    # The whole pool needs a second for ten of them, so that each prolongs the wait by 0.1 s.
    assert after(19) is None
    assert isinstance(after(21), Overloaded)


def test_who_will_be_served_later_is_in_nobodys_way() -> None:
    backlog = Backlog(report=a_backlog().report, heard_at=0.0, task_s={LatencyClass.BATCH: 5.0})

    assert refusal_of(a_wish(), backlog, crowd=Crowd(since={LatencyClass.BATCH: 100})) is None


def test_no_more_of_a_kind_are_let_in_than_can_be_served_together() -> None:
    crowd = Crowd(alike=8, most=8.0, duration_s=2.0)

    refusal = refusal_of(a_wish(), a_backlog(), crowd=crowd)

    assert isinstance(refusal, Overloaded)
    assert refusal.retry_after_s == 2.0
    assert refusal_of(a_wish(patience_s=None), a_backlog(), crowd=crowd) is None


def test_before_anything_ended_the_more_patient_kind_is_assumed() -> None:
    plain = Body(route="completions", prompt="x", max_tokens=8)

    assert first_guess(shape_of(plain, model="m", kind=None)) == "generation"
    assert (
        first_guess(shape_of(plain.model_copy(update={"suffix": "y"}), model="m", kind=None))
        == "completion"
    )


def test_who_listens_waits_for_half_of_the_promise_at_most() -> None:
    assert a_wish_of("completion").patience_s == 0.15
    assert a_wish_of("review").patience_s == 2.5
    assert a_wish_of("batch").patience_s is None


def test_who_comes_back_later_waits_while_an_answer_is_useful() -> None:
    assert a_wish_of("review", is_detached=True).patience_s == 15.0


def test_a_client_that_hangs_up_earlier_is_not_kept_waiting() -> None:
    assert a_wish_of("translation", read_timeout_s=4.0).patience_s == 4.0


def test_an_own_promise_decides_the_class() -> None:
    by_e2e = a_wish_of("review", Promise(e2e_s=2.0))
    by_ttft = a_wish_of("review", Promise(ttft_s=2.0))

    assert (by_e2e.latency_class, by_e2e.patience_s) == (LatencyClass.E2E, 1.0)
    assert by_ttft.latency_class is LatencyClass.TTFT
