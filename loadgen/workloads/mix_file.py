"""A mix can be written by hand, in TOML or JSON, and then it may be wrong anywhere.

    name = "reviews"
    [[kinds]]
    name = "summarization"
    share = 0.7
    prompt_tokens = { median = 1200, sigma = 0.8, low = 16, high = 8000 }
    output_tokens = { median = 120, sigma = 0.5 }

`low`, `high`, `route` and `batch_share` have defaults; `name` of the mix is the file's.
"""

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from loadgen.workloads.errors import MixUnreadable
from loadgen.workloads.mixes import (
    OUTPUT_BOUNDS,
    PROMPT_BOUNDS,
    ROUTES,
    KindMix,
    Lengths,
    Mix,
    Route,
)

Chosen = TypeVar("Chosen", bound=str)

_MIX_FIELDS: Final = frozenset({"name", "kinds"})
_KIND_FIELDS: Final = frozenset(
    {"name", "share", "prompt_tokens", "output_tokens", "route", "batch_share"}
)
_LENGTH_FIELDS: Final = frozenset({"median", "sigma", "low", "high"})
_ALLOWED_ROUTES: Final[Mapping[str, Route]] = {
    "/v1/completions": "/v1/completions",
    "/v1/chat/completions": "/v1/chat/completions",
    "/v1/tasks": "/v1/tasks",
}
_MOST: Final = 1_000_000
_PARSERS: Final = {".toml": tomllib.loads, ".json": json.loads}


def read_mix(path: Path) -> Mix:
    table = _Table.of(str(path), _parse(path), _MIX_FIELDS)
    rows = table.fields.get("kinds")
    if not isinstance(rows, list) or not rows:
        raise MixUnreadable(f"{path}, kinds", "a list of at least one kind", rows)
    kinds = tuple(_kind(f"{path}, kinds[{index}]", row) for index, row in enumerate(rows))
    if sum(kind.share for kind in kinds) <= 0:
        raise MixUnreadable(f"{path}, kinds", "at least one share above 0", 0)
    return Mix(name=str(table.fields.get("name", path.stem)), kinds=kinds)


def _parse(path: Path) -> object:
    parse = _PARSERS.get(path.suffix)
    if parse is None:
        raise MixUnreadable(str(path), "a file name ending in .toml or .json", path.suffix)
    try:
        parsed: object = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MixUnreadable(str(path), "a readable file", error.strerror) from error
    except ValueError as error:
        raise MixUnreadable(str(path), f"valid {path.suffix[1:].upper()}", str(error)) from error
    return parsed


def _kind(place: str, row: object) -> KindMix:
    table = _Table.of(place, row, _KIND_FIELDS)
    name = table.choice("name", {kind: kind for kind in ROUTES}, None)
    return KindMix(
        name=name,
        share=table.number("share", 0, _MOST),
        prompt_tokens=_lengths(table, "prompt_tokens", PROMPT_BOUNDS),
        output_tokens=_lengths(table, "output_tokens", OUTPUT_BOUNDS),
        route=table.choice("route", _ALLOWED_ROUTES, ROUTES[name]),
        batch_share=table.number("batch_share", 0, 1, default=0.0),
    )


def _lengths(kind: "_Table", name: str, bounds: tuple[int, int]) -> Lengths:
    table = _Table.of(f"{kind.place}.{name}", kind.fields.get(name), _LENGTH_FIELDS)
    low = math.ceil(table.number("low", 1, _MOST, default=bounds[0]))
    return Lengths(
        median=table.number("median", 1, _MOST),
        sigma=table.number("sigma", 0, 5),
        low=low,
        high=math.floor(table.number("high", low, _MOST, default=max(low, bounds[1]))),
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """The fields at one place of the file."""

    place: str
    fields: Mapping[str, object]

    @classmethod
    def of(cls, place: str, found: object, known: frozenset[str]) -> "_Table":
        expected = f"a table with {', '.join(sorted(known))}"
        if not isinstance(found, dict):
            raise MixUnreadable(place, expected, found)
        if unknown := sorted(found.keys() - known):
            raise MixUnreadable(place, expected, unknown[0])
        return cls(place, found)

    def number(self, name: str, low: float, high: float, *, default: float | None = None) -> float:
        found = self.fields.get(name, default)
        expected = f"a number from {low:g} to {high:g}"
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise MixUnreadable(f"{self.place}.{name}", expected, found)
        if not low <= found <= high:
            raise MixUnreadable(f"{self.place}.{name}", expected, found)
        return found

    def choice(self, name: str, choices: Mapping[str, Chosen], default: Chosen | None) -> Chosen:
        found = self.fields.get(name, default)
        if not isinstance(found, str) or found not in choices:
            raise MixUnreadable(f"{self.place}.{name}", f"one of {', '.join(choices)}", found)
        return choices[found]
