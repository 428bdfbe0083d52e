"""How long steps of the embedded engine take: `python -m deploy.models.step_times`.

Steps of many shapes are timed one by one, as the engine hands them to its thread, and the
coefficients of a profile are fitted to them, by least squares over relative errors.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import fmean, median
from typing import Final

from deploy.models.architecture import MODEL
from services.worker.engines.embedded_batch import Member, Step
from services.worker.engines.embedded_choice import Choice
from services.worker.engines.embedded_parts import Parts
from shared.adapters.clock import SystemClock
from shared.scheduling.fitting import Timing
from shared.scheduling.linear import nonnegative_solution
from shared.scheduling.step_time import StepTime

_PLACES: Final = 16
_REPEATS: Final = 9
_SEQUENCES: Final = (0, 1, 2, 4, 8, 16)
_CHUNKS: Final = (0, 16, 64, 256)
# Tokens that are already in the cache.
_HELD: Final = (100, 500, 1500, 3500)


def steps() -> Iterator[Step]:
    for sequences, chunk, held in product(_SEQUENCES, _CHUNKS, _HELD):
        if sequences or chunk:
            reading = _member(held, chunk) if chunk else None
            yield Step(
                moves=(),
                prefilling=reading,
                chunk_tokens=chunk,
                decoding=tuple(_member(held, 1) for _ in range(sequences)),
            )


def _member(held: int, new: int) -> Member:
    tokens = [token % 4000 + 5 for token in range(held + new)]
    return Member(prompt_tokens=held + new, rank=(0, 0), tokens=tokens, cached=held)


def timed(parts: Parts, all_steps: Sequence[Step]) -> list[Timing]:
    """Each as the median of several, which lie far apart in time."""
    clock = SystemClock()
    took: list[list[float]] = [[] for _ in all_steps]
    with ThreadPoolExecutor(1) as thread:
        for _ in range(_REPEATS):
            for step, times in zip(all_steps, took, strict=True):
                choices = [_greedy() for _ in step.emitting()]
                began = clock.monotonic()
                thread.submit(parts.compute, step, choices).result()
                times.append(clock.monotonic() - began)
    return [_timing(step, median(times)) for step, times in zip(all_steps, took, strict=True)]


def _greedy() -> Choice:
    return Choice(temperature=0.0, top_p=1.0, seed=0, never=[])


def _timing(step: Step, took_s: float) -> Timing:
    read = step.prefilling.cached if step.prefilling else 0
    return Timing(
        took_s=took_s,
        prefill_tokens=step.chunk_tokens,
        prefill_context=step.chunk_tokens * read,
        sequences=len(step.decoding),
        kv_tokens=step.kv_tokens(),
    )


def fitted(timings: Sequence[Timing]) -> StepTime:
    rows = [[each / timing.took_s for each in timing.features()] for timing in timings]
    # Of one magnitude each, or else the equations cannot be solved.
    units = [max(column) for column in zip(*rows, strict=True)]
    scaled = [[value / unit for value, unit in zip(row, units, strict=True)] for row in rows]
    columns = list(zip(*scaled, strict=True))
    gram = [[sum(map(float.__mul__, a, b)) for b in columns] for a in columns]
    solved = nonnegative_solution(gram, [sum(column) for column in columns])
    return StepTime.of([value / unit for value, unit in zip(solved, units, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.models.step_times", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    parts = Parts.load(options.model, places=_PLACES + 1, threads=options.threads)
    timings = timed(parts, list(steps()))
    step_time = fitted(timings)
    off = [abs(_foretold_s(step_time, each) / each.took_s - 1) for each in timings]
    names = ("base_s", "prefill_s", "attention_s", "decode_s", "kv_s")
    for name, value in zip(names, step_time.coefficients(), strict=True):
        sys.stdout.write(f"{name} {value:.2g}\n")
    sys.stdout.write(f"{len(off)} steps, off by {median(off):.0%} (median), {fmean(off):.0%}\n")


def _foretold_s(step_time: StepTime, timing: Timing) -> float:
    return sum(map(float.__mul__, step_time.coefficients(), timing.features()))


if __name__ == "__main__":
    main()
