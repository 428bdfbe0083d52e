"""Admission decides from numbers alone: who is let in, who hears when to come back."""

import pytest

from services.ingress.admission import Backlog, Wish, admit, decoding_s, likely_kind
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


def refusal_of(wish: Wish, backlog: Backlog | None, *, now: float = 1.0) -> TaskRejected | None:
    try:
        admit(wish, backlog, now=now, stale_s=5.0, open_bytes=0, room=1000)
    except TaskRejected as error:
        return error
    return None


def a_wish_of(
    kind: str, promise: Promise | None = None, read_timeout_s: float | None = None
) -> Wish:
    return Wish.of(kind, promise=promise, read_timeout_s=read_timeout_s, size_bytes=1)


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


def test_who_waits_for_another_class_is_in_nobodys_way() -> None:
    wish = Wish(kind="review", latency_class=LatencyClass.E2E, patience_s=1.0, size_bytes=1)

    assert refusal_of(wish, a_backlog(wait_s=100.0)) is None


def test_before_the_classifier_read_it_the_more_patient_kind_is_assumed() -> None:
    plain = Body(route="completions", prompt="x", max_tokens=8)

    assert likely_kind(plain, None) == "generation"
    assert likely_kind(plain.model_copy(update={"suffix": "y"}), None) == "completion"
    assert likely_kind(plain.model_copy(update={"target_language": "Go"}), None) == "translation"
    assert likely_kind(plain, "review") == "review"


def test_nobody_is_refused_whose_answer_would_still_be_of_use() -> None:
    assert a_wish_of("completion").patience_s == pytest.approx(4 * 0.3)
    assert a_wish_of("review").patience_s == pytest.approx(4 * 15.0)
    assert a_wish_of("batch").patience_s is None


def test_a_client_that_hangs_up_earlier_is_not_kept_waiting() -> None:
    assert a_wish_of("translation", read_timeout_s=4.0).patience_s == 4.0


def test_an_own_promise_decides_the_class() -> None:
    assert a_wish_of("review", Promise(e2e_s=2.0)).latency_class is LatencyClass.E2E
    assert a_wish_of("review", Promise(ttft_s=2.0)).latency_class is LatencyClass.TTFT


def test_a_longer_answer_is_expected_to_take_longer() -> None:
    assert decoding_s("translation") > decoding_s("completion") > 0
