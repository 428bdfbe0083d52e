"""What clients say in headers, and how little of it has to be believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingress.headers import RequestHeaders, request_id
from services.ingress.tenants import LOCAL, Tenant
from services.ingress.understanding import clamp, resolve
from shared.domain.errors import InvalidRequest, TaskRejected, UnknownTaskKind
from shared.domain.task import Promise


def read(**headers: str) -> RequestHeaders:
    return RequestHeaders.read(
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in headers.items()
    )


@pytest.mark.parametrize("name", ["x_llm_d_slo_ttft_ms", "x_slo_ttft_ms"])
def test_a_promise_may_be_asked_for_under_each_of_its_names(name: str) -> None:
    assert read(**{name: "250"}).promise == Promise(ttft_s=0.25)


def test_a_promise_may_have_several_limits() -> None:
    asked = read(x_slo_ttft_ms="500", x_slo_tpot_ms="50", x_slo_e2e_ms="5000")

    assert asked.promise == Promise(ttft_s=0.5, tpot_s=0.05, e2e_s=5.0)


@pytest.mark.parametrize(
    "name", ["x_cato_session", "x_session_affinity", "session_id", "x_claude_code_session_id"]
)
def test_a_session_has_many_names(name: str) -> None:
    assert read(**{name: "editor"}).session == "editor"


@pytest.mark.parametrize(("sent", "meant"), [("12.5", 12.5), ("600", None), ("never", None)])
def test_a_read_timeout_counts_when_somebody_chose_it(sent: str, meant: float | None) -> None:
    assert read(x_stainless_read_timeout=sent).read_timeout_s == meant


def test_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnknownTaskKind, match="completion"):
        read(x_cato_task="poetry")


def test_a_key_of_any_length_would_be_a_place_to_store_things() -> None:
    with pytest.raises(InvalidRequest, match="300 characters"):
        read(idempotency_key="k" * 300)


@given(value=st.binary(max_size=300))
def test_a_request_id_is_safe_wherever_it_is_written(value: bytes) -> None:
    told = request_id([(b"x-request-id", value)])

    assert told.isascii()
    assert told.isprintable()
    assert 0 < len(told) <= 128
    assert not set(told) & set(" \"'<>\\;,")


@given(value=st.text(st.characters(max_codepoint=255), max_size=40))
def test_no_header_breaks_anything_but_its_own_request(value: str) -> None:
    for name in ("x_slo_ttft_ms", "x_cato_task", "idempotency_key", "x_stainless_read_timeout"):
        try:
            read(**{name: value})
        except TaskRejected as error:
            assert error.status == 400


def test_no_tenant_is_promised_more_than_it_may_ask_for() -> None:
    asked, shortest = Promise(ttft_s=0.05, e2e_s=9.0), Promise(ttft_s=0.2, tpot_s=0.1, e2e_s=1.0)

    assert clamp(asked, shortest) == Promise(ttft_s=0.2, e2e_s=9.0)


def test_without_an_own_promise_that_of_the_kind_holds() -> None:
    assert resolve(None, kind="review", tenant=LOCAL, read_timeout_s=None) is None
    assert resolve(None, kind=None, tenant=LOCAL, read_timeout_s=2.0) is None


def test_who_hangs_up_after_two_seconds_is_promised_two_seconds() -> None:
    promised = resolve(None, kind="review", tenant=LOCAL, read_timeout_s=2.0)

    assert promised == Promise(e2e_s=2.0)


def test_an_own_promise_is_kept_as_it_is_where_nothing_forbids_it() -> None:
    own = Promise(ttft_s=0.001)

    assert resolve(own, kind=None, tenant=Tenant(name="t"), read_timeout_s=1.0) == own
