"""`loadgen scale`: rules that size a fleet, in virtual time, on days whose rate changes."""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import Progress

from loadgen import cli_values
from loadgen.cli_values import UsageError
from loadgen.scale import KNOBS, ScaleRow, completed, scale, trials
from loadgen.scale_table import markdown
from loadgen.simulator.playing import TRACE
from loadgen.simulator.scaling import Shift
from loadgen.workloads.days import DAYS
from shared.adapters.profiles import PROFILES, load_profile
from shared.scheduling.policies import POLICIES

_Commands = argparse._SubParsersAction

_ROWS: Final = TypeAdapter(list[ScaleRow])


def add_to(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("scale", help="compare rules that size a fleet, in virtual time")
    command.add_argument("--rules", nargs="+", choices=[*KNOBS], default=[*KNOBS])
    command.add_argument("--days", nargs="*", choices=[*DAYS], default=[*DAYS])
    command.add_argument("--trace", type=Path, metavar="FILE", help="a day like this one, too")
    command.add_argument("--load-s", nargs="+", type=cli_values.positive, default=[30.0, 120.0])
    command.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    command.add_argument("--seconds", type=cli_values.count, default=1800, help="length of a day")
    command.add_argument("--hold", type=cli_values.positive, default=60.0, metavar="S")
    command.add_argument("--most", type=cli_values.count, default=8, help="workers")
    command.add_argument("--policy", choices=[*POLICIES], default="cato")
    command.add_argument("--mix", default="reference", help="reference, short, editor, or a file")
    command.add_argument("--profile", default="reference", help=", ".join(PROFILES) + ", or a file")
    command.add_argument("--processes", type=cli_values.count, default=os.cpu_count() or 1)
    command.add_argument(
        "--out", type=cli_values.folder, metavar="DIR", help="scale.md and scale.json"
    )
    command.set_defaults(act=scale_all)


def scale_all(options: argparse.Namespace) -> int:
    wanted = trials(_shifts(options), options.rules, options.hold)
    if not wanted:
        raise UsageError("no day to play: name one with --days, or --trace FILE")
    rows: list[ScaleRow] = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("days", total=len(wanted))
        for row in scale(wanted, processes=options.processes):
            rows.append(row)
            progress.advance(bar)
    rows = completed(rows, options.load_s)
    order = {name: place for place, name in enumerate(options.rules)}
    rows.sort(key=lambda row: (row.day, row.load_s, order[row.rule], row.knob, row.seed))
    told = markdown(rows)
    Console(soft_wrap=True).print(told, markup=False, highlight=False)
    if options.out is not None:
        _write(options.out, told, rows)
    return 0


def _shifts(options: argparse.Namespace) -> Iterator[Shift]:
    """One after the other on the same day, so that its arrivals are drawn once."""
    days = [(day, None) for day in options.days]
    if options.trace is not None:
        days.append((TRACE, options.trace))
    for day, trace in days:
        for seed in options.seeds:
            for load_s in options.load_s:
                yield Shift(
                    mix=cli_values.mix(options.mix),
                    profile=load_profile(options.profile),
                    day=day,
                    trace=trace,
                    seconds=options.seconds,
                    seed=seed,
                    load_s=load_s,
                    most=options.most,
                    policy=options.policy,
                )


def _write(out: Path, told: str, rows: Sequence[ScaleRow]) -> None:
    try:
        (out / "scale.md").write_text(told, encoding="utf-8")
        (out / "scale.json").write_bytes(_ROWS.dump_json(list(rows), indent=1))
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}") from error
