"""`loadgen compare`: policies × loads × seeds in virtual time, all on the same arrivals."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import Progress

from loadgen import cli_values
from loadgen.cli_simulate import add_scene, scene_of
from loadgen.cli_values import UsageError
from loadgen.compare import Compared, Row, compare, scenes
from loadgen.compare_page import page
from loadgen.compare_table import markdown
from loadgen.simulator.playing import TIMES, TRACE, Scene
from shared.scheduling.policies import POLICIES

_Commands = argparse._SubParsersAction

_ROWS: Final = TypeAdapter(list[Row])
_LOADS: Final = [0.5, 0.75, 1.0, 1.25, 1.5, 2.0]
_SEEDS: Final = [1, 2, 3, 4, 5, 6]
# Ten times the longest promise, so that no figure is all beginning and end.
_DURATION_S: Final = 200.0


def add_to(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("compare", help="compare policies in virtual time")
    command.add_argument("--policies", nargs="+", choices=[*POLICIES], default=[*POLICIES])
    command.add_argument("--loads", nargs="+", type=cli_values.positive, default=_LOADS)
    command.add_argument("--workers", nargs="+", type=cli_values.count, default=[2])
    command.add_argument("--seeds", nargs="+", type=int, default=_SEEDS)
    command.add_argument("--arrivals", nargs="+", choices=[*TIMES, TRACE], default=["gamma"])
    command.add_argument("--processes", type=cli_values.count, default=os.cpu_count() or 1)
    command.add_argument("--out", type=Path, metavar="DIR", help="compare.md, .json and .html")
    add_scene(command)
    command.set_defaults(act=compare_all, duration=_DURATION_S)


def compare_all(options: argparse.Namespace) -> int:
    def like(arrivals: str, load: float, workers: int, seed: int) -> Scene:
        return scene_of(options, arrivals=arrivals, load=load, workers=workers, seed=seed)

    stage = scenes(
        like,
        arrivals=options.arrivals,
        loads=options.loads,
        workers=options.workers,
        seeds=options.seeds,
    )
    compared = _compared(stage, options)
    told = markdown([each.row for each in compared])
    Console(soft_wrap=True).print(told, markup=False, highlight=False)
    if options.out is not None:
        _write(options.out, told, compared)
    return 0


def _compared(stage: Sequence[Scene], options: argparse.Namespace) -> list[Compared]:
    compared: list[Compared] = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("scenes", total=len(stage))
        for done in compare(stage, options.policies, processes=options.processes):
            compared += done
            progress.advance(bar)
    order = {name: place for place, name in enumerate(options.policies)}
    return sorted(compared, key=lambda each: (order[each.row.policy], each.row.seed))


def _write(out: Path, told: str, compared: Sequence[Compared]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "compare.md").write_text(told, encoding="utf-8")
        rows = [each.row for each in compared]
        (out / "compare.json").write_bytes(_ROWS.dump_json(rows, indent=1))
        (out / "compare.html").write_text(page(compared), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}") from error
