"""`loadgen run`: one workload, played once at a live server."""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import uvloop
from rich.console import Console

from loadgen import cli_values
from loadgen.cli_values import UsageError
from loadgen.drivers.asking import Manner, Request
from loadgen.drivers.client import Client
from loadgen.drivers.open_loop import Played, play
from loadgen.drivers.progress import Tally, shown
from loadgen.report.document import RunReport, encode
from loadgen.report.table import show, terminal
from loadgen.report.tally import figures_of
from loadgen.simulator.capacity import capacity_per_s
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.arrivals import ARRIVALS
from loadgen.workloads.corpus import Corpus
from loadgen.workloads.mixes import Mix
from loadgen.workloads.sessions import Typing
from loadgen.workloads.trace import WHOLE, read_trace
from loadgen.workloads.workload import Crowd, build, replay
from shared.adapters.profiles import PROFILES, load_profile

TRACE: Final = "trace"
_NOTHING_ANSWERED: Final = 1

_Commands = argparse._SubParsersAction


def add_to(commands: "_Commands[argparse.ArgumentParser]") -> None:
    run = commands.add_parser("run", help="play a workload at a live server, at its own pace")
    run.add_argument("--url", required=True, help="of the server, e.g. http://127.0.0.1:8000")
    run.add_argument("--api-key-file", type=Path, metavar="FILE", help="one key a line: by tenant")
    run.add_argument("--model", help="by default the first that the server lists")
    _add_workload(run)
    _add_manner(run)
    _add_output(run)
    run.set_defaults(act=run_once)


def _add_workload(run: argparse.ArgumentParser) -> None:
    number = cli_values.positive
    run.add_argument("--seconds", type=number, default=60.0)
    rate = run.add_mutually_exclusive_group()
    rate.add_argument("--rate", type=number, help="requests per second, on average")
    rate.add_argument("--load", type=number, help="instead, of what --workers of --profile can do")
    run.add_argument("--workers", type=cli_values.count, default=1, help="with --load")
    run.add_argument(
        "--mix", default="reference", help="reference, short, editor, or a .toml/.json file"
    )
    run.add_argument("--arrivals", choices=[*ARRIVALS, TRACE], default="poisson")
    run.add_argument("--trace", type=Path, metavar="FILE", help="with --arrivals trace")
    run.add_argument(
        "--window", type=cli_values.window, metavar="START:LENGTH", help="of the trace, in seconds"
    )
    run.add_argument("--scale", type=number, default=1.0, help="play the trace so much faster")
    run.add_argument("--seed", type=int, default=1)
    run.add_argument("--tenants", type=cli_values.count, default=1)
    run.add_argument("--no-typing", action="store_true", help="nobody types on, nobody cancels")


def _add_manner(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--declare-kind", action="store_true", help="say the kind; else the server finds it out"
    )
    run.add_argument(
        "--no-ignore-eos", action="store_true", help="for servers that refuse the field ignore_eos"
    )
    run.add_argument(
        "--no-suffix", action="store_true", help="for servers that refuse the field suffix"
    )
    run.add_argument(
        "--profile",
        default="reference",
        help="of the engine: a cancelled request counts if this engine, idle, could have "
        f"finished it; {', '.join(PROFILES)}, or a JSON file",
    )


def _add_output(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--goodput",
        type=cli_values.limit,
        nargs="+",
        default=[],
        metavar="NAME:MS",
        help="limits of your own: ttft, tpot, e2el in ms",
    )
    run.add_argument(
        "--out", type=cli_values.folder, metavar="DIR", help="write report.html and report.json"
    )
    run.add_argument(
        "--json", type=cli_values.file, metavar="FILE", help="write the report as JSON there"
    )
    run.add_argument("--name", help="of this run in reports")
    run.add_argument("--brief", action="store_true", help="progress, but no table")
    run.add_argument("--quiet", action="store_true", help="no progress, no table")


def run_once(options: argparse.Namespace) -> int:
    arrivals = arrivals_of(options)
    if not arrivals:
        raise UsageError("nothing arrives in that time; let it last longer")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        played = runner.run(_play(options, arrivals))
    report = _report(options, played, arrivals)
    if options.json is not None:
        cli_values.write(options.json, encode([report]))
    if options.out is not None:
        cli_values.written([report], options.out)
    if not (options.quiet or options.brief):
        show([report], terminal())
    return 0 if report.figures.total.answered else _NOTHING_ANSWERED


def arrivals_of(options: argparse.Namespace) -> list[Arrival]:
    """The workload these options ask for, without any text yet."""
    mix = cli_values.mix(options.mix)
    crowd = Crowd(typing=None if options.no_typing else Typing(), tenants=options.tenants)
    if (options.arrivals == TRACE) != (options.trace is not None):
        raise UsageError("--arrivals trace and --trace FILE go together")
    if options.trace is not None:
        window = options.window or WHOLE
        rows = read_trace(options.trace, window=window, rate_scale=options.scale)
        return replay(mix, rows, options.seed, crowd)
    rng = Random(f"{options.seed}/arrivals")
    times = ARRIVALS[options.arrivals](_rate(options, mix), options.seconds, rng)
    return build(mix, times, options.seed, crowd)


def _rate(options: argparse.Namespace, mix: Mix) -> float:
    """Requests per second, also where a share of what a fleet could do was asked for."""
    if options.load is not None:
        profile = load_profile(options.profile)
        cli_values.must_hold(profile, cli_values.longest_tokens(mix))
        fleet = options.workers * capacity_per_s(profile, mix)
        return float(options.load * fleet)
    if options.rate is None:
        raise UsageError(f"--arrivals {options.arrivals} needs --rate or --load")
    return float(options.rate)


async def _play(options: argparse.Namespace, arrivals: Sequence[Arrival]) -> Played:
    keys = cli_values.keys(options.api_key_file)
    console = Console(stderr=True, quiet=options.quiet)
    async with Client.open(options.url) as client:
        models = await client.models(keys[0] if keys else None)
        model = options.model or next(iter(models), "")
        if not model:
            raise UsageError("the server lists no model; name one with --model")
        requests = _written_out(arrivals, _manner(options, model, keys))
        tally = Tally(total=len(requests))
        async with shown(tally, console):
            return await play(client, requests, tally)


def _manner(options: argparse.Namespace, model: str, keys: Sequence[str]) -> Manner:
    return Manner(
        model=model,
        keys=keys,
        alone=load_profile(options.profile),
        declares_kind=options.declare_kind,
        ignores_eos=not options.no_ignore_eos,
        sends_suffix=not options.no_suffix,
    )


def _written_out(arrivals: Sequence[Arrival], manner: Manner) -> list[Request]:
    corpus = Corpus.of_standard_library()
    return [manner.ask(arrival, corpus.render(arrival)) for arrival in arrivals]


def _report(options: argparse.Namespace, played: Played, arrivals: Sequence[Arrival]) -> RunReport:
    duration_s = _duration_s(options, arrivals)
    return RunReport(
        name=options.name or f"{options.mix}, {options.arrivals}",
        source="live",
        setting=_setting(options),
        duration_s=duration_s,
        offered_per_s=len(arrivals) / duration_s,
        limits=cli_values.limits(options.goodput),
        sender=played.sender,
        figures=figures_of(
            played.observations,
            duration_s=duration_s,
            limits=cli_values.limits(options.goodput),
        ),
    )


def _duration_s(options: argparse.Namespace, arrivals: Sequence[Arrival]) -> float:
    """How long requests are sent; a trace lasts as long as it lasts."""
    if options.arrivals == TRACE:
        return max(1.0, arrivals[-1].at_s)
    return float(options.seconds)


def _setting(options: argparse.Namespace) -> dict[str, str]:
    played = {"trace": options.trace.name, "scale": f"{options.scale:g}"} if options.trace else {}
    rate = {} if options.rate is None else {"rate": f"{options.rate:g}/s"}
    if options.load is not None:
        rate = {"load": f"{options.load:g} of {options.workers} x {options.profile}"}
    return {
        "mix": options.mix,
        "arrivals": options.arrivals,
        **rate,
        **played,
        "seed": str(options.seed),
        "tenants": str(options.tenants),
        "typing": "no" if options.no_typing else "yes",
        "kinds": "declared" if options.declare_kind else "found out by the server",
    }
