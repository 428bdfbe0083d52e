"""`loadgen simulate`: one workload in virtual time, through the live policies and batching."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from rich.console import Console

from loadgen import cli_values
from loadgen.cli_values import UsageError
from loadgen.report.document import RunReport, encode
from loadgen.report.table import show
from loadgen.simulator.playing import GAMMA, TIMES, TRACE, Played, Scene, play_through
from loadgen.simulator.setting import Change
from loadgen.workloads.trace import read_trace
from shared.adapters.profiles import PROFILES, load_profile
from shared.scheduling.policies import POLICIES

_Commands = argparse._SubParsersAction


def add_to(commands: "_Commands[argparse.ArgumentParser]") -> None:
    simulate = commands.add_parser("simulate", help="play a workload in virtual time")
    simulate.add_argument("--policy", choices=[*POLICIES], default="cato")
    simulate.add_argument("--load", type=cli_values.positive, default=1.0, help="of the capacity")
    simulate.add_argument("--workers", type=cli_values.count, default=2)
    simulate.add_argument("--arrivals", choices=[*TIMES, TRACE], default=GAMMA)
    simulate.add_argument("--seed", type=int, default=1)
    add_scene(simulate)
    add_trace(simulate)
    simulate.add_argument(
        "--fleet", type=_change, nargs="+", default=[], metavar="AT:N", help="60:+2 180:-2"
    )
    simulate.add_argument(
        "--load-s", type=cli_values.positive, default=30.0, help="a worker loads its model"
    )
    simulate.add_argument(
        "--json", type=cli_values.file, metavar="FILE", help="write the report as JSON"
    )
    simulate.set_defaults(act=simulate_once)


def add_scene(command: argparse.ArgumentParser) -> None:
    command.add_argument("--duration", type=cli_values.positive, default=120.0, metavar="S")
    command.add_argument("--mix", default="reference", help="reference, short, editor, or a file")
    command.add_argument("--profile", default="reference", help=", ".join(PROFILES) + ", or a file")
    command.add_argument("--cv", type=cli_values.positive, default=2.0, help="of gamma's gaps")
    command.add_argument("--typing", action="store_true", help="editors type on, and cancel")
    command.add_argument(
        "--prefix-share",
        type=cli_values.share,
        default=0.0,
        help="of an editor's prompt that its next one begins with, cached by engines",
    )
    command.add_argument("--hop-ms", type=cli_values.positive, default=3.0, help="dispatch delay")
    command.add_argument(
        "--report-ms", type=cli_values.positive, default=100.0, help="a busy worker is silent"
    )
    command.add_argument("--retries", type=cli_values.steps, default=0, help="of who was shed")
    command.add_argument("--backoff-s", type=cli_values.positive, default=0.5, help="then doubled")
    command.set_defaults(trace=None)


def add_trace(command: argparse.ArgumentParser) -> None:
    """Where arrivals can be chosen."""
    command.add_argument("--trace", type=Path, metavar="FILE", help="with --arrivals trace")


def scene_of(
    options: argparse.Namespace, *, arrivals: str, load: float, workers: int, seed: int
) -> Scene:
    if (arrivals == TRACE) != (options.trace is not None):
        raise UsageError("--arrivals trace and --trace FILE go together")
    return Scene(
        mix=cli_values.mix(options.mix),
        profile=load_profile(options.profile),
        arrivals=arrivals,
        load=load,
        workers=workers,
        duration_s=options.duration,
        seed=seed,
        is_typing=options.typing,
        cv=options.cv,
        trace=options.trace,
        hop_s=options.hop_ms / 1000,
        report_s=options.report_ms / 1000,
        retries=options.retries,
        backoff_s=options.backoff_s,
        prefix_share=options.prefix_share,
    )


def refuse_impossible(scene: Scene) -> None:
    """Of scenes that differ in load alone the heaviest speaks for all."""
    cli_values.must_hold(scene.profile, _longest_tokens(scene))
    if next(scene.stream(), None) is None:
        raise UsageError("nothing arrives in that time; let it last longer")


def _longest_tokens(scene: Scene) -> int:
    """Prompt and answer together."""
    if scene.trace is not None:
        return max(row.prompt_tokens + row.output_tokens for row in read_trace(scene.trace))
    return cli_values.longest_tokens(scene.mix)


def simulate_once(options: argparse.Namespace) -> int:
    scene = scene_of(
        options,
        arrivals=options.arrivals,
        load=options.load,
        workers=options.workers,
        seed=options.seed,
    )
    scene = replace(scene, changes=_changes(scene, options.fleet), load_s=options.load_s)
    refuse_impossible(scene)
    played = play_through(scene, POLICIES[options.policy](), scene.stream())
    report = _report(scene, options.policy, played)
    if options.json is not None:
        cli_values.write(options.json, encode([report]))
    show([report], Console())
    return 0


def _change(text: str) -> Change:
    at_s, _, workers = text.partition(":")
    try:
        return Change(at_s=cli_values.positive(at_s), workers=int(workers))
    except ValueError as error:
        said = f"{text!r} is not SECONDS:WORKERS, as 60:+2 or 180:-2"
        raise argparse.ArgumentTypeError(said) from error


def _changes(scene: Scene, asked: Sequence[Change]) -> tuple[Change, ...]:
    changes = tuple(sorted(asked, key=lambda change: change.at_s))
    sizes = accumulate((change.workers for change in changes), initial=scene.workers)
    if min(sizes) < 1:
        raise UsageError("--fleet must leave at least one worker at any time")
    return changes


def _report(scene: Scene, policy: str, played: Played) -> RunReport:
    return RunReport(
        name=policy,
        source="simulated",
        setting={
            "mix": scene.mix.name,
            "arrivals": scene.arrivals,
            "load": f"{scene.load:g} of {scene.capacity_per_s:.1f} requests/s",
            "workers": str(scene.workers),
            "profile": scene.profile.name,
            "seed": str(scene.seed),
            "useful utilization": f"{played.useful_share:.3f}",
            "wasted utilization": f"{played.wasted_share:.3f}",
            "wasted GPU-seconds": f"{played.wasted_share * scene.workers * scene.duration_s:.1f}",
        },
        duration_s=scene.duration_s,
        offered_per_s=played.figures.total.requests / scene.duration_s,
        limits=None,
        sender=None,
        figures=played.figures,
    )
