"""What a worker learns and tells of its engine's speed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from services.worker.engine import Job, JobId
from services.worker.engines.simulated import SimulatedEngine
from services.worker.engines.visible_pace import VisiblePace
from services.worker.speedometer import Recording, Speedometer
from shared.adapters.clock import LoopClock
from shared.domain.errors import SettingsError
from shared.domain.task import Prediction
from shared.messages.body import Body
from shared.scheduling.fitting import Timing
from tests.builders import REFERENCE
from tests.contract.engine_promises import a_job

SLOWER = replace(REFERENCE.step_time, base_s=0.012, prefill_s=1 / 12_500)


async def test_a_simulated_engine_is_timed_as_its_profile_steps() -> None:
    slow = replace(REFERENCE, step_time=SLOWER)
    engine = SimulatedEngine(profile=slow, clock=LoopClock(), speed=Speedometer.of(REFERENCE))
    await engine.start()
    assert engine.load().fitted is None

    for number in range(20):
        async for _ in engine.generate(a_job(f"job-{number}", max_tokens=20)):
            pass

    fitted = engine.load().fitted
    await engine.stop()
    assert fitted is not None
    assert fitted.base_s == pytest.approx(0.012, rel=0.1)


def test_a_server_is_timed_by_the_tokens_that_come() -> None:
    clock = HandClock()
    pace = VisiblePace.of(REFERENCE, clock, None)

    for number in range(200):
        served(pace, clock, f"job-{number}", prompt_tokens=(number % 5 + 1) * 300)

    fitted = pace.speed.fit.step_time()
    assert fitted.base_s == pytest.approx(SLOWER.base_s, rel=0.1)
    assert fitted.prefill_s == pytest.approx(SLOWER.prefill_s, rel=0.1)


def test_prompts_that_are_prefilled_together_teach_nothing() -> None:
    clock = HandClock()
    pace = VisiblePace.of(REFERENCE, clock, None)

    for name in ("one", "two"):
        pace.enter(a_prompt(name, 1000))
    clock.at += 5.0
    for name in ("one", "two"):
        pace.note(JobId(name), 1)

    assert pace.speed.fit.learned == 0


def test_late_timers_do_not_make_an_engine_look_faster_than_it_is() -> None:
    speed = Speedometer.of(REFERENCE)

    for number in range(2000):
        late_s = 0.003 if number % 2 else -0.003
        speed.note(a_timing(took_s=0.006 + late_s))

    assert speed.fit.foretold_s(a_timing(took_s=1)) == pytest.approx(0.006, rel=0.02)


def test_a_recording_holds_whole_lines_of_numbers(tmp_path: Path) -> None:
    speed = Speedometer.of(REFERENCE, tmp_path / "new")

    for _ in range(3):
        speed.note(a_timing(took_s=0.1))

    (file,) = (tmp_path / "new").iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["step"]["took_s"] for line in lines] == [0.1] * 3


def test_a_recording_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.touch()

    with pytest.raises(SettingsError, match="CATO_RECORD_STEPS"):
        Recording.to(occupied)


class HandClock:
    """Stands still until it is moved."""

    at = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, duration_s: float) -> None:
        self.at += duration_s


def served(pace: VisiblePace, clock: HandClock, id: str, *, prompt_tokens: int) -> None:
    """Ten tokens of one answer, as fast as the slower engine gives them."""
    pace.enter(a_prompt(id, prompt_tokens))
    for token in range(10):
        clock.at += SLOWER.step_s(
            prefill_tokens=0 if token else prompt_tokens,
            prefill_context=0,
            sequences=1 if token else 0,
            kv_tokens=prompt_tokens + token if token else 0,
        )
        pace.note(JobId(id), 1)
    pace.leave(JobId(id))


def a_timing(*, took_s: float) -> Timing:
    return Timing(took_s=took_s, prefill_tokens=0, prefill_context=0, sequences=1, kv_tokens=100)


def a_prompt(id: str, prompt_tokens: int) -> Job:
    prediction = Prediction(prompt_tokens=prompt_tokens, output_tokens_p50=10, output_tokens_p90=20)
    body = Body(route="completions", prompt="x", max_tokens=10)
    return Job(id=JobId(id), kind="completion", body=body, prediction=prediction)
