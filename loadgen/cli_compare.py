"""`loadgen compare`: policies × loads × seeds in virtual time, all on the same arrivals."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import Progress

from loadgen import cli_values
from loadgen.cli_simulate import add_scene, add_trace, refuse_impossible, scene_of
from loadgen.cli_values import UsageError
from loadgen.compare import Compared, Row, compare, scenes
from loadgen.compare_plots import draw
from loadgen.compare_table import markdown
from loadgen.simulator.playing import GAMMA, TIMES, TRACE, Scene
from shared.scheduling.policies import POLICIES

_Commands = argparse._SubParsersAction

_ROWS: Final = TypeAdapter(list[Row])


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """`hindsight`: steps of search for each scene."""

    loads: Sequence[float]
    workers: Sequence[int]
    arrivals: Sequence[str]
    hindsight: int


# Ends within ten minutes on two cores.
QUICK: Final = Grid(loads=(0.75, 1.0, 1.5, 2.0), workers=(2,), arrivals=(GAMMA,), hindsight=300)
FULL: Final = Grid(
    loads=(0.5, 0.75, 1.0, 1.25, 1.5, 2.0),
    workers=(2, 8),
    arrivals=tuple(TIMES),
    hindsight=1000,
)
_SEEDS: Final = [1, 2, 3, 4, 5, 6]


def add_to(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("compare", help="compare policies in virtual time")
    command.add_argument("--policies", nargs="+", choices=[*POLICIES], default=[*POLICIES])
    command.add_argument("--loads", nargs="+", type=cli_values.positive)
    command.add_argument("--workers", nargs="+", type=cli_values.count)
    command.add_argument("--seeds", nargs="+", type=int, default=_SEEDS)
    command.add_argument("--arrivals", nargs="+", choices=[*TIMES, TRACE])
    command.add_argument("--hindsight", type=cli_values.steps, metavar="STEPS", help="of search")
    command.add_argument("--full", action="store_true", help="every load, fleet and arrivals")
    command.add_argument("--no-limits", action="store_true", help="no hindsight, no upper bound")
    command.add_argument("--processes", type=cli_values.count, default=os.cpu_count() or 1)
    command.add_argument(
        "--out", type=cli_values.folder, metavar="DIR", help="compare.md, .json and plots"
    )
    add_scene(command)
    add_trace(command)
    command.set_defaults(act=compare_all)


def compare_all(options: argparse.Namespace) -> int:
    if options.prefix_share and not options.no_limits:
        raise UsageError("hindsight and bound know of no prefix cache; add --no-limits")

    def like(arrivals: str, load: float, workers: int, seed: int) -> Scene:
        return scene_of(options, arrivals=arrivals, load=load, workers=workers, seed=seed)

    grid = FULL if options.full else QUICK
    stage = scenes(
        like,
        arrivals=options.arrivals or grid.arrivals,
        loads=options.loads or grid.loads,
        workers=options.workers or grid.workers,
        seeds=options.seeds,
    )
    refuse_impossible(stage[0])
    compared = _compared(stage, options, grid.hindsight)
    told = markdown([each.row for each in compared])
    Console(soft_wrap=True).print(told, markup=False, highlight=False)
    if options.out is not None:
        _write(options.out, told, compared)
    return 0


def _compared(
    stage: Sequence[Scene], options: argparse.Namespace, usual_steps: int
) -> list[Compared]:
    compared: list[Compared] = []
    steps = usual_steps if options.hindsight is None else options.hindsight
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("scenes", total=len(stage))
        done = compare(
            stage,
            options.policies,
            processes=options.processes,
            steps=None if options.no_limits else steps,
        )
        for each in done:
            compared += each
            progress.advance(bar)
    order = {name: place for place, name in enumerate(options.policies)}
    return sorted(compared, key=lambda each: (order[each.row.policy], each.row.seed))


def _write(out: Path, told: str, compared: Sequence[Compared]) -> None:
    try:
        (out / "compare.md").write_text(told, encoding="utf-8")
        rows = [each.row for each in compared]
        (out / "compare.json").write_bytes(_ROWS.dump_json(rows, indent=1))
        draw(compared, out)
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}") from error
