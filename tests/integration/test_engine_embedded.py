"""The embedded engine keeps an engine's promises with the model that is shipped, in real time."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import JsonValue
from tokenizers import Tokenizer

from deploy.models.architecture import MODEL, Architecture
from services.worker.engine import Engine, EngineDied, EngineRefused, Mortal
from services.worker.engines import ENGINES
from services.worker.engines.embedded import EmbeddedEngine
from services.worker.engines.embedded_parts import Parts
from services.worker.engines.settings import EngineSettings
from services.worker.speedometer import Speedometer
from shared.adapters.clock import SystemClock
from shared.adapters.profiles import load_profile
from shared.domain.errors import SettingsError
from shared.domain.outcome import FinishReason
from shared.messages.catalogue import Usage
from tests.contract.engine_promises import (
    EnginePromises,
    a_job,
    pieces_of,
    text_of,
    until_idle,
)
from tests.contract.logprob_promises import LogprobPromises, weighed
from tests.eventually import eventually

CONTEXT_TOKENS = Architecture().max_position_embeddings


def an_engine(folder: Path = MODEL) -> Engine:
    settings = EngineSettings(engine="embedded", engine_model=str(folder), profile="embedded")
    return ENGINES["embedded"](settings, SystemClock())


def a_copy(folder: Path) -> Path:
    return shutil.copytree(MODEL, folder / "model")


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = an_engine()
    await engine.start()
    yield engine
    await engine.stop()


async def longest_pause_during(work: asyncio.Task[object]) -> float:
    """The longest time in which nobody else had a turn, as a share of all that the work took."""
    now = asyncio.get_running_loop().time
    began = last = now()
    longest_s = 0.0
    while not work.done():
        await asyncio.sleep(0)
        longest_s, last = max(longest_s, now() - last), now()
    return longest_s / (last - began)


class TestEmbeddedEngine(EnginePromises, LogprobPromises):
    context_tokens: ClassVar[int] = CONTEXT_TOKENS

    def a_prompt(self, tokens: int) -> str:
        # Each number, and the space before it, is one word of the vocabulary.
        return " 1" * tokens

    async def test_no_piece_says_that_it_is_synthetic(self, engine: Engine) -> None:
        pieces = await pieces_of(engine, a_job())

        assert not any(piece.is_synthetic for piece in pieces)

    async def test_infills_end_by_themselves_where_the_suffix_goes_on(self, engine: Engine) -> None:
        places = (
            (
                "def size(path):\n    return os.path.get",
                "\n\n\ndef exists(path):\n    return True\n",
            ),
            ("def read(path):\n    with open(path) as f", "\n        return f.read()\n"),
            ("    def push(self, item):\n        self.items.", "\n\n    def pop(self):\n"),
            ("    if value is None:\n        raise ", "\n    return value\n"),
        )
        jobs = [
            a_job(f"task-{n}@0.1", prompt=prefix, suffix=suffix, max_tokens=40, is_endless=False)
            for n, (prefix, suffix) in enumerate(places)
        ]

        answers = await asyncio.gather(*(pieces_of(engine, job) for job in jobs))

        ends = [pieces[-1].finish_reason for pieces in answers]
        assert ends == [FinishReason.STOP] * 4
        assert not any("\n" in text_of(pieces) for pieces in answers)

    async def test_an_answer_goes_on_within_the_word_that_the_cursor_cut(
        self, engine: Engine
    ) -> None:
        job = a_job(prompt="def f(xs):\n    if not xs:\n        retu", max_tokens=1)

        (piece,) = await pieces_of(engine, job)

        assert piece.text == "rn"
        assert piece.usage == Usage(prompt_tokens=17, completion_tokens=1)

    async def test_of_a_word_that_the_cursor_cut_only_the_rest_is_weighed(
        self, engine: Engine
    ) -> None:
        job = a_job(prompt="def f(xs):\n    if not xs:\n        retu", max_tokens=1)

        (piece,) = await pieces_of(engine, weighed(job, 2))

        (told,) = piece.logprobs
        assert (told.token, told.top[0].token) == ("rn", "rn")
        # Nothing else goes on from there, so there is hardly a doubt.
        assert told.logprob > -0.01

    async def test_the_refusal_of_a_long_prompt_names_both_lengths(self, engine: Engine) -> None:
        with pytest.raises(EngineRefused, match=f"{CONTEXT_TOKENS} tokens.* {CONTEXT_TOKENS}$"):
            await pieces_of(engine, a_job(prompt=self.a_prompt(CONTEXT_TOKENS)))

    async def test_a_prompt_may_fill_the_context_to_the_last_token(self, engine: Engine) -> None:
        pieces = await pieces_of(engine, a_job(prompt=self.a_prompt(CONTEXT_TOKENS - 1)))

        assert pieces[-1].usage is not None
        assert pieces[-1].usage.prompt_tokens == CONTEXT_TOKENS - 1
        assert pieces[-1].usage.completion_tokens == 1
        assert pieces[-1].finish_reason is FinishReason.LENGTH

    async def test_others_go_on_while_a_prompt_is_read(self, engine: Engine) -> None:
        reading = asyncio.create_task(pieces_of(engine, a_job(prompt=self.a_long_prompt())))

        assert await longest_pause_during(reading) < 0.5

    async def test_others_go_on_while_a_long_text_becomes_tokens(self, engine: Engine) -> None:
        refused = asyncio.create_task(pieces_of(engine, a_job(prompt="x = 1\n" * 40_000)))

        assert await longest_pause_during(refused) < 0.5
        assert isinstance(refused.exception(), EngineRefused)

    async def test_a_job_can_be_aborted_before_its_text_became_tokens(self, engine: Engine) -> None:
        reading = asyncio.create_task(pieces_of(engine, a_job(prompt="x = 1\n" * 40_000)))
        await eventually(lambda: engine.load().waiting > 0, within_s=2, saying="the job is in")

        await engine.abort(a_job().id)
        await eventually(reading.done, within_s=0.1, saying="it has left")

        assert await reading == []
        await until_idle(engine)

    async def test_what_is_urgent_overtakes_what_waits(self, engine: Engine) -> None:
        order: list[str] = []

        async def ask(name: str, priority: int) -> None:
            await pieces_of(engine, a_job(name, prompt=self.a_prompt(600), priority=priority))
            order.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(ask("first@0.1", 5))
            await eventually(lambda: engine.load().running > 0, within_s=2, saying="it is in")
            group.create_task(ask("patient@0.1", 9))
            group.create_task(ask("urgent@0.1", 1))

        assert order == ["first@0.1", "urgent@0.1", "patient@0.1"]

    async def test_at_a_temperature_the_seed_decides(self, engine: Engine) -> None:
        async def asked(seed: int) -> str:
            job = a_job(max_tokens=30)
            body = job.body.model_copy(update={"temperature": 1.0, "seed": seed})
            return text_of(await pieces_of(engine, replace(job, body=body)))

        one, other, again = await asked(1), await asked(2), await asked(1)

        assert one == again != other

    @pytest.mark.parametrize("name", ["tools", "truncate_prompt_tokens"])
    async def test_what_it_cannot_obey_is_refused_by_name(self, engine: Engine, name: str) -> None:
        job = a_job(is_chat=True)
        asked = replace(job, body=job.body.model_copy(update={"extra": {name: 5}}))

        with pytest.raises(EngineRefused, match=name) as refused:
            await pieces_of(engine, asked)

        assert refused.value.is_permanent

    async def test_a_prompt_of_token_ids_is_read_as_the_text_they_stand_for(
        self, engine: Engine
    ) -> None:
        vocabulary = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
        ids: list[JsonValue] = [*vocabulary.encode("def add(a, b):").ids]

        of_text = await pieces_of(engine, a_job(prompt="def add(a, b):"))
        of_ids = await pieces_of(engine, a_job(prompt="", prompt_token_ids=ids))

        assert text_of(of_ids) == text_of(of_text)
        with pytest.raises(EngineRefused, match="between 0 and 4095"):
            await pieces_of(engine, a_job(prompt="", prompt_token_ids=[4096]))

    async def test_all_streams_of_a_stopped_engine_end_with_its_death(self, engine: Engine) -> None:
        pieces = engine.generate(a_job(max_tokens=3000))
        await anext(pieces)

        await engine.stop()

        with pytest.raises(EngineDied):
            async for _ in pieces:
                pass
        with pytest.raises(EngineDied):
            await pieces_of(engine, a_job("task-2@0.1"))

    async def test_an_engine_whose_computation_breaks_ends_its_streams_and_knows(self) -> None:
        parts = Parts.load(MODEL, places=2, threads=1)
        # Prompts are read at the last place, which the cache of this model lacks.
        beyond = replace(parts, places=9)
        profile = load_profile("embedded")
        engine = EmbeddedEngine(
            parts=beyond, profile=profile, clock=SystemClock(), speed=Speedometer.of(profile)
        )
        assert isinstance(engine, Mortal)
        await engine.start()
        assert engine.death() is None

        async with asyncio.timeout(5):
            with pytest.raises(EngineDied):
                await pieces_of(engine, a_job())
            with pytest.raises(EngineDied):
                await pieces_of(engine, a_job("task-2@0.1"))
        assert engine.death() is not None
        await until_idle(engine)
        await engine.stop()

    async def test_the_load_learns_how_long_steps_take(self, engine: Engine) -> None:
        # Steps are learned of together, some dozens at a time.
        await pieces_of(engine, a_job(max_tokens=1000))

        fitted = engine.load().fitted

        assert fitted is not None
        assert fitted.timings > 1


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "graph.onnx"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (a_copy(tmp_path) / name).unlink()

    with pytest.raises(SettingsError, match=f"CATO_ENGINE_MODEL.* lacks {name}"):
        an_engine(tmp_path / "model")


def test_weights_that_were_cut_off_are_refused(tmp_path: Path) -> None:
    weights = a_copy(tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])

    with pytest.raises(SettingsError, match="do not fit each other"):
        an_engine(tmp_path / "model")


def test_the_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    config = a_copy(tmp_path) / "config.json"
    config.write_text(
        config.read_text().replace('"num_hidden_layers": 4', '"num_hidden_layers": 5')
    )

    with pytest.raises(SettingsError, match="do not fit each other"):
        an_engine(tmp_path / "model")


def test_the_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    file = a_copy(tmp_path) / "tokenizer.json"
    file.write_text(file.read_text().replace("<|fim_middle|>", "<|fim_muddle|>"))

    with pytest.raises(SettingsError, match=r"tokenizer.json lacks the marks <\|fim_middle\|>"):
        an_engine(tmp_path / "model")


def test_without_a_model_the_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="CATO_ENGINE_MODEL is not set"):
        ENGINES["embedded"](EngineSettings(engine="embedded"), SystemClock())
