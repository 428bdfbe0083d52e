"""What vLLM is asked and what it tells is worked out without it; nonsense never gets there."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from services.worker.engine import EngineRefused
from services.worker.engines.settings import EngineSettings
from services.worker.engines.vllm import VLLMEngine
from services.worker.engines.vllm_meter import StepMeter
from services.worker.engines.vllm_model import Model, import_vllm
from services.worker.engines.vllm_wire import (
    check_obeyable,
    given_token_ids,
    is_infill,
    prompt_of,
    sampling_of,
    turns_of,
)
from services.worker.speedometer import Speedometer
from shared.adapters.clock import LoopClock
from shared.domain.errors import SettingsError
from shared.messages.body import Body, ChatMessage
from shared.tasks.fim import FIM_TEMPLATES
from tests.builders import REFERENCE

QWEN = FIM_TEMPLATES["qwen2.5-coder"]


def a_body(
    prompt: str = "def f():",
    *,
    suffix: str | None = None,
    max_tokens: int = 9,
    extra: dict[str, JsonValue] | None = None,
) -> Body:
    return Body(
        route="completions", prompt=prompt, suffix=suffix, max_tokens=max_tokens, extra=extra or {}
    )


def a_model(source: Path | str = "somebody/model", **options: JsonValue) -> Model:
    return Model(source=str(source), fim=QWEN, options=options)


def sampled(body: Body, **defaults: JsonValue) -> dict[str, JsonValue]:
    return sampling_of(body, defaults=defaults, room_tokens=100)


def test_what_the_client_left_open_is_the_models_default() -> None:
    body = a_body(extra={"top_k": 3}).model_copy(update={"temperature": 0.0})

    asked = sampled(body, temperature=0.7, top_p=0.8, top_k=20)

    assert asked == {"temperature": 0.0, "top_p": 0.8, "top_k": 3, "max_tokens": 9}


def test_log_probabilities_are_asked_of_vllm_where_the_client_asks_for_them() -> None:
    assert sampled(a_body().model_copy(update={"logprobs": 0}))["logprobs"] == 0
    assert "logprobs" not in sampled(a_body())


def test_an_answer_may_fill_the_rest_of_the_context_and_no_more() -> None:
    assert sampled(a_body(max_tokens=10_000))["max_tokens"] == 100


@pytest.mark.parametrize(
    ("extra", "constraint"),
    [
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, {"json_object": True}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}},
            {"json": {"a": 1}},
        ),
        ({"guided_regex": "[ab]+"}, {"regex": "[ab]+"}),
        ({"structured_outputs": {"choice": ["a"]}}, {"choice": ["a"]}),
    ],
)
def test_the_form_of_an_answer_is_asked_in_vllms_words(
    extra: dict[str, JsonValue], constraint: JsonValue
) -> None:
    assert sampled(a_body(extra=extra)).get("structured_outputs") == constraint


@pytest.mark.parametrize(
    ("name", "value"),
    [("top_k", "many"), ("min_p", 2.0), ("stop_token_ids", [1.5]), ("bad_words", "all")],
)
def test_a_field_of_a_wrong_kind_is_refused_by_name(name: str, value: JsonValue) -> None:
    with pytest.raises(EngineRefused, match=name):
        sampled(a_body(extra={name: value}))


@pytest.mark.parametrize("name", ["tools", "chat_template", "truncate_prompt_tokens"])
def test_what_only_vllms_server_does_is_refused_by_name(name: str) -> None:
    with pytest.raises(EngineRefused, match=name):
        check_obeyable(a_body(extra={name: 1}))


def test_a_picture_is_refused_rather_than_left_out() -> None:
    picture: JsonValue = {"type": "image_url", "image_url": {"url": "x"}}
    body = Body(route="chat", messages=(ChatMessage(role="user", content=[picture]),), max_tokens=1)

    with pytest.raises(EngineRefused, match="text only"):
        check_obeyable(body)


def test_a_cursor_in_the_middle_is_marked_as_the_model_learned_it() -> None:
    around, rendered = a_body("a", suffix="b"), a_body(QWEN.render("a", "b"))

    assert prompt_of(around, QWEN) == prompt_of(rendered, QWEN) == rendered.prompt
    assert is_infill(around)
    assert is_infill(rendered)
    assert not is_infill(a_body("a"))


def test_the_parts_of_a_message_become_one_text() -> None:
    parts: list[JsonValue] = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    turns = turns_of((ChatMessage(role="user", content=parts),))

    assert turns == [{"role": "user", "content": "ab"}]


@pytest.mark.parametrize("given", [[], [-1], [10], "ab", [0.5]])
def test_tokens_that_the_model_lacks_are_refused(given: JsonValue) -> None:
    with pytest.raises(EngineRefused, match="between 0 and 9"):
        given_token_ids(a_body(extra={"prompt_token_ids": given}), vocabulary=10)


def test_what_promises_stand_on_cannot_be_configured_away() -> None:
    settings = EngineSettings(engine_args={"scheduling_policy": "fcfs"})

    with pytest.raises(SettingsError, match="CATO_ENGINE_ARGS: scheduling_policy"):
        VLLMEngine.of(settings, LoopClock())
    arguments = a_model(tensor_parallel_size=2).arguments(REFERENCE)
    assert arguments["scheduling_policy"] == "priority"
    assert arguments["enable_prefix_caching"] is arguments["enable_chunked_prefill"] is True
    assert (arguments["tensor_parallel_size"], arguments["max_num_seqs"]) == (2, 256)


@pytest.mark.parametrize(
    ("there", "lacking"),
    [
        ([], "config.json"),
        (["config.json", "tokenizer.json"], "weights"),
        (["config.json", "model.safetensors"], "tokenizer"),
    ],
)
def test_a_folder_without_a_whole_model_is_told_what_lacks(
    tmp_path: Path, there: list[str], lacking: str
) -> None:
    for name in there:
        (tmp_path / name).touch()

    with pytest.raises(SettingsError, match=f"holds no {lacking}"):
        a_model(tmp_path).arguments(REFERENCE)


def test_a_tokenizer_that_is_not_the_models_is_refused_at_the_start() -> None:
    a_model().check_tokenizer(largest_id=99, vocabulary=100)

    with pytest.raises(SettingsError, match="writes token 100"):
        a_model().check_tokenizer(largest_id=100, vocabulary=100)


def test_without_vllm_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.delitem(sys.modules, "services.worker.engines.vllm_process", raising=False)

    with pytest.raises(SettingsError, match=r"install cato\[vllm\]"):
        import_vllm()


@dataclass(frozen=True)
class Details:
    num_ctx_tokens: int = 0
    num_generation_requests: int = 1


@dataclass(frozen=True)
class Stats:
    num_waiting_reqs: int = 0
    kv_cache_usage: float = 0.0
    iteration_details: Details | None = Details()


async def test_steps_are_timed_from_one_to_the_next_and_not_while_idle() -> None:
    clock = LoopClock()
    meter = StepMeter(clock=clock)
    await clock.sleep(100)
    meter.work_begins()
    for _ in range(3):
        await clock.sleep(0.02)
        meter.record(Stats(), None)

    assert meter.step_s == pytest.approx(0.02)
    assert meter.stepped_at == clock.monotonic()


async def test_queue_cache_and_prefilled_tokens_are_what_vllm_said() -> None:
    meter = StepMeter(clock=LoopClock())

    meter.record(Stats(iteration_details=Details(256)), None)
    meter.record(Stats(num_waiting_reqs=3, kv_cache_usage=0.5, iteration_details=Details(44)), None)
    meter.record(None, None)

    assert (meter.waiting, meter.kv_share, meter.prefilled_tokens) == (3, 0.5, 300)


async def test_its_speed_is_fitted_to_the_steps_that_vllm_tells_of() -> None:
    clock = LoopClock()
    speed = Speedometer.of(REFERENCE)
    meter = StepMeter(clock=clock, speed=speed, kv_capacity_tokens=1000)
    meter.work_begins()
    for number in range(300):
        ctx_tokens = 256 * (number % 3)
        await clock.sleep(0.02 + 1e-4 * ctx_tokens)
        meter.record(Stats(kv_cache_usage=0.5, iteration_details=Details(ctx_tokens)), None)

    fitted = speed.fitted()
    assert fitted is not None
    assert fitted.prefill_s == pytest.approx(1e-4, rel=0.05)
    assert fitted.base_s + fitted.decode_s == pytest.approx(0.02, rel=0.1)
    assert meter.kv_tokens == 500


def test_before_it_starts_the_engine_holds_nothing() -> None:
    engine = VLLMEngine(model=a_model(), profile=replace(REFERENCE), clock=LoopClock())

    assert engine.load().running == engine.load().kv_tokens == engine.load().prefill_tokens == 0
