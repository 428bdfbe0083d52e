"""`loadgen chains`: chains on time under one promise, under one for each step, and under none."""

import argparse
import os
from typing import Final

from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import Progress

from loadgen import cli_values
from loadgen.chains import ChainRow, compare_chains
from loadgen.chains_table import markdown
from loadgen.simulator.playing import GAMMA, Scene
from loadgen.workloads.chains import CHAINS
from shared.adapters.profiles import PROFILES, load_profile

_Commands = argparse._SubParsersAction

_LOADS: Final = [1.0, 1.25, 1.5]
_SEEDS: Final = [1, 2, 3, 4, 5, 6]


def add_to(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("chains", help="chains under one promise, simulated")
    command.add_argument("--loads", nargs="+", type=cli_values.positive, default=_LOADS)
    command.add_argument("--workers", type=cli_values.count, default=2)
    command.add_argument("--seeds", nargs="+", type=int, default=_SEEDS)
    command.add_argument("--duration", type=cli_values.positive, default=200.0, metavar="S")
    command.add_argument("--cv", type=cli_values.positive, default=2.0, help="of gamma's gaps")
    command.add_argument("--profile", default="reference", help=", ".join(PROFILES) + ", or a file")
    command.add_argument("--bound", action="store_true", help="what nobody could keep; takes long")
    command.add_argument("--processes", type=cli_values.count, default=os.cpu_count() or 1)
    command.add_argument(
        "--json", type=cli_values.file, metavar="FILE", help="write the rows as JSON"
    )
    command.set_defaults(act=tell_chains)


def tell_chains(options: argparse.Namespace) -> int:
    profile = load_profile(options.profile)
    cli_values.must_hold(profile, cli_values.longest_tokens(CHAINS))
    scenes = [
        Scene(
            mix=CHAINS,
            profile=profile,
            arrivals=GAMMA,
            load=load,
            workers=options.workers,
            duration_s=options.duration,
            seed=seed,
            cv=options.cv,
        )
        for load in sorted(options.loads, reverse=True)
        for seed in options.seeds
    ]
    rows: list[ChainRow] = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("scenes", total=len(scenes))
        for done in compare_chains(scenes, processes=options.processes, bounded=options.bound):
            rows += done
            progress.advance(bar)
    if options.json is not None:
        cli_values.write(options.json, TypeAdapter(list[ChainRow]).dump_json(rows, indent=1))
    Console(soft_wrap=True).print(markdown(rows), markup=False, highlight=False)
    return 0
