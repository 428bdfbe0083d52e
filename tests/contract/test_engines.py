"""The simulated engine keeps an engine's promises, and the time that its profile says."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.worker.engine import Engine, EngineDied, EngineRefused
from services.worker.engines import ENGINES
from services.worker.engines.settings import EngineSettings
from services.worker.engines.simulated import SimulatedEngine
from shared.adapters.clock import LoopClock
from shared.adapters.profiles import PROFILES, load_profile
from tests.builders import REFERENCE
from tests.contract.engine_promises import CONTEXT_TOKENS, EnginePromises, a_job, pieces_of
from tests.contract.logprob_promises import weighed

PROFILE = replace(REFERENCE, context_tokens=CONTEXT_TOKENS)

# The suite of each engine; those that need a network or threads run theirs with the integration
# tests, and vLLM has an environment of its own (`make test-vllm`).
SUITES = {
    "simulated": "tests/contract/test_engines.py",
    "embedded": "tests/integration/test_engine_embedded.py",
    "openai": "tests/integration/test_engine_openai.py",
    "vllm": "tests/vllm/test_engine.py",
}


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = SimulatedEngine(profile=PROFILE, clock=LoopClock())
    await engine.start()
    yield engine
    await engine.stop()


class TestSimulatedEngine(EnginePromises):
    async def test_the_first_token_comes_when_the_profile_says(self, engine: Engine) -> None:
        clock = LoopClock()
        began = clock.monotonic()

        await pieces_of(engine, a_job(prompt="x" * 4 * 5000, max_tokens=1))

        assert clock.monotonic() - began == pytest.approx(PROFILE.first_token_s(5000))

    async def test_time_does_not_drift_over_many_steps(self, engine: Engine) -> None:
        clock = LoopClock()
        began = clock.monotonic()

        await pieces_of(engine, a_job(prompt="x" * 400, max_tokens=3000))

        assert clock.monotonic() - began == pytest.approx(PROFILE.alone_s(100, 3000), rel=1e-4)

    async def test_every_piece_says_that_it_is_synthetic(self, engine: Engine) -> None:
        pieces = await pieces_of(engine, a_job())

        assert all(piece.is_synthetic for piece in pieces)
        assert "synthetic_" in pieces[0].text

    @pytest.mark.parametrize("name", ["tools", "response_format"])
    async def test_what_only_a_model_can_obey_is_refused_by_name(
        self, engine: Engine, name: str
    ) -> None:
        job = a_job(is_chat=True)
        asked = replace(job, body=job.body.model_copy(update={"extra": {name: [{"a": 1}]}}))

        with pytest.raises(EngineRefused, match=name) as refused:
            await pieces_of(engine, asked)

        assert refused.value.is_permanent

    async def test_made_up_tokens_have_no_log_probabilities(self, engine: Engine) -> None:
        with pytest.raises(EngineRefused, match="logprobs") as refused:
            await pieces_of(engine, weighed(a_job()))

        assert refused.value.is_permanent

    async def test_all_streams_of_a_dead_engine_end_with_its_death(self, engine: Engine) -> None:
        pieces = engine.generate(a_job(max_tokens=5000))
        await anext(pieces)

        await engine.stop()

        with pytest.raises(EngineDied):
            await anext(pieces)
        with pytest.raises(EngineDied):
            await pieces_of(engine, a_job("task-2@0.1"))

    async def test_lengths_follow_the_content_when_the_end_is_free(self, engine: Engine) -> None:
        jobs = [
            a_job(f"task-{n}@0.1", prompt=f"def f{n}():", max_tokens=4000, is_endless=False)
            for n in range(60)
        ]

        lengths = [sum(piece.tokens for piece in await pieces_of(engine, job)) for job in jobs]
        again = [sum(piece.tokens for piece in await pieces_of(engine, job)) for job in jobs[:5]]

        assert again == lengths[:5]
        assert 8 <= sorted(lengths)[30] <= 24  # the catalogue's median of a completion is 14


@pytest.mark.parametrize("name", PROFILES)
async def test_an_engine_serves_with_every_profile(name: str) -> None:
    engine = ENGINES["simulated"](EngineSettings(profile=name), LoopClock())
    await engine.start()

    pieces = await pieces_of(engine, a_job(max_tokens=7))
    await engine.stop()

    assert sum(piece.tokens for piece in pieces) == 7
    assert engine.profile == load_profile(name)


def test_every_engine_has_a_suite() -> None:
    assert SUITES.keys() == ENGINES.keys()
