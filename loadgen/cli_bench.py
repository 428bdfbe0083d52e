"""`loadgen bench`: the house measured with parts that cost nothing themselves."""

import argparse
import asyncio
import signal
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvloop

from loadgen.bench import agreement, latency, overload, scheduler, simulator, throughput
from loadgen.bench.sheet import Sheet, encode, show
from loadgen.cli_values import UsageError, file, folder, positive, write
from loadgen.report.table import terminal
from shared.scheduling.policies import POLICIES

_Measuring = Coroutine[None, None, list[Sheet]]
_Bench = Callable[[Path, argparse.Namespace], _Measuring]
_Commands = argparse._SubParsersAction
_TERMINATED: Final = 143


def add_to(commands: "_Commands[argparse.ArgumentParser]") -> None:
    bench = commands.add_parser("bench", help="measure the house itself")
    bench.add_argument("what", choices=BENCHES)
    bench.add_argument("--json", type=file, metavar="FILE", help="write the figures there")
    bench.add_argument("--quick", action="store_true", help="shorter, and less certain")
    bench.add_argument("--kafka", default="real", help="real, embedded, or a broker's address")
    bench.add_argument("--against", choices=["ray"], help="latency: measure Ray Serve beside it")
    bench.add_argument("--ray-python", metavar="PATH", help="an interpreter with ray[serve]")
    agreed = bench.add_argument_group("agreement", "only some of its scenes")
    agreed.add_argument("--policies", nargs="+", choices=[*POLICIES])
    agreed.add_argument("--loads", nargs="+", type=positive)
    agreed.add_argument("--seeds", nargs="+", type=int)
    bench.add_argument("--out", type=folder, metavar="DIR", help="keep logs and traces there")
    bench.set_defaults(act=run_bench)


def run_bench(options: argparse.Namespace) -> int:
    if options.ray_python and options.against is None:
        raise UsageError("--ray-python goes with --against ray")
    if options.what != "agreement" and (options.policies or options.loads or options.seeds):
        raise UsageError("--policies, --loads and --seeds go with agreement")
    with tempfile.TemporaryDirectory(prefix="cato-bench-") as passing:
        directory = options.out or Path(passing)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                sheets = runner.run(_until_terminated(BENCHES[options.what](directory, options)))
            except asyncio.CancelledError:
                return _TERMINATED
    show(sheets, terminal())
    if options.json is not None:
        write(options.json, encode(options.what, sheets).encode())
    return 0


async def _until_terminated(measuring: _Measuring) -> list[Sheet]:
    """What was started is ended in order, also when somebody ends the measurement."""
    task = asyncio.ensure_future(measuring)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _latency(directory: Path, options: argparse.Namespace) -> _Measuring:
    effort = latency.Effort.quick() if options.quick else latency.Effort()
    rays = latency.Rays(python=options.ray_python) if options.against else None
    return latency.latency(directory, effort, kafka=options.kafka, rays=rays)


def _throughput(directory: Path, options: argparse.Namespace) -> _Measuring:
    effort = throughput.Effort.quick() if options.quick else throughput.Effort()
    return throughput.throughput(directory, effort, kafka=options.kafka)


def _scheduler(directory: Path, options: argparse.Namespace) -> _Measuring:
    effort = scheduler.Effort.quick() if options.quick else scheduler.Effort()
    return scheduler.scheduler(directory, effort)


def _overload(directory: Path, options: argparse.Namespace) -> _Measuring:
    effort = overload.Effort.quick() if options.quick else overload.Effort()
    return overload.overload(directory, effort, kafka=options.kafka)


def _agreement(directory: Path, options: argparse.Namespace) -> _Measuring:
    effort = agreement.Effort.quick() if options.quick else agreement.Effort()
    chosen = replace(
        effort,
        policies=options.policies or effort.policies,
        loads=options.loads or effort.loads,
        seeds=options.seeds or effort.seeds,
    )
    return agreement.agreement(directory, chosen, kafka=options.kafka)


def _simulator(directory: Path, options: argparse.Namespace) -> _Measuring:
    return simulator.simulator(simulator.Effort.quick() if options.quick else simulator.Effort())


BENCHES: Final[Mapping[str, _Bench]] = {
    "latency": _latency,
    "throughput": _throughput,
    "scheduler": _scheduler,
    "simulator": _simulator,
    "overload": _overload,
    "agreement": _agreement,
}
