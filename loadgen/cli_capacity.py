"""`loadgen capacity`: what a fleet completes per second when it never runs out of prompts."""

import argparse

from rich.console import Console

from loadgen import cli_values
from loadgen.simulator.capacity import capacity_per_s
from shared.adapters.profiles import PROFILES, load_profile

_Commands = argparse._SubParsersAction


def add_to(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("capacity", help="print what a load of 1.0 means")
    command.add_argument("--workers", type=cli_values.count, default=1)
    command.add_argument("--mix", default="reference", help="reference, short, editor, or a file")
    command.add_argument("--profile", default="reference", help=", ".join(PROFILES) + ", or a file")
    command.set_defaults(act=tell)


def tell(options: argparse.Namespace) -> int:
    profile, mix = load_profile(options.profile), cli_values.mix(options.mix)
    cli_values.must_hold(profile, cli_values.longest_tokens(mix))
    fleet = options.workers * capacity_per_s(profile, mix)
    Console().print(
        f"{fleet:.1f} requests/s: {options.workers} x {profile.name}, mix {mix.name}, "
        "first come first served, never out of prompts",
        highlight=False,
        soft_wrap=True,
    )
    return 0
