"""Servers that speak one API in their own ways are understood all the same."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from services.worker.engine import EngineUnavailable, JobId, Piece
from services.worker.engines.openai_metrics import Company, ServerLoad
from services.worker.engines.openai_server import (
    Listing,
    Server,
    headers_of,
    pauses_s,
    priority_of,
)
from services.worker.engines.openai_wire import (
    Answer,
    field_refused,
    payload_of,
    refusal_of,
    stops_of,
)
from services.worker.engines.settings import EngineSettings
from services.worker.engines.sse import EventLines
from services.worker.engines.stopping import StopScanner
from shared.domain.errors import SettingsError
from shared.domain.outcome import FinishReason
from shared.domain.task import Promise
from shared.tasks.fim import FIM_TEMPLATES
from tests.contract.engine_promises import a_job

FOLDER = Path(__file__).parents[1] / "data" / "servers"
SHAPES = {path.stem: tomllib.loads(path.read_text()) for path in sorted(FOLDER.glob("*.toml"))}
QWEN = FIM_TEMPLATES["qwen2.5-coder"]
HERE = Server(url="http://127.0.0.1:8000/v1", model="cato-demo")


def read(stream: str, stops: tuple[str, ...] = ()) -> list[Piece]:
    answer, pieces = Answer(StopScanner(stops)), []
    for event in EventLines().feed(stream.encode()):
        if (piece := answer.read(event)) is not None:
            pieces.append(piece)
    return [*pieces, answer.last(prompt_tokens=1)]


@pytest.mark.parametrize("route", ["completion", "chat"])
@pytest.mark.parametrize("name", SHAPES)
def test_an_answer_of_every_server_is_read_with_its_end_and_its_counts(
    name: str, route: str
) -> None:
    expected = SHAPES[name]["expected"]

    pieces = read(SHAPES[name][route])

    assert "".join(piece.text for piece in pieces) == " return a"
    assert pieces[-1].finish_reason == expected.get("finish_reason", FinishReason.LENGTH)
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.model_dump() == {
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "cached_tokens": expected["cached_tokens"],
    }


@pytest.mark.parametrize("name", SHAPES)
def test_an_answer_of_any_server_that_breaks_off_is_an_error(name: str) -> None:
    first, *_ = SHAPES[name]["completion"].split("\n\n")

    with pytest.raises(EngineUnavailable, match="before the answer's end"):
        read(f"{first}\n\n")


@pytest.mark.parametrize("name", SHAPES)
def test_an_error_in_a_stream_is_told_in_the_servers_words(name: str) -> None:
    with pytest.raises(EngineUnavailable, match="it ran out of memory"):
        read(SHAPES[name]["broken"])


@pytest.mark.parametrize("name", [name for name in SHAPES if "refusal" in SHAPES[name]])
def test_a_refusal_of_the_suffix_is_understood(name: str) -> None:
    refusal = SHAPES[name]["refusal"]
    message = refusal_of(refusal["body"].encode())

    refused = field_refused(refusal["status"], message, {"prompt": "a", "suffix": "b"})

    assert refused == "suffix"


@pytest.mark.parametrize("name", SHAPES)
def test_the_only_model_of_a_server_is_found_by_itself(name: str) -> None:
    listing = Listing.read(SHAPES[name]["models"].encode())

    assert listing.model_for(HERE) == SHAPES[name]["expected"]["model"]


@pytest.mark.parametrize("name", [name for name in SHAPES if "metrics" in SHAPES[name]])
def test_what_a_server_measures_of_itself_is_read(name: str) -> None:
    expected = SHAPES[name]["expected"]

    assert ServerLoad.read(SHAPES[name]["metrics"]) == ServerLoad(
        running=expected["running"], waiting=expected["waiting"], kv_share=expected["kv_share"]
    )


def test_only_a_server_that_would_keep_quiet_is_never_sent_a_suffix() -> None:
    quiet = {
        name: Listing.read(shape["models"].encode()).leaves_out() for name, shape in SHAPES.items()
    }

    assert [name for name, left_out in quiet.items() if left_out] == ["sglang"]
    assert [name for name, shape in SHAPES.items() if "refusal" not in shape] == ["sglang"]


def test_priorities_are_turned_around_for_a_server_that_serves_high_ones_first() -> None:
    urgent, patient = a_job(priority=-5), a_job(priority=5)
    order = Listing.read(SHAPES["sglang"]["models"].encode()).order()

    assert priority_of(urgent, order) > priority_of(patient, order)
    assert priority_of(urgent, Listing().order()) < priority_of(patient, Listing().order())


def test_of_several_models_the_one_to_use_must_be_said() -> None:
    listing = Listing(models=("small", "large"))

    with pytest.raises(SettingsError, match="CATO_ENGINE_MODEL to one of small, large"):
        listing.model_for(HERE)
    assert listing.model_for(Server(url=HERE.url, model="own", is_named=True)) == "own"
    assert Listing(models=("cato-demo", "b")).model_for(HERE) == "cato-demo"
    assert Listing(models=("cato-demo:latest", "b")).model_for(HERE) == "cato-demo"


@pytest.mark.parametrize(("name", "context"), [("vllm", 32768), ("ollama", None)])
def test_a_model_s_context_is_what_its_server_lists_or_unknown(
    name: str, context: int | None
) -> None:
    listing = Listing.read(SHAPES[name]["models"].encode())

    assert listing.context_of(listing.models[0]) == context


@pytest.mark.parametrize("said", ['"long"', "-1", "null", "[]", "1.5"])
def test_a_context_that_is_nonsense_costs_nothing_but_itself(said: str) -> None:
    listing = Listing.read(b'{"data": [{"id": "m", "max_model_len": %s}]}' % said.encode())

    assert listing.models == ("m",)
    assert listing.context_of("m") is None


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": null}', b'{"data": [{}]}', b""])
def test_a_list_of_models_that_is_none_leaves_the_name_as_it_is(body: bytes) -> None:
    assert Listing.read(body).model_for(HERE) == "cato-demo"


@given(st.text(max_size=200))
def test_no_page_of_metrics_is_too_strange_to_be_read(page: str) -> None:
    load = ServerLoad.read(page)

    assert load is None or load.running >= 0


def test_the_engines_of_one_server_are_added_up_and_labels_may_hold_anything() -> None:
    page = (
        'vllm:num_requests_running{engine="0",model_name="a {b} c"} 3.0 1700000000\n'
        'vllm:num_requests_running{engine="1",model_name="a {b} c"} 1.0\n'
        'vllm:kv_cache_usage_perc{engine="0"} 0.2\nvllm:kv_cache_usage_perc{engine="1"} 0.4\n'
        'vllm:num_requests_waiting{engine="0"} NaN\n'
    )

    load = ServerLoad.read(page)

    assert load is not None
    assert (load.running, load.waiting) == (4, 0)
    assert load.kv_share == pytest.approx(0.3)


def test_whoever_was_ours_since_the_last_reading_is_not_taken_for_anothers() -> None:
    company = Company()
    company.enter(ours=3)

    company.read(ServerLoad(running=3, waiting=1), ours=1)
    first = company.others
    company.read(ServerLoad(running=3, waiting=1), ours=1)

    assert (first, company.others) == (1, 3)


def test_what_is_left_of_a_promise_is_passed_on_in_milliseconds() -> None:
    job = replace(a_job(), promise=Promise(ttft_s=0.3, tpot_s=0.05), received_at=100.0)

    assert headers_of(job, now=100.1004) == {"x-slo-ttft-ms": "200", "x-slo-tpot-ms": "50"}
    assert headers_of(job, now=101.0)["x-slo-ttft-ms"] == "1"
    assert headers_of(a_job(), now=101.0) == {}


def test_repetitions_are_few_and_spread_and_the_same_for_the_same_job() -> None:
    pauses = {name: tuple(pauses_s(JobId(name))) for name in map(str, range(100))}

    assert {len(each) for each in pauses.values()} == {2}
    assert len(set(pauses.values())) == len(pauses)
    assert all(0.025 <= first <= 0.05 and 0.1 <= second <= 0.2 for first, second in pauses.values())
    assert tuple(pauses_s(JobId("7"))) == pauses["7"]


def test_a_server_that_takes_four_stop_strings_gets_four_and_all_of_them_count() -> None:
    stops = tuple(f"<{number}>" for number in range(6))
    job = a_job(stop=stops)
    refusal = "`stop_sequences` supports up to 4 stop sequences. Given: 6"

    asked = payload_of(job, model="m", refused=(), fim=QWEN)
    again = payload_of(job, model="m", refused=("stop",), fim=QWEN)

    assert field_refused(422, refusal, asked) == "stop"
    assert (len(stops_of(job, ("stop",), QWEN)), again["stop"]) == (6, list(stops[:4]))
    assert field_refused(422, refusal, again) is None


def test_a_stop_string_ends_an_answer_also_where_the_server_writes_it_out() -> None:
    chunks = (" a", " b<", "5> c", " d")
    events: list[JsonValue] = [{"choices": [{"index": 0, "text": text}]} for text in chunks]
    answer = Answer(StopScanner(("<5>",)))

    pieces = [answer.read(json.dumps(event).encode()) for event in events[:3]]

    assert "".join(piece.text for piece in pieces if piece) == " a b"
    assert answer.last(1).finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("order", "expected"),
    [("auto", None), ("high-first", "high-first"), ("low-first", "low-first")],
)
def test_the_order_of_priorities_can_be_told(
    monkeypatch: pytest.MonkeyPatch, order: str, expected: str | None
) -> None:
    monkeypatch.setenv("CATO_ENGINE_URL", "http://127.0.0.1:1/v1/")
    monkeypatch.setenv("CATO_ENGINE_PRIORITY", order)

    server = Server.of(EngineSettings.load())

    assert (server.order, server.url) == (expected, "http://127.0.0.1:1/v1")
    assert server.metrics_url == "http://127.0.0.1:1/metrics"
