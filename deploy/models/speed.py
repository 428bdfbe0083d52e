"""How fast the embedded engine is, asked as a worker asks it: `python -m deploy.models.speed`.

Times are of the wall clock, the best of several, each prompt a new one; the start includes what
Python imports.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

from deploy.models.architecture import MODEL
from services.worker.engine import Engine, Job, JobId
from services.worker.engines import ENGINES
from services.worker.engines.settings import EngineSettings
from shared.adapters.clock import SystemClock
from shared.domain.task import Prediction
from shared.messages.body import Body

_BEST_OF: Final = 7
_STREAMS: Final = 8
_TOKENS: Final = 100
_NUMBERS: Final = count()


def a_job(prompt_tokens: int, max_tokens: int) -> Job:
    """The prompt has about so many tokens: a digit and its space are one."""
    number = next(_NUMBERS)
    rng = Random(number)
    prompt = "".join(f" {rng.randrange(10)}" for _ in range(prompt_tokens))
    return Job(
        id=JobId(f"{number}@0.1"),
        kind="completion",
        body=Body(
            route="completions", prompt=prompt, max_tokens=max_tokens, extra={"ignore_eos": True}
        ),
        prediction=Prediction(prompt_tokens=10, output_tokens_p50=10, output_tokens_p90=20),
    )


async def answered(engine: Engine, prompt_tokens: int, max_tokens: int) -> None:
    async for _ in engine.generate(a_job(prompt_tokens, max_tokens)):
        pass


async def best_s(clock: SystemClock, work: Callable[[], Awaitable[object]]) -> float:
    took = []
    for _ in range(_BEST_OF):
        began = clock.monotonic()
        await work()
        took.append(clock.monotonic() - began)
    return min(took)


async def measure(folder: Path, threads: int) -> str:
    clock = SystemClock()
    began = clock.monotonic()
    settings = EngineSettings(engine_model=str(folder), engine_threads=threads, profile="embedded")
    engine = ENGINES["embedded"](settings, clock)
    await engine.start()
    start_s = clock.monotonic() - began
    short_s = await best_s(clock, lambda: answered(engine, 256, 1))
    long_s = await best_s(clock, lambda: answered(engine, 1000, 1))
    streams_s = await best_s(
        clock, lambda: asyncio.gather(*(answered(engine, 32, _TOKENS) for _ in range(_STREAMS)))
    )
    await engine.stop()
    return (
        f"start {start_s:.2f} s; first token of 256 tokens {short_s * 1e3:.0f} ms,"
        f" of 1,000 {long_s * 1e3:.0f} ms; {_STREAMS} streams"
        f" {_STREAMS * _TOKENS / streams_s:,.0f} tokens/s\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.models.speed", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    sys.stdout.write(asyncio.run(measure(options.model, options.threads)))


if __name__ == "__main__":
    main()
