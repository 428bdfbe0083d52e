"""What people write behind an option, turned into values or refused in one line."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadgen.drivers.errors import KeysUnreadable
from loadgen.report.document import RunReport, encode
from loadgen.report.page import page
from loadgen.workloads.mix_file import read_mix
from loadgen.workloads.mixes import MIXES, Mix
from loadgen.workloads.trace import Window
from shared.domain.task import Promise
from shared.scheduling.step_time import EngineProfile

_LIMITS: Final = ("ttft", "tpot", "e2el")


class UsageError(Exception):
    """An option that makes no sense, with what would."""


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return value


def share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, found {text!r}")
    return value


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)


def steps(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, found {text!r}")
    return int(text)


def folder(text: str) -> Path:
    """Made here if it is missing: nobody should measure first and then learn that it cannot be."""
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path} cannot be made: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"nothing can be written into {path}")
    return path


def file(text: str) -> Path:
    """One to be written when all is done; that it can be is asked before."""
    path = Path(text)
    has_place = path.parent.is_dir() and not path.is_dir()
    if not has_place or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path} cannot be written")
    return path


def pair(text: str) -> tuple[float, float]:
    """A:B, both above or at 0."""
    first, colon, second = text.partition(":")
    try:
        values = float(first), float(second)
    except ValueError:
        values = -1.0, -1.0
    if not colon or not all(0 <= value < float("inf") for value in values):
        raise argparse.ArgumentTypeError(f"expected two numbers like 60:120, found {text!r}")
    return values


def window(text: str) -> Window:
    start_s, duration_s = pair(text)
    return Window(start_s=start_s, duration_s=duration_s)


def limit(text: str) -> tuple[str, float]:
    """As `vllm bench serve --goodput` takes them: in milliseconds."""
    name, _, ms = text.partition(":")
    if name not in _LIMITS:
        known = ", ".join(_LIMITS)
        raise argparse.ArgumentTypeError(f"expected NAME:MS with one of {known}, found {text!r}")
    return name, positive(ms) / 1000


def limits(pairs: Sequence[tuple[str, float]]) -> Promise | None:
    told = dict(pairs)
    if not told:
        return None
    return Promise(ttft_s=told.get("ttft"), tpot_s=told.get("tpot"), e2e_s=told.get("e2el"))


def mix(name: str) -> Mix:
    if name in MIXES:
        return MIXES[name]
    if Path(name).suffix:
        return read_mix(Path(name))
    raise UsageError(f"unknown mix {name!r}; known: {', '.join(MIXES)}, or a .toml or .json file")


def longest_tokens(mix: Mix) -> int:
    """Of one request, prompt and answer together."""
    return max(kind.prompt_tokens.high + kind.output_tokens.high for kind in mix.kinds)


def must_hold(profile: EngineProfile, tokens: int) -> None:
    """Raises UsageError where requests may be longer than the engine's context."""
    most = min(profile.context_tokens, profile.kv_capacity_tokens)
    if tokens > most:
        raise UsageError(
            f"requests come with up to {tokens} tokens; profile {profile.name} holds {most}: "
            "choose a profile with more context"
        )


def keys(path: Path | None) -> tuple[str, ...]:
    """One for each tenant, in the order of the lines."""
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysUnreadable(path, getattr(error, "strerror", None) or "no text") from error
    if not lines:
        raise KeysUnreadable(path, "none")
    return tuple(lines)


def written(runs: Sequence[RunReport], directory: Path) -> None:
    """report.json and report.html."""
    write(directory / "report.json", encode(runs))
    write(directory / "report.html", page(runs).encode())


def write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
