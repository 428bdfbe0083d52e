"""`loadgen ablation`: what each part of `cato` is worth, one off at a time."""

import argparse
import os
from collections.abc import Sequence
from statistics import fmean
from typing import Final

from rich.console import Console
from rich.progress import Progress

from loadgen import cli_values
from loadgen.ablation import FULL, PARTS, Ablated, ablate
from loadgen.cli_simulate import add_scene, refuse_impossible, scene_of

_Commands = argparse._SubParsersAction

_LOADS: Final = [1.0, 1.5]
_SEEDS: Final = [1, 2, 3, 4, 5, 6]


def add_to(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("ablation", help="cato with one part off at a time, simulated")
    command.add_argument("--loads", nargs="+", type=cli_values.positive, default=_LOADS)
    command.add_argument("--workers", type=cli_values.count, default=2)
    command.add_argument("--seeds", nargs="+", type=int, default=_SEEDS)
    command.add_argument("--processes", type=cli_values.count, default=os.cpu_count() or 1)
    add_scene(command)
    command.set_defaults(act=tell_parts)


def tell_parts(options: argparse.Namespace) -> int:
    scenes = [
        scene_of(options, arrivals="gamma", load=load, workers=options.workers, seed=seed)
        for load in sorted(options.loads, reverse=True)
        for seed in options.seeds
    ]
    refuse_impossible(scenes[0])
    ablated: list[Ablated] = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("plays", total=len(scenes) * len(PARTS))
        for done in ablate(scenes, processes=options.processes):
            ablated.append(done)
            progress.advance(bar)
    told = markdown(ablated, options.loads)
    Console(soft_wrap=True).print(told, markup=False, highlight=False)
    return 0


def markdown(ablated: Sequence[Ablated], loads: Sequence[float]) -> str:
    """Attainment / mean over kinds, and in brackets what the part is worth in points of each."""
    head = ["off", *(f"{load:g}×" for load in loads)]
    rows = [head, ["---"] * len(head)]
    rows += [[part, *(_cell(ablated, part, load) for load in loads)] for part in PARTS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(ablated: Sequence[Ablated], part: str, load: float) -> str:
    without, full = (_means(ablated, name, load) for name in (part, FULL))
    told = f"{without[0]:.3f} / {without[1]:.3f}"
    if part == FULL:
        return told
    worth = [100 * (a - b) for a, b in zip(full, without, strict=True)]
    return f"{told} ({worth[0]:+.1f} / {worth[1]:+.1f})"


def _means(ablated: Sequence[Ablated], part: str, load: float) -> tuple[float, float]:
    plays = [each for each in ablated if each.part == part and each.load == load]
    return fmean(each.attainment for each in plays), fmean(each.kind_mean for each in plays)
