"""What each part of `cato` is worth: the same arrivals with one part off at a time."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from loadgen.parallel import as_done
from loadgen.simulator.playing import Scene, play_with
from shared.scheduling.policies.cato import Cato

FULL: Final = "nothing"
_CATO: Final = Cato()
# Named by what is off.
PARTS: Final[Mapping[str, Cato]] = {
    FULL: _CATO,
    "prompts held back in the worker": replace(_CATO, feeder="fcfs"),
    "short window: 50 ms": replace(_CATO, ahead_s=0.05),
    "short window: 150 ms": replace(_CATO, ahead_s=0.15),
    "steps shared by short prompts (with --mix short)": replace(_CATO, sharing=0.0),
    "price on work": replace(_CATO, price_calm=0.0, price_rush=0.0),
    "price that rises": replace(_CATO, price_rush=_CATO.price_calm),
    "whole answers begun with time to decode": replace(_CATO, paced_share=0.0),
    "waiting for its home (with --typing --prefix-share)": replace(_CATO, home_price=0.0),
    "keeping apart in a rush": replace(_CATO, apart_s=math.inf),
    "nothing, but favour 0: promises": replace(_CATO, favour=0.0),
    "nothing, but favour 1: kinds": replace(_CATO, favour=1.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablated:
    """One play without one part."""

    part: str
    load: float
    seed: int
    attainment: float
    kind_mean: float


def ablate(scenes: Sequence[Scene], *, processes: int) -> Iterator[Ablated]:
    """Each part in each scene, as they are done."""
    return as_done(_without, product(scenes, PARTS), processes=processes)


def _without(play: tuple[Scene, str]) -> Ablated:
    scene, part = play
    figures = play_with(scene, PARTS[part], scene.workload()).figures
    return Ablated(
        part=part,
        load=scene.load,
        seed=scene.seed,
        attainment=figures.total.attainment or 0.0,
        kind_mean=figures.mean_over_kinds or 0.0,
    )
