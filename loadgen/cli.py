"""`run` plays a workload, `report` puts finished runs side by side, `bench` measures the house."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadgen import (
    cli_ablation,
    cli_bench,
    cli_capacity,
    cli_chains,
    cli_compare,
    cli_model_error,
    cli_robustness,
    cli_run,
    cli_scale,
    cli_simulate,
)
from loadgen.bench.errors import BenchError
from loadgen.cli_values import UsageError, folder, written
from loadgen.drivers.errors import DriverError
from loadgen.extra import ExtraMissing
from loadgen.report.document import ReportUnreadable, read_runs
from loadgen.report.table import show, terminal
from loadgen.workloads.errors import WorkloadError
from shared.domain.errors import SettingsError

_FORESEEN: Final = (
    DriverError,
    WorkloadError,
    ReportUnreadable,
    UsageError,
    BenchError,
    SettingsError,
    ExtraMissing,
)
_REFUSED: Final = 2
_INTERRUPTED: Final = 130


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    try:
        return int(options.act(options))
    except _FORESEEN as error:
        sys.stderr.write(f"loadgen: {error}\n")
        return _REFUSED
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadgen", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    cli_run.add_to(commands)
    cli_bench.add_to(commands)
    cli_simulate.add_to(commands)
    cli_compare.add_to(commands)
    cli_capacity.add_to(commands)
    cli_scale.add_to(commands)
    cli_model_error.add_to(commands)
    cli_robustness.add_to(commands)
    cli_ablation.add_to(commands)
    cli_chains.add_to(commands)
    report = commands.add_parser("report", help="put the report.json of several runs side by side")
    report.add_argument("files", nargs="+", type=Path, metavar="FILE")
    report.add_argument(
        "--out", type=folder, metavar="DIR", help="write report.html and report.json"
    )
    report.set_defaults(act=_report)
    return parser


def _report(options: argparse.Namespace) -> int:
    runs = tuple(run for file in options.files for run in read_runs(file))
    if options.out is not None:
        written(runs, options.out)
    show(runs, terminal())
    return 0
