"""The smallest task that passes every part of the house: 100 tokens in, 8 out."""

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Final

from loadgen.drivers.asking import Manner, Request
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.arrivals import poisson
from loadgen.workloads.corpus import CHARS_PER_TOKEN, Prompt
from loadgen.workloads.mixes import COMPLETION, ROUTES
from shared.adapters.profiles import load_profile

PROMPT_TOKENS: Final = 100
OUTPUT_TOKENS: Final = 8
_LINE: Final = "result.append(value)\n"


def short_tasks(model: str, rate: float, duration_s: float, seed: int) -> list[Request]:
    """Poisson arrivals; the same seed gives the same instants to whoever is compared."""
    times = poisson(rate, duration_s, Random(f"{seed}/short"))
    return [_ask(_manner(model), number, at_s) for number, at_s in enumerate(times)]


def endless_short_tasks(model: str) -> Iterator[Request]:
    manner = _manner(model)
    return (_ask(manner, number, 0.0) for number in count())


def _manner(model: str) -> Manner:
    return Manner(model=model, alone=load_profile("reference"))


def _ask(manner: Manner, number: int, at_s: float) -> Request:
    arrival = Arrival(
        at_s=at_s,
        kind=COMPLETION,
        route=ROUTES[COMPLETION],
        prompt_tokens=PROMPT_TOKENS,
        output_tokens=OUTPUT_TOKENS,
        tenant="tenant-1",
        cut=0,
        seed=number,
    )
    # Different at its start, so that no prefix cache makes the engine look faster than it is.
    text = f"# {number}\n" + _LINE * (PROMPT_TOKENS * CHARS_PER_TOKEN // len(_LINE))
    # Without a suffix: the bare engine refuses one, and both must be asked the same.
    return manner.ask(arrival, Prompt(text=text))
