"""`loadgen robustness`: points lost where lengths, kinds or speeds are believed wrong."""

import argparse
import os
from collections.abc import Sequence
from typing import Final

from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import Progress

from loadgen import cli_values
from loadgen.cli_simulate import add_scene, refuse_impossible, scene_of
from loadgen.robustness import ERRORS, Loss, losses
from shared.scheduling.policies import POLICIES

_Commands = argparse._SubParsersAction

_LOADS: Final = [0.75, 1.0, 1.5]
_SEEDS: Final = [1, 2, 3]


def add_to(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("robustness", help="what wrong predictions cost, simulated")
    command.add_argument("--policies", nargs="+", choices=[*POLICIES], default=["cato", "hybrid"])
    command.add_argument("--loads", nargs="+", type=cli_values.positive, default=_LOADS)
    command.add_argument("--workers", type=cli_values.count, default=2)
    command.add_argument("--seeds", nargs="+", type=int, default=_SEEDS)
    command.add_argument("--processes", type=cli_values.count, default=os.cpu_count() or 1)
    command.add_argument(
        "--json", type=cli_values.file, metavar="FILE", help="write the table as JSON"
    )
    add_scene(command)
    command.set_defaults(act=tell_losses)


def tell_losses(options: argparse.Namespace) -> int:
    scenes = [
        scene_of(options, arrivals="gamma", load=load, workers=options.workers, seed=seed)
        for load in sorted(options.loads, reverse=True)
        for seed in options.seeds
    ]
    refuse_impossible(scenes[0])
    lost: list[Loss] = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("plays", total=len(scenes) * len(options.policies) * len(ERRORS))
        for done in losses(scenes, options.policies, processes=options.processes):
            if done is None:
                progress.advance(bar)
            else:
                lost.append(done)
    if options.json is not None:
        cli_values.write(options.json, TypeAdapter(list[Loss]).dump_json(lost, indent=1))
    told = _markdown(lost, options.loads, options.policies)
    Console(soft_wrap=True).print(told, markup=False, highlight=False)
    return 0


def _markdown(lost: Sequence[Loss], loads: Sequence[float], policies: Sequence[str]) -> str:
    """Attainment / mean over kinds, and in brackets the points of attainment lost."""
    at = {(each.error, each.load, each.policy): each for each in lost}
    columns = [(load, policy) for load in loads for policy in policies]
    head = ["believed wrong", *(f"{policy} {load:g}×" for load, policy in columns)]
    rows = [head, ["---"] * len(head)]
    for error in ERRORS:
        rows.append([error, *(_cell(at[error, load, policy]) for load, policy in columns)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(loss: Loss) -> str:
    return f"{loss.attainment:.3f} / {loss.kind_mean:.3f} ({-loss.points_lost:+.1f})"
