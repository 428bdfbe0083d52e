"""What the house adds to the first token: the same engine with the house around it and without."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadgen.bench.children import Build, bare_engine, house, python_with_ray, ray_serve
from loadgen.bench.hops import median_rows, read_hops
from loadgen.bench.processes import neighbours
from loadgen.bench.sheet import Cell, Sheet, rounded
from loadgen.bench.short_tasks import short_tasks
from loadgen.drivers.client import Client
from loadgen.drivers.open_loop import Played, play
from loadgen.drivers.progress import Tally
from loadgen.report.statistics import nearest_rank
from shared.adapters.clock import SystemClock

RATES: Final = (50, 100, 200)
_WARM_RATE: Final = 100
_HOUSE: Final = "house"
_ENGINE: Final = "engine"
_RAY: Final = "ray serve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to look: `windows` of `window_s` for each target at each rate.

    Before that each target is warmed: a broker's JVM compiles what is hot for its first minute.
    """

    warm_up_s: float = 45.0
    window_s: float = 5.0
    windows: int = 4

    @classmethod
    def quick(cls) -> "Effort":
        return cls(warm_up_s=5.0, window_s=2.0, windows=2)


@dataclass(slots=True, kw_only=True)
class AtRate:
    """What was seen at one rate, by target."""

    rate: int
    ttft_s: dict[str, list[float]] = field(default_factory=dict)
    unanswered: dict[str, int] = field(default_factory=dict)
    cpu_ms: float = 0.0
    began_at: float = 0.0
    ended_at: float = 0.0

    def keep(self, target: str, played: Played) -> None:
        seen = played.observations
        came = [each.ttft_s for each in seen if each.is_answered() and each.ttft_s is not None]
        self.ttft_s.setdefault(target, []).extend(came)
        self.unanswered[target] = self.unanswered.get(target, 0) + len(seen) - len(came)
        self.cpu_ms = max(self.cpu_ms, played.sender.cpu_ms_per_request)

    def row(self, target: str) -> Mapping[str, Cell]:
        return {
            "rate_per_s": self.rate,
            "target": target,
            "requests": len(self.ttft_s[target]),
            "lost": self.unanswered[target],
            "ttft_p50_ms": self._ms(target, 0.5),
            "ttft_p99_ms": self._ms(target, 0.99),
            "added_p50_ms": self._added_ms(target, 0.5),
            "added_p99_ms": self._added_ms(target, 0.99),
            "sender_cpu_ms": rounded(self.cpu_ms),
        }

    def against_ray(self) -> Mapping[str, Cell]:
        row: dict[str, Cell] = {"rate_per_s": self.rate}
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            ours, rays = self._added_ms(_HOUSE, share), self._added_ms(_RAY, share)
            row |= {
                f"house_{name}_ms": ours,
                f"ray_{name}_ms": rays,
                f"ratio_{name}": rounded(ours / rays) if ours and rays else None,
            }
        return row

    def _ms(self, target: str, share: float) -> float | None:
        came = sorted(self.ttft_s[target])
        return rounded(nearest_rank(came, share) * 1000) if came else None

    def _added_ms(self, target: str, share: float) -> float | None:
        whole, bare = self._ms(target, share), self._ms(_ENGINE, share)
        return None if whole is None or bare is None else rounded(whole - bare)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rays:
    """Compare with Ray Serve, run by this interpreter or by our own."""

    python: str | None


async def latency(
    directory: Path, effort: Effort, *, kafka: str, rays: Rays | None = None
) -> list[Sheet]:
    """Spans are read once the house is down: only then the last of them are written."""
    busy = neighbours()
    async with contextlib.AsyncExitStack() as stack:
        urls = {_ENGINE: await stack.enter_async_context(bare_engine(directory, "zero"))}
        if rays is not None:
            python = python_with_ray(rays.python)
            urls[_RAY] = await stack.enter_async_context(ray_serve(directory, python))
        home = await stack.enter_async_context(house(directory / "house", Build(kafka=kafka)))
        urls[_HOUSE] = home.base_url
        measured = await _measure(urls, effort)
    return list(_sheets(measured, home.trace_dir, busy))


async def _measure(urls: Mapping[str, str], effort: Effort) -> list[AtRate]:
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(Client.open(url)) for name, url in urls.items()
        }
        for client in clients.values():
            await _send(client, _WARM_RATE, effort.warm_up_s, seed=0)
        measured = []
        for rate in RATES:
            at_rate = AtRate(rate=rate, began_at=clock.now())
            for seed in range(1, effort.windows + 1):
                await _window(clients, at_rate, effort, seed=seed)
            at_rate.ended_at = clock.now()
            measured.append(at_rate)
        return measured


async def _window(
    clients: Mapping[str, Client], at_rate: AtRate, effort: Effort, *, seed: int
) -> None:
    """Each target in turn, another one first each time, with the same arrivals."""
    names = list(clients)
    for name in (*names[seed % len(names) :], *names[: seed % len(names)]):
        at_rate.keep(name, await _send(clients[name], at_rate.rate, effort.window_s, seed=seed))


async def _send(client: Client, rate: int, for_s: float, *, seed: int) -> Played:
    (model, *_) = await client.models()
    requests = short_tasks(model, rate, for_s, seed)
    return await play(client, requests, Tally(total=len(requests)))


def _sheets(measured: Sequence[AtRate], traces: Path, busy: str) -> Sequence[Sheet]:
    ttft = Sheet(
        title="Time to the first token, 100 tokens in, 8 out, engine without delay",
        rows=[each.row(target) for each in measured for target in each.ttft_s],
        notes=(
            "added: difference of percentiles against the bare engine in the same run, "
            "not percentile of differences.",
            busy,
        ),
    )
    labels = {f"at_{each.rate}_per_s": (each.began_at, each.ended_at) for each in measured}
    hops = Sheet(
        title="Median of each hop inside the house, ms",
        rows=median_rows(read_hops(traces), labels),
        notes=("engine: until the last token; task: receipt to last byte.",),
    )
    if all(_RAY in each.ttft_s for each in measured):
        ratio = Sheet(
            title="What the house adds, what Ray Serve adds, and the one divided by the other",
            rows=[each.against_ray() for each in measured],
        )
        return ttft, ratio, hops
    return ttft, hops
