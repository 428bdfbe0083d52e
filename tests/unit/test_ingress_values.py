"""Small parts of the ingress that no story shows from all sides."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingress.deltas import joined
from services.ingress.requests import ChatRequest, CompletionRequest, Request
from services.ingress.settings import IngressSettings, Knobs
from services.ingress.task_request import TaskRequest
from services.ingress.tenants import Tenants
from shared.domain.errors import SettingsError, TaskRejected, Unauthenticated
from shared.domain.task import Promise

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
fields = st.sampled_from(
    ["prompt", "messages", "suffix", "max_tokens", "stop", "stream", "n", "seed", "tools", "code"]
)


@pytest.mark.parametrize("reads", [CompletionRequest, ChatRequest, TaskRequest])
@given(body=st.dictionaries(fields, json_values))
def test_any_json_is_either_understood_or_refused(
    reads: type[CompletionRequest | ChatRequest | TaskRequest], body: dict[str, object]
) -> None:
    try:
        understood = reads.read(json.dumps(body).encode()).body()
    except TaskRejected as error:
        assert error.status == 400
        assert error.message
    else:
        json.loads(understood.model_dump_json())


@given(raw=st.binary(max_size=100))
def test_any_bytes_are_either_understood_or_refused(raw: bytes) -> None:
    try:
        Request.read(raw)
    except TaskRejected as error:
        assert error.status == 400


def test_every_shape_of_a_prompt_is_understood() -> None:
    shapes: list[tuple[object, str | None, object]] = [
        ("text", "text", None),
        (["text"], "text", None),
        ([1, 2], None, [1, 2]),
        ([[1, 2]], None, [1, 2]),
    ]
    for given_prompt, text, ids in shapes:
        body = CompletionRequest.read(json.dumps({"prompt": given_prompt}).encode()).body()

        assert body.prompt == text
        assert body.extra.get("prompt_token_ids") == ids


def test_hints_say_who_comes_sooner() -> None:
    def hint(**body: object) -> int:
        return Request.read(json.dumps(body).encode()).hint

    assert hint(service_tier="priority") < hint() < hint(service_tier="flex")
    assert hint(priority=-3) == -3


def test_parts_of_tool_calls_find_each_other_by_place() -> None:
    parts = [
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {"reasoning_content": "hm"},
        {"reasoning_content": "m"},
    ]

    whole = joined(json.dumps(part) for part in parts)

    assert whole == {
        "tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "function": {"name": "g", "arguments": ""}},
        ],
        "reasoning_content": "hmm",
    }


def a_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tenants.toml"
    path.write_text(text)
    return path


def test_tenants_are_read_from_a_file(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"secret").hexdigest()
    text = f'[tenants.acme]\nkey_sha256 = ["{digest}"]\nshortest_ttft_ms = 100.0\n'
    tenants = Tenants.load(a_file(tmp_path, text))

    acme = tenants.of("Bearer secret")

    assert acme.name == "acme"
    assert acme.shortest == Promise(ttft_s=0.1)
    assert not acme.has_quota()
    with pytest.raises(Unauthenticated):
        tenants.of("Bearer secreT")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "tenants"),
        ("nonsense", "CATO_TENANTS_FILE"),
        ("[tenants.a]\nkey_sha256 = []\n", "key_sha256"),
        ('[tenants.a]\nkey_sha256 = ["zz"]\n', "key_sha256"),
        ('[tenants.a]\nkey_sha256 = ["00"]\nquota = 5\n', "key_sha256|quota"),
    ],
)
def test_a_wrong_tenants_file_is_told_by_what_is_wrong(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        Tenants.load(a_file(tmp_path, text))


def test_the_knobs_of_a_process_are_those_of_the_stories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATO_KAFKA_SERVERS", "127.0.0.1:9092")
    monkeypatch.setenv("CATO_REDIS_URL", "redis://127.0.0.1:6379/0")

    settings = IngressSettings.load()

    assert settings.knobs() == Knobs()
    assert settings.host == "127.0.0.1"


def test_a_name_for_two_models_needs_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATO_KAFKA_SERVERS", "127.0.0.1:9092")
    monkeypatch.setenv("CATO_REDIS_URL", "redis://127.0.0.1:6379/0")
    monkeypatch.setenv("CATO_SMALL_FIRST", '{"auto": ["small", "small"]}')

    with pytest.raises(SettingsError, match=r"CATO_SMALL_FIRST.*two models, not 'small' twice"):
        IngressSettings.load()
