"""The small parts of engines: stop strings, made-up answers, profiles, and a server's words."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.worker.engine import EngineUnavailable
from services.worker.engines.openai_wire import Answer, payload_of, refusal_of
from services.worker.engines.sse import EventLines
from services.worker.engines.stopping import StopScanner
from services.worker.engines.synthetic import synthetic_tokens, true_lengths
from shared.adapters.profiles import PROFILES, load_profile, published
from shared.domain.errors import SettingsError
from shared.scheduling.batching import Batch, Sequence
from shared.tasks.fim import FIM_TEMPLATES
from tests.contract.engine_promises import a_job

QWEN = FIM_TEMPLATES["qwen2.5-coder"]
texts = st.text(alphabet="ab\n", max_size=30)


def shown_by(scanner: StopScanner, parts: list[str]) -> str:
    shown = ""
    for part in parts:
        if not scanner.is_stopped:
            shown += scanner.feed(part)
    return shown + scanner.rest()


@given(st.lists(texts, max_size=8), st.lists(texts.filter(bool), max_size=3))
def test_text_is_shown_up_to_the_first_stop_however_it_is_cut(
    parts: list[str], stops: list[str]
) -> None:
    whole = "".join(parts)

    shown = shown_by(StopScanner(tuple(stops)), parts)

    assert whole.startswith(shown)
    assert not any(stop in shown for stop in stops)
    if not any(stop in whole for stop in stops):
        assert shown == whole


def test_of_two_stops_the_one_that_begins_first_ends_the_answer() -> None:
    assert shown_by(StopScanner(("world", "o w")), ["hello world"]) == "hell"


def test_what_cannot_become_a_stop_is_not_held_back() -> None:
    scanner = StopScanner(("\n\n",))

    assert scanner.feed("a\n") == "a"
    assert scanner.feed("b") == "\nb"


def test_made_up_answers_parse_and_say_what_they_are() -> None:
    tokens = synthetic_tokens(seed=123456789)
    text = "".join(next(tokens) for _ in range(60))

    lines = [line for line in text.splitlines() if line]

    assert len(ast.parse(text).body) == 10
    assert all(line.startswith("synthetic_") for line in lines)


@given(st.text(max_size=200), st.integers(1, 4000))
def test_a_true_length_lies_between_one_and_max_tokens(prompt: str, max_tokens: int) -> None:
    lengths = true_lengths(a_job(prompt=prompt, max_tokens=max_tokens, is_endless=False))

    assert 1 <= lengths.output_tokens <= max_tokens
    assert lengths.prompt_tokens >= 1


def test_ignoring_the_end_makes_every_token_asked_for() -> None:
    assert true_lengths(a_job(max_tokens=777, is_endless=True)).output_tokens == 777


def test_the_reference_profile_is_the_reference_engine() -> None:
    step_time = load_profile("reference").step_time

    took_s = step_time.step_s(prefill_tokens=25, prefill_context=0, sequences=10, kv_tokens=1000)

    assert took_s == pytest.approx(0.006 + 0.001 + 0.0004 + 0.00002)


@pytest.mark.parametrize("name", PROFILES)
def test_every_number_of_a_profile_has_a_source(name: str) -> None:
    profile = load_profile(name)

    assert profile.name == name
    assert profile.source.count(": ") >= 9


@pytest.mark.parametrize("name", [name for name in PROFILES if published(name)])
def test_a_profile_comes_near_the_throughput_that_others_published(name: str) -> None:
    told = published(name)
    assert told is not None
    batch, took_s, requests = Batch(profile=load_profile(name)), 0.0, 300

    for _ in range(requests):
        size = {"prompt_tokens": told.prompt_tokens, "output_tokens": told.output_tokens}
        batch.admit(Sequence(**size))
    while (step := batch.next_step()) is not None:
        took_s += step.duration_s

    per_s = requests * (told.prompt_tokens + told.output_tokens) / took_s
    assert 0.7 < per_s / told.tokens_per_s < 1.4


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        SettingsError, match=r"CATO_PROFILE or --profile: no profile 'h1000'; known: .*reference"
    ):
        load_profile("h1000")


def a_profile_file(folder: Path, **changes: object) -> str:
    source = Path(__file__).parents[2] / "shared/scheduling/profiles/reference.json"
    content = json.loads(source.read_text())
    file = folder / "mine.json"
    file.write_text(json.dumps(content | changes))
    return str(file)


def test_a_profile_can_be_a_file_of_ones_own(tmp_path: Path) -> None:
    changed = {"base_s": {"value": 0.5, "source": "measured"}}

    profile = load_profile(a_profile_file(tmp_path, **changed))

    assert (profile.name, profile.step_time.base_s) == ("mine", 0.5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_s": {"value": -1, "source": "x"}}, "base_s.value"),
        ({"base_s": {"value": 1}}, "base_s.source"),
        ({"sped": 1}, "sped"),
        ({"chunk_tokens": {"value": 4, "source": "x"}}, "chunk_tokens must be >= max_sequences"),
    ],
)
def test_a_wrong_profile_file_is_refused_by_field(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        load_profile(a_profile_file(tmp_path, **changes))


def test_a_suffix_goes_to_the_server_as_it_is_until_it_was_refused() -> None:
    job = a_job(prompt="before", suffix="after", stop=("\n\n",))

    asked = payload_of(job, model="m", refused=(), fim=QWEN)
    rendered = payload_of(job, model="m", refused=("suffix",), fim=QWEN)

    assert (asked["prompt"], asked["suffix"]) == ("before", "after")
    assert rendered["prompt"] == "<|fim_prefix|>before<|fim_suffix|>after<|fim_middle|>"
    assert rendered["stop"] == ["\n\n", *QWEN.stop]
    assert "suffix" not in rendered


def test_what_the_client_did_not_set_is_not_sent() -> None:
    job = a_job(is_endless=False)
    unset = replace(job, body=job.body.model_copy(update={"temperature": None}))

    payload = payload_of(unset, model="m", refused=(), fim=QWEN)

    assert payload.keys() == {"model", "prompt", "max_tokens", "stream", "stream_options"}


def test_a_chunk_that_counts_along_may_carry_several_tokens() -> None:
    answer = Answer()
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    chunk = {"choices": [{"index": 0, "text": "a b c"}], "usage": usage}

    piece = answer.read(json.dumps(chunk).encode())

    assert piece is not None
    assert (piece.text, piece.tokens) == ("a b c", 3)


@given(st.binary(max_size=60))
def test_no_event_of_a_server_breaks_more_than_its_own_answer(event: bytes) -> None:
    try:
        piece = Answer().read(event)
    except EngineUnavailable:
        return

    assert piece is None or piece.text or piece.delta


@given(st.lists(st.binary(min_size=1, max_size=7), max_size=20))
def test_event_lines_are_the_same_however_the_network_cuts_them(chunks: list[bytes]) -> None:
    whole = b"data: one\r\n\r\n: comment\ndata:two\n\n" + b"".join(chunks)
    at_once = list(EventLines().feed(whole))

    lines = EventLines()
    one_by_one = [event for byte in whole for event in lines.feed(bytes([byte]))]

    assert one_by_one == at_once
    assert at_once[:2] == [b"one", b"two"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "too long", "param": "prompt"}}', "too long prompt"),
        (b'{"object": "error", "message": "too long", "code": 400}', "too long"),
        (b'{"detail": "not found"}', "not found"),
        (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        (b'{"error": {"message": "%b"}}' % (b"my prompt " * 100), "my prompt " * 30),
    ],
)
def test_a_refusal_is_read_in_every_shape_servers_have_and_quoted_briefly(
    body: bytes, said: str
) -> None:
    assert refusal_of(body) == said
