"""`loadgen model-error`: how far off the cost model was on what workers recorded."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from loadgen import cli_values
from loadgen.cli_values import UsageError
from loadgen.model_error import ErrorRow, errors, read_timings
from shared.adapters.profiles import PROFILES, load_profile

_Commands = argparse._SubParsersAction


def add_to(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "model-error",
        help="the cost model's error on recorded runs",
        description="Replays what workers wrote with CATO_RECORD_STEPS=DIR: each step and answer is"
        " foretold before it is learned. The prior is --profile, and the catalogue's lengths.",
    )
    command.add_argument("recordings", nargs="+", type=Path, metavar="DIR|FILE")
    command.add_argument("--profile", default="reference", help=", ".join(PROFILES) + ", or a file")
    command.add_argument(
        "--json", type=cli_values.file, metavar="FILE", help="write the table as JSON"
    )
    command.set_defaults(act=tell_errors)


def tell_errors(options: argparse.Namespace) -> int:
    recordings = [read_timings(file) for file in _files(options.recordings)]
    rows = errors(recordings, load_profile(options.profile))
    if not rows:
        raise UsageError("nothing is recorded there; start workers with CATO_RECORD_STEPS=DIR")
    if options.json is not None:
        cli_values.write(options.json, TypeAdapter(list[ErrorRow]).dump_json(rows, indent=1))
    Console().print(_table(rows))
    return 0


def _files(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        yield from sorted(path.glob("*.jsonl")) if path.is_dir() else [path]


def _table(rows: Sequence[ErrorRow]) -> Table:
    table = Table("what", "foretold by", "mean error", "P50", "P95", "of", title="Relative errors")
    for row in rows:
        table.add_row(
            row.quantity,
            row.model,
            *(f"{share:.1%}" for share in (row.mean, row.p50, row.p95)),
            f"{row.count:,}",
        )
    return table
